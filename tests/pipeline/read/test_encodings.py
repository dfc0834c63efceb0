from __future__ import annotations

import gzip
import zlib

import brotli
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.read.encodings import dechunk, decode_body
from plait.schemas.errors import RecordError
from tests.archives import html

PAGE = html("<p>" + "Words of a page. " * 200 + "</p>")
LIMIT = 1 << 20


def chunked(data: bytes, size: int = 100, last: bool = True) -> bytes:
    parts = [data[place : place + size] for place in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if last else b"")


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd,
    "identity": lambda data: data,
    "": lambda data: data,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("transfer", ["", "chunked"])
def test_every_encoding_is_undone_whole(name: str, transfer: str):
    stored = ENCODERS[name](PAGE)
    body = decode_body(chunked(stored) if transfer else stored, transfer, name, LIMIT)
    assert body.data == PAGE
    assert body.whole


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_is_not_encoded_as_claimed_is_used_as_it_is(name: str):
    assert decode_body(PAGE, "chunked", name, LIMIT).data == PAGE


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("size", [50 << 20])
def test_a_bomb_is_stopped_while_it_inflates(name: str, size: int):
    stored = ENCODERS[name](bytes(size))
    with pytest.raises(RecordError) as caught:
        decode_body(stored, "", name, LIMIT)
    assert caught.value.reason == "record_too_large"
    assert caught.value.threshold == LIMIT
    assert LIMIT < (caught.value.value or 0) < 2 * LIMIT  # it never inflated the rest


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_a_body_that_breaks_off_gives_what_came(name: str):
    stored = ENCODERS[name](PAGE * 40)
    body = decode_body(stored[: len(stored) * 2 // 3], "", name, LIMIT)
    assert not body.whole
    assert body.data
    assert (PAGE * 40).startswith(body.data)


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate"])
def test_damage_that_hides_the_content_is_a_verdict(name: str):
    stored = bytearray(ENCODERS[name](PAGE))
    stored[12 if name != "zstd" else 5 :] = bytes(7) * 50
    if name in ("br", "deflate"):
        stored[:4] = b"\xff\xff\xff\xff"
    with pytest.raises(RecordError) as caught:
        decode_body(bytes(stored), "", name, LIMIT)
    assert caught.value.reason == "decode_failed"


def test_gzip_members_one_after_another_are_one_body():
    assert decode_body(gzip.compress(b"one ") + gzip.compress(b"two"), "", "gzip", LIMIT).data == b"one two"


def test_trailing_garbage_after_gzip_is_no_content():
    assert decode_body(gzip.compress(PAGE) + b"\0\0junk", "", "gzip", LIMIT).data == PAGE


def test_chunks_without_the_last_one_are_whole():
    body = dechunk(chunked(PAGE, last=False))
    assert body.data == PAGE
    assert body.whole


def test_a_chunk_that_breaks_off_is_not_whole():
    body = dechunk(chunked(PAGE)[:1000])
    assert not body.whole
    assert PAGE.startswith(body.data)
    assert body.data


def test_chunk_extensions_line_feeds_and_padding_are_understood():
    assert dechunk(b"5;name=value\r\nHello\r\n  6  \n World\n0\r\n\r\n").data == b"Hello World"


def test_what_follows_an_unreadable_chunk_size_is_lost():
    body = dechunk(b"5\r\nHello\r\nnot a size\r\nWorld")
    assert body.data == b"Hello"
    assert not body.whole


def test_a_page_that_only_claims_to_be_chunked_is_used_as_it_is():
    assert dechunk(PAGE).data == PAGE
    assert dechunk(b"cafe\n" + PAGE).data != b""


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate", "br", "zstd", "chunked", "gzip, deflate"]))
def test_no_bytes_raise_anything_but_a_verdict(data: bytes, name: str):
    try:
        body = decode_body(data, "chunked" if name == "chunked" else "", name, 1000)
    except RecordError as error:
        assert error.reason in ("record_too_large", "decode_failed")
    else:
        assert len(body.data) <= 1000


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_dechunk_undoes_chunking(data: bytes, size: int):
    assert dechunk(chunked(data, size)).data == data
