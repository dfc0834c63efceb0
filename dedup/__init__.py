"""Duplicates: of documents by URL, text and MinHash; of pictures by perceptual hash."""
