"""CLIP: features of pictures, and how well pictures and sentences of a document belong together."""
