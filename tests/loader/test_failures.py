"""What fails and what it costs: broken pictures, cut and vanished shards, stores that fail, trickle or lie."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from plait.loader import Cache, Corpus, ImageTokens, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source
from plait.pipeline.publish import write_corpus
from plait.schemas.errors import CorpusError
from plait.schemas.manifest import Manifest

torch = pytest.importorskip("torch", reason="needs the extra train")
from torch.utils.data import DataLoader  # noqa: E402

from plait.loader import InterleavedDataset  # noqa: E402

PACK = PackRecipe(
    lambda text: list(text.encode()), "bytes", SequenceRecipe(ImageTokens(300, each=4)), max_tokens=600, max_images=8
)


def dataset(corpus: Corpus, pack: PackRecipe | None = None, **policy: str) -> InterleavedDataset:
    recipe = SampleRecipe(pixels=Resize(16), **policy)
    return InterleavedDataset(Order((Source(corpus),), seed=3, window=16), recipe, pack=pack)


def counts(samples: list) -> Counter[str]:
    found: Counter[str] = Counter()
    for sample in samples:
        found.update(sample.failed)
    return found


@pytest.fixture(scope="module")
def one_percent(make_corpus, tmp_path_factory) -> Path:
    """200 documents of one picture; the bytes of two pictures end early. Pages' checksums are right."""
    whole = make_corpus(200, 2, 16, salt="broken", images=1)
    folder = tmp_path_factory.mktemp("broken") / "corpus"
    shards, broken = [], 0
    for path in sorted((whole / "data").iterdir()):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            for image in row["images"]:
                if image and broken < 2 and image["path"].endswith("jpg"):
                    image["bytes"], broken = image["bytes"][:150], broken + 1
        schema = pq.read_schema(path)
        shards.append([pa.RecordBatch.from_pylist(rows[at : at + 16], schema=schema) for at in range(0, len(rows), 16)])
    write_corpus(folder, schema, shards, Manifest.from_json((whole / "manifest.json").read_text()))
    return folder


@pytest.mark.parametrize(
    ("policy", "documents", "images", "failed"),
    [
        ("skip_image", 200, 198, {"image": 2}),
        ("skip_document", 198, 198, {"document": 2}),
        ("placeholder", 200, 200, {"placeholder": 2}),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_one_picture_in_a_hundred_is_broken_and_an_epoch_goes_on(
    one_percent, policy, documents, images, failed, workers
):
    loader = DataLoader(
        dataset(Corpus(one_percent), on_failure=policy), batch_size=8, num_workers=workers, collate_fn=list
    )
    found = [sample for batch in loader for sample in batch]
    assert (len(found), sum(len(sample.images) for sample in found)) == (documents, images)
    assert counts(found) == failed


def test_broken_pictures_in_packs_are_grey_and_counted(one_percent):
    found = list(dataset(Corpus(one_percent), PACK, on_failure="placeholder"))
    assert sum(len(pack.images) for pack in found) == 200
    assert counts(found) == {"placeholder": 2}
    assert sum((image == 128).all() for pack in found for image in pack.images) == 2


def damage(how: str, shard: Path) -> None:
    data = shard.read_bytes()
    if how == "vanished":
        shard.unlink()
    elif how == "truncated":
        shard.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        shard.write_bytes(b"")
    else:  # a bit of a picture
        at = data.index(b"\xff\xd8\xff") + 200
        shard.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize("pack", [None, PACK], ids=["documents", "packs"])
@pytest.mark.parametrize("how", ["vanished", "truncated", "empty", "flipped"])
def test_a_damaged_shard_stops_with_its_name_or_is_skipped_and_counted(corpus_folder, tmp_path, how, pack):
    folder = shutil.copytree(corpus_folder, tmp_path / "corpus")
    damage(how, folder / "data/shard-00001.parquet")
    corpus = Corpus(folder)
    with pytest.raises(CorpusError, match="shard-00001"):
        list(dataset(corpus, pack))
    going = dataset(corpus, pack, on_bad_shard="skip")
    found = list(going)
    lost = counts(found)["shard"]
    if pack is None:
        assert len(found) + lost == 120
    if how == "flipped":  # its row group alone
        assert lost in corpus.groups[:, 3]
    else:
        assert lost == corpus.shards[1].rows
    progress = going.progress()
    for sample in found:
        progress.used(sample.positions)
    assert progress.state_dict()["at"] == []  # what was skipped, at the end too, counts as done


class Faulty(LocalFileSystem):
    """A store that fails on some reads, gives a few bytes at a time, or ends early without a word."""

    protocol = "faulty"
    failing: Iterator[bool] = iter(())
    trickle = 0
    opened: ClassVar[Counter[str]] = Counter()

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).replace("faulty://", "file://"))

    def _open(self, path, mode="rb", **options):
        Faulty.opened[Path(path).name] += 1
        if next(Faulty.failing, False):
            raise ConnectionResetError("the store hung up")
        file = super()._open(path, mode, **options)
        if Faulty.trickle:
            whole = file.read
            file.read = lambda size=-1: whole(min(size, Faulty.trickle) if size > 0 else Faulty.trickle)
        return file


@pytest.fixture
def store(corpus_folder):
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    Faulty.failing, Faulty.trickle, Faulty.opened = iter(()), 0, Counter()
    return f"faulty://{corpus_folder}"


def test_a_store_that_fails_every_other_time_changes_nothing(store, corpus_folder, tmp_path):
    Faulty.failing = (bool(number % 2) for number in range(10**6))
    far = Corpus(store, cache=Cache(tmp_path / "cache"))
    near = [sample.doc_id for sample in dataset(Corpus(corpus_folder))]
    assert [sample.doc_id for sample in dataset(far)] == near
    assert sum(Faulty.opened.values()) > len(Faulty.opened)


def test_a_store_that_gives_a_few_bytes_at_a_time_changes_nothing(store, tmp_path):
    Faulty.trickle = 4096
    found = list(dataset(Corpus(store, cache=Cache(tmp_path / "cache"), verify=True)))
    assert len(found) == 120
    assert set(Faulty.opened.values()) == {1}


def test_a_store_that_is_gone_stops_with_one_error_or_is_skipped_and_counted(store, tmp_path):
    far = Corpus(store, cache=Cache(tmp_path / "cache"))
    far.local(0)
    far.local(1)
    Faulty.failing = iter([True] * 10**6)
    with pytest.raises(CorpusError, match="could not be fetched in 4 attempts: the store hung up"):
        list(dataset(far))
    found = list(dataset(far, on_bad_shard="skip"))
    assert len(found) + counts(found)["shard"] == 120
    assert counts(found)["shard"] == far.shards[2].rows
