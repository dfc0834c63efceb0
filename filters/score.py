"""What a score is: one function over a batch, named as its column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch, TextBatch

OfText = Callable[[TextBatch], np.ndarray]
OfDocuments = Callable[[DocumentBatch], pa.Array]


@dataclass(frozen=True)
class Score:
    """A score and where it is known.

    Attributes:
        name: the column's name, in recipes and in files.
        scopes: what it is a score of: "line", "node", "document", "image".
        type: Arrow type of the column.
        doc: what is measured, its unit, its source.
        text: gives a value per unit of a `TextBatch`, for the scopes line, node and document.
        documents: gives a value per document, image node or text node where a score needs more than the unit's text.
        needs: other scores that must be stored beside it, so that a later rule can be evaluated.
        stage: "text", or "assemble" when only the finished images tell.
        stored: whether documents carry it as a column of its own.
    """

    name: str
    scopes: tuple[str, ...]
    type: pa.DataType
    doc: str
    text: OfText | None = None
    documents: OfDocuments | None = None
    needs: tuple[str, ...] = ()
    stage: Literal["text", "assemble"] = "text"
    stored: bool = True


ALL_TEXT = ("line", "node", "document")


def of_text(function: OfText, kind: pa.DataType, scopes: tuple[str, ...] = ALL_TEXT) -> Score:
    """A score whose name and documentation are its function's."""
    return Score(function.__name__, scopes, kind, _first_paragraph(function.__doc__), text=function)


def of_documents(function: OfDocuments, kind: pa.DataType, scopes: tuple[str, ...]) -> Score:
    """A score over documents with their nodes, named by its function."""
    return Score(function.__name__, scopes, kind, _first_paragraph(function.__doc__), documents=function)


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").split())
