"""Which archives a build takes: crawls by name, samples."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.jobs.selection import Selection
from plait.jobs.store import Store
from plait.schemas.errors import ConfigError
from tests.s3_proxy import BadS3, bad_s3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for number in range(40):
        (folder / f"part-{number:02d}.warc").write_bytes(b"WARC/1.0\r\n%d" % number)
    return folder


def _names(folder: Path, limit: int | None = None, sample: float | None = None) -> list[str]:
    return [archive.name for archive in Selection((str(folder),), limit, sample).archives()]


def test_everything_is_taken_without_a_limit(folder: Path) -> None:
    assert _names(folder) == [f"part-{number:02d}.warc" for number in range(40)]


def test_a_smaller_sample_is_part_of_a_larger_one(folder: Path) -> None:
    some, more = _names(folder, sample=0.3), _names(folder, sample=0.6)
    assert 0 < len(some) < len(more) < 40
    assert set(some) < set(more)
    assert some == _names(folder, sample=0.3)
    assert set(_names(folder, limit=3)) < set(_names(folder, limit=9))
    assert len(_names(folder, limit=3)) == 3
    assert len(_names(folder, limit=100)) == 40


def test_a_sample_of_nothing_and_wrong_shares_are_refused(folder: Path) -> None:
    for limit, sample in ((0, None), (None, 0.0), (None, 1.5), (None, 1e-9)):
        with pytest.raises(ConfigError, match=r"--limit|--sample"):
            _names(folder, limit, sample)
    with pytest.raises(ConfigError, match="cc://CC-MAIN"):
        Selection(("cc://COMMON-2026",)).archives()


@pytest.fixture
def s3() -> Iterator[BadS3]:
    pytest.importorskip("moto")
    with bad_s3(every=0) as store:
        yield store


@pytest.mark.heavy
def test_a_crawl_is_named_by_one_argument(s3: BadS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAIT_COMMON_CRAWL", f"s3://{s3.bucket}")
    store = Store(f"s3://{s3.bucket}")
    paths = [f"crawl-data/CC-MAIN-2026-43/segments/1.{n}/warc/CC-MAIN-2026-{n:05d}.warc.gz" for n in range(6)]
    listing = gzip.compress("".join(path + "\n" for path in paths).encode())
    store.put_new("crawl-data/CC-MAIN-2026-43/warc.paths.gz", listing)
    for path in paths:
        store.put_new(path, gzip.compress(b"WARC/1.0\r\n" + path.encode()))
    archives = Selection(("cc://CC-MAIN-2026-43",)).archives()
    assert [archive.uri for archive in archives] == [f"s3://{s3.bucket}/{path}" for path in paths]
    assert all(archive.bytes > 0 for archive in archives)
    assert len(Selection(("cc://CC-MAIN-2026-43",), limit=2).archives()) == 2
    rules = [path.replace("/warc/", "/robotstxt/") for path in paths]  # under the same names
    store.put_new("crawl-data/CC-MAIN-2026-43/robotstxt.paths.gz", gzip.compress("\n".join(rules).encode()))
    for path in rules:
        store.put_new(path, gzip.compress(b"WARC/1.0\r\n" + path.encode()))
    both = Selection(("cc://CC-MAIN-2026-43", "cc://CC-MAIN-2026-43/robotstxt")).archives()
    assert {archive.uri for archive in both} == {f"s3://{s3.bucket}/{path}" for path in (*paths, *rules)}
    with pytest.raises(ConfigError, match="no listing"):
        Selection(("cc://CC-MAIN-2031-01",)).archives()
