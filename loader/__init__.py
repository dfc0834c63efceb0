"""What trainers and researchers import: read, sample, pack, resume, export.

Needs numpy, pyarrow and Pillow alone; `InterleavedDataset` and `in_step` need torch and are imported when asked for.
"""

from typing import TYPE_CHECKING

from plait.loader.batch import Batch
from plait.loader.corpus import Corpus
from plait.loader.decode import Resize, Tiles
from plait.loader.documents import Document, Picture, Text
from plait.loader.order import Order, Source
from plait.loader.packing import Pack, PackRecipe, flamingo, internvl, lcl
from plait.loader.progress import Progress
from plait.loader.samples import Sample, SampleRecipe
from plait.loader.sequence import ImageTokens, SequenceRecipe
from plait.loader.storage import Cache

if TYPE_CHECKING:
    from plait.loader.dataset import InterleavedDataset, in_step

__all__ = [
    "Batch",
    "Cache",
    "Corpus",
    "Document",
    "ImageTokens",
    "InterleavedDataset",
    "Order",
    "Pack",
    "PackRecipe",
    "Picture",
    "Progress",
    "Resize",
    "Sample",
    "SampleRecipe",
    "SequenceRecipe",
    "Source",
    "Text",
    "Tiles",
    "flamingo",
    "in_step",
    "internvl",
    "lcl",
]


def __getattr__(name: str) -> object:
    """Torch's classes, imported when they are asked for."""
    if name in ("InterleavedDataset", "in_step"):
        from plait.loader import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
