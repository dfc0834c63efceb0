from __future__ import annotations

import io
from pathlib import Path

import pytest

from plait.pipeline.read.framing import Frame, frames
from plait.pipeline.read.source import Source, written
from plait.schemas.errors import UnitError
from tests.archives import WarcBuilder, picture


class Failing(io.BytesIO):
    """A store that answers for a while."""

    def __init__(self, data: bytes, limit: int):
        super().__init__(data)
        self._limit = limit

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._limit:
            raise OSError("connection reset")
        return super().read(size)


def archive_of(pictures: int, *, compressed: bool) -> bytes:
    builder = WarcBuilder(compressed=compressed)
    for number in range(pictures):
        builder.response(f"http://site.test/{number}.png", picture(160, 120, number, "PNG"), "image/png")
    return builder.data


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("line_ends", ["crlf", "lf"])  # FastWARC reads the first, warcio the second
def test_a_store_that_fails_is_not_taken_for_damage(compressed: bool, line_ends: str):
    data = archive_of(200, compressed=compressed)
    if line_ends == "lf":
        data = data.replace(b"WARC/1.0\r\n", b"WARC/1.0\n") if not compressed else b"x" + data
    limit = len(data) // 2
    assert limit > 1 << 17
    seen = 0
    with pytest.raises(UnitError, match="connection reset"):
        for item in frames(Source(Failing(data, limit), "a.warc"), None):
            seen += isinstance(item, Frame)
    assert seen > 10


def test_a_window_of_a_file_reads_like_a_file():
    data = bytes(range(256)) * 10
    source = Source(io.BytesIO(data), "x", 100, 1000)
    wanted = io.BytesIO(data[100:1100])
    for move in ((0, 0), (10, 0), (-20, 2), (5, 1), (2000, 0), (-2000, 1)):
        if move[0] + (0, wanted.tell(), 1000)[move[1]] >= 0:
            assert source.seek(*move) == wanted.seek(*move)
        assert source.tell() == wanted.tell()
        assert source.read(37) == wanted.read(37)
    source.seek(990)
    assert source.read() == data[1090:1100]
    buffer = bytearray(8)
    source.seek(0)
    assert source.readinto(buffer) == 8
    assert bytes(buffer) == data[100:108]


def test_peeking_does_not_move():
    data = bytes(range(256)) * 10
    source = Source(io.BytesIO(data), "x", 100, 1000)
    source.read(50)
    for place in (0, 20, 49, 60, 998):
        assert source.peek(place, 4) == data[100 + place : min(100 + place + 4, 1100)]
    assert source.tell() == 50


def test_a_file_appears_only_when_it_is_written(tmp_path: Path):
    path = tmp_path / "deep" / "a.bin"
    with pytest.raises(ValueError, match="stop"), written(path) as out:
        out.write(b"half")
        raise ValueError("stop")
    assert list(path.parent.iterdir()) == []
    with written(path) as out:
        out.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert len(list(path.parent.iterdir())) == 1
