"""What trainers and researchers import: read, sample, pack, resume, export. Needs numpy, pyarrow and Pillow alone."""

from plait.loader.corpus import Corpus
from plait.loader.documents import Document, Picture, Text
from plait.loader.storage import Cache

__all__ = ["Cache", "Corpus", "Document", "Picture", "Text"]
