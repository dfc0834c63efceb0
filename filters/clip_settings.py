"""How a recipe wants pictures and texts compared: the table ``[clip]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plait.filters.sections import Positive, Section

Counted = Annotated[int, Field(ge=0)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
PROMPTED = ("text_image", "logo", "nsfw")


class Prompts(Section):
    """Sentences of a zero-shot classifier: those that mean yes, and those that mean no."""

    yes: Annotated[list[str], Field(min_length=1)]
    no: Annotated[list[str], Field(min_length=1)]


class Clip(Section):
    """Pictures against texts.

    Attributes:
        model: open_clip's name, ``hf-hub:ORG/NAME``, or a folder (relative to the recipe) with open_clip_config.json.
        weights: for a name: open_clip's tag of a checkpoint, or a file.
        precision: "auto" is the fastest that the device computes in hardware.
        batch: pictures or texts of one run.
        threads: of one run on the CPU; fixed, since another number may round otherwise. On a GPU: that decode
            pictures for it.
        spans: what pictures are compared with.
        near: spans that count as a picture's neighbourhood.
        top: most similar spans kept of each picture.
        matrix: whether all cosines are kept.
        negatives: texts of other documents of the same language that a picture's rank is taken among.
        related: cosine from which an assigned picture counts in ``matched_share`` (MMC4-core: 0.25).
        document_spans: at most this many spans of a document are compared; the others are counted.
        text_image: zero-shot classifier of pictures of text.
        logo: of logos.
        nsfw: of pornography.
    """

    model: str | None = None
    weights: str = ""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    batch: Positive = 32
    threads: Positive = 2
    spans: Literal["sentence", "paragraph"] = "sentence"
    near: Positive = 8
    top: Counted = 3
    matrix: bool = False
    negatives: Positive = 63  # mOSCAR (arXiv 2406.08707): 63 beside the true one
    related: Cosine = 0.25  # MMC4 (arXiv 2304.06939), footnote 14
    document_spans: Positive = 10_000
    text_image: Prompts = Prompts(
        yes=["a picture of text", "a screenshot of text", "a scanned page of writing"],
        no=["a photo without any text", "a photo", "a drawing"],
    )
    logo: Prompts = Prompts(yes=["a company logo", "an icon", "a banner"], no=["a photo", "a drawing", "a chart"])
    nsfw: Prompts = Prompts(
        yes=["pornography", "a photo of a naked person", "sexually explicit content"],
        no=["a photo of a person", "a photo", "a drawing"],
    )
