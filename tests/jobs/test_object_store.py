"""A build's folder on an object store whose network is bad."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from plait.jobs import Options, audit, build, work
from plait.jobs.store import Store
from tests.jobs.corpora import write_archives
from tests.s3_proxy import READ_FAULTS, WRITE_FAULTS, BadS3, bad_s3

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def s3() -> Iterator[BadS3]:
    with bad_s3(every=5) as store:
        yield store


def test_put_new_creates_once_however_often_answers_are_lost(s3: BadS3) -> None:
    store = Store(f"s3://{s3.bucket}/once")
    for number in range(30):
        store.put_new(f"receipts/{number}", b"first")
        assert not store.put_new(f"receipts/{number}", b"second")
        assert store.read(f"receipts/{number}") == b"first"
    assert {*READ_FAULTS, *WRITE_FAULTS} == set(s3.faults)


def test_of_many_that_put_at_once_one_wins(s3: BadS3) -> None:
    s3.every = 0
    store = Store(f"s3://{s3.bucket}/race")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: Store(store.root).put_new("plan", b"%d" % number), range(8)))
    assert sum(won) == 1
    assert store.read("plan") == b"%d" % won.index(True)
    s3.every = 5


@pytest.mark.parametrize("size", [100, 60 << 20], ids=["small", "multipart"])
def test_a_file_whose_writer_failed_is_not_there(s3: BadS3, size: int) -> None:
    store = Store(f"s3://{s3.bucket}/torn")

    def write() -> None:
        with store.open_write("half.parquet") as file:
            file.write(bytes(size))
            raise KeyError("the writer's own")

    with pytest.raises(KeyError):
        write()
    assert not store.exists("half.parquet")
    assert store.list("") == []


def test_a_large_file_comes_back_whole(s3: BadS3) -> None:
    store = Store(f"s3://{s3.bucket}/large")
    block = bytes(range(256)) * 4096
    with store.open_write("pack") as file:
        for _ in range(20):
            file.write(block)
    assert store.size("pack") == 20 * len(block)
    assert store.sha256("pack") == _sha256(block, 20)


def _sha256(block: bytes, times: int) -> str:
    import hashlib

    digest = hashlib.sha256()
    for _ in range(times):
        digest.update(block)
    return digest.hexdigest()


def test_listings_see_what_others_wrote(s3: BadS3) -> None:
    s3.every = 0
    one, other = Store(f"s3://{s3.bucket}/seen"), Store(f"s3://{s3.bucket}/seen")
    assert one.list("work") == []
    assert not one.exists("work/a")
    other.put_new("work/a", b"1")
    assert one.list("work") == ["work/a"]
    assert one.exists("work/a")
    other.remove("work")
    assert one.list("") == []
    s3.every = 5


@pytest.mark.slow
def test_a_build_on_a_bad_store_is_the_one_on_disk(s3: BadS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.every = 0
    archives = write_archives(tmp_path, archives=2, pages=3)
    settings = Options(shard_docs=8)
    disk = build([str(path) for path in archives], str(tmp_path / "out"), recipe="annotate", options=settings)
    system = fsspec.filesystem("s3")
    for path in archives:
        system.put(str(path), f"{s3.bucket}/in/{path.name}")
    monkeypatch.setattr(work, "FAN_OUT_BYTES", 40_000)
    s3.every = 29
    out = f"s3://{s3.bucket}/corpus"
    far = build([f"s3://{s3.bucket}/in"], out, recipe="annotate", options=settings, workers=2)
    assert far.fingerprint == disk.fingerprint
    assert audit(out).faults == ()
    assert not Store(out).list("work")
