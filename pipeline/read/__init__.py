"""Archives to records: inputs, framing, HTTP messages."""

from plait.pipeline.read.archive import read_archive, read_payload
from plait.pipeline.read.inputs import Archive, expand
from plait.pipeline.read.records import Limits, Loss, Record, Tally

__all__ = ["Archive", "Limits", "Loss", "Record", "Tally", "expand", "read_archive", "read_payload"]
