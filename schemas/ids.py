"""Identifiers: derived from content, never from a position in a file.

Ids of documents and images are 16 bytes. Keys that engines shuffle by are signed 64-bit integers, because all three
engines group, sort and compare those alike; a kernel that acts on a key compares the full value where a collision
(expected 0.03 colliding pairs in 10^9 keys) would matter.
"""

from __future__ import annotations

import hashlib

ID_BYTES = 16
ORDER_KEY_BITS = 63
ARCHIVE_KEY_DIGITS = 15  # hexadecimal digits of an archive's id: a positive 64-bit integer


def doc_id(canonical_url: str, captured_us: int, payload_digest: bytes) -> bytes:
    """Id of a document: one capture of one page.

    Args:
        canonical_url: `plait.schemas.urls.canonical_url` of the page.
        captured_us: capture time, microseconds since 1970 UTC.
        payload_digest: SHA-256 of the decoded page, 32 bytes.
    """
    digest = hashlib.blake2b(digest_size=ID_BYTES, person=b"plait-doc")
    digest.update(canonical_url.encode("utf-8", "surrogatepass"))
    digest.update(b"\0%d\0" % captured_us)
    digest.update(payload_digest)
    return digest.digest()


def image_id(data: bytes) -> bytes:
    """Id of a picture: the first 16 bytes of the SHA-256 of its bytes."""
    return hashlib.sha256(data).digest()[:ID_BYTES]


def key64(data: bytes) -> int:
    """Signed 64-bit key of any bytes, for shuffles (BLAKE2b, the same everywhere)."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def text_key(text: str) -> int:
    """`key64` of a string's UTF-8 bytes."""
    return key64(text.encode("utf-8", "surrogatepass"))


def archive_key(archive_id: str) -> int:
    """Key of an archive, uniform in [0, 2^60): the first digits of its id, so that SQL can say it too."""
    return int(archive_id[:ARCHIVE_KEY_DIGITS], 16)


def order_key(document: bytes, seed: int = 0) -> int:
    """Place of a document in the corpus' global shuffle: uniform in [0, 2^63), keyed by the recipe's seed."""
    key = seed.to_bytes(8, "little", signed=True)
    digest = hashlib.blake2b(document, digest_size=8, key=key, person=b"plait-order").digest()
    return int.from_bytes(digest, "little") >> 1


def shard_of(order: int, shards: int) -> int:
    """Shard of an order key: equal ranges of the key, so that shards in turn give the global order."""
    return (order * shards) >> ORDER_KEY_BITS
