"""Reason codes that stages give by themselves; every other reason is the name of a recipe's rule.

A reason has one name everywhere: ledger, report, explorer, documentation.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    # read: records of an archive that should have been pages or images
    "archive_unreadable": "the file is no archive, or nothing in it could be read",
    "archive_truncated": "the archive breaks off or is damaged here; what follows could not be read",
    "record_malformed": "the record's headers or HTTP message could not be parsed",
    "record_too_large": "the record's decoded payload is over the recipe's limit",
    "decode_failed": "a content or transfer encoding could not be undone",
    "http_status": "the HTTP status is not 200",
    "empty_payload": "the record has no payload",
    "not_html": "the payload is neither HTML nor an image",
    "revisit_unresolved": "a revisit whose payload is in none of the archives",
    "opted_out": "robots meta, X-Robots-Tag or a TDM reservation asks not to be used",
    # extract
    "too_many_nodes": "the parsed page has more elements than the limit",
    "too_deep": "the parsed page nests deeper than the limit",
    "no_content": "nothing was left after boilerplate was removed",
    "no_image": "the page has no image that could survive the recipe",
    "parser_crashed": "the parser's process died on this record",
    "parser_hung": "the parser used up its CPU watchdog on this record",
    # dedup
    "duplicate_capture": "the same capture stands in another of the archives, or earlier in this one",
    "duplicate_url": "a later capture of the same URL is kept",
    "duplicate_text": "a document with exactly the same text is kept",
    "near_duplicate": "a document with nearly the same text is kept",
    "duplicate_image_set": "a later document with the same set of images is kept",
    "repeated_paragraph": "the paragraph stands in many documents of its host",
    "repeated_node": "nearly the same text stands earlier in the document",
    "evaluation_text": "the document contains text of an evaluation set",
    "listed_image": "the picture is on a hash list: opted out, of a benchmark, or known to be bad",
    # images
    "image_url_invalid": "the image's URL cannot be resolved to http, https or data",
    "image_not_in_archives": "no given archive holds the image",
    "image_unreadable": "the archive's record of the image could not be read",
    "image_too_large": "the image's bytes are over the recipe's limit",
    "image_undecodable": "the bytes are no picture that can be decoded",
    "image_too_many_pixels": "the picture has more pixels than the limit",
    "image_too_many_frames": "the animation has more frames than the limit",
    "image_unsupported": "the picture's format is not among the recipe's",
    "decoder_crashed": "the decoder's process died on this picture",
    "decoder_hung": "the decoder used up its CPU watchdog on this picture",
    "duplicate_in_document": "the same picture stands earlier in the document",
    "image_cap": "as many documents as the recipe allows show the same picture already",
    "images_off": "the build was asked to keep no images",
    "document_bytes": "the document's images are already at the limit of bytes of one document",
    "document_dropped": "the image's document was dropped",
    # fetch
    "fetch_status": "the server answered with a status that is no success",
    "fetch_timeout": "no connection, no byte, or no end in time",
    "fetch_connect": "no connection to the server",
    "fetch_dns": "the host's name could not be resolved",
    "fetch_tls": "the server's certificate could not be verified, or TLS failed",
    "fetch_refused_address": "the host is no address of the public Internet",
    "fetch_robots": "robots.txt disallows the image, or asks for longer waits than the build's limit",
    "fetch_robots_unavailable": "the server could not say what its robots.txt allows",
    "fetch_redirects": "redirects run in a loop, or there are too many",
    "fetch_url_invalid": "the URL, or one that it redirects to, cannot be asked over http or https",
    "fetch_too_large": "the body is over the limit of bytes",
    "fetch_bomb": "the body's content encoding inflates over the limit of bytes",
    "fetch_empty": "the body is empty",
    "fetch_incomplete": "the connection ended before the body did",
    "fetch_protocol": "the answer is no HTTP that can be understood",
    "fetch_content_type": "the server says that it is no image",
    "fetch_not_image": "the body does not begin as an image does",
    "fetch_host_down": "the host failed too often in a row and was asked no more",
    # assemble
    "no_text_left": "no text node was left in the document",
    "no_image_left": "no image was left in the document",
    # takedown
    "taken_down": "somebody asked for it to be taken down",
    "suppressed": "it was taken down from an earlier corpus, and the list of that was given",
}
