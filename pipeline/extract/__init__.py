"""HTML to interleaved documents: charset, tree, blocks, scores, main content, nodes."""

from plait.pipeline.extract.charset import decode_html
from plait.pipeline.extract.gate import has_usable_image
from plait.pipeline.extract.html import extract_html
from plait.pipeline.extract.page import EXTRACTORS, ExtractOptions, Node, Page, Removed

__all__ = ["EXTRACTORS", "ExtractOptions", "Node", "Page", "Removed", "decode_html", "extract_html", "has_usable_image"]
