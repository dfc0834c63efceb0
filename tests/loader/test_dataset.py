"""The torch dataset: exact over ranks, workers, resumes and mixtures, with and without packing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from plait.loader import Corpus, ImageTokens, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source, Tiles
from plait.schemas.errors import ConfigError, CorpusError

torch = pytest.importorskip("torch", reason="needs the extra train")
from torch.utils.data import DataLoader  # noqa: E402

from plait.loader import InterleavedDataset, in_step  # noqa: E402

WORLDS = (1, 2, 3, 5, 8)
WORKERS = (0, 1, 2, 4)
SMALL = SampleRecipe(pixels=Resize(16))


def tokenize(text: str) -> list[int]:
    return [10 + byte for byte in text.encode()]


PACK = PackRecipe(
    tokenize,
    "bytes",
    SequenceRecipe(ImageTokens(1, each=4, start=2, end=3), bos=5, eos=6),
    max_tokens=300,
    max_images=4,
)


@dataclass(frozen=True)
class Marked:
    """Pictures as a mark of their bytes: which picture stands where is told without the cost of decoding."""

    side: int = 16

    def images(self, width: int, height: int) -> int:
        return 1

    def apply(self, data: bytes | memoryview) -> list[np.ndarray]:
        return [np.frombuffer(hashlib.blake2b(data, digest_size=12).digest(), np.uint8).reshape(2, 2, 3)]


MARKED = SampleRecipe(pixels=Marked())


class Held(Corpus):
    """A corpus whose row groups are read once: for what looks at many epochs of it."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.held: dict[tuple, object] = {}

    def group_documents(self, group: int, columns: Sequence[str] | None = None):
        key = (group, tuple(columns or ()))
        if key not in self.held:
            self.held[key] = super().group_documents(group, columns)
        return self.held[key]


@pytest.fixture(scope="module")
def mixture(corpus_folder, make_corpus):
    large, small = Held(corpus_folder), Held(make_corpus(50, 2, 4, salt="b"))
    return lambda: Order((Source(large, 2.0), Source(small, 1.0)), seed=7, window=12)


@pytest.fixture(scope="module")
def single(corpus_folder):
    return lambda: Order((Source(Corpus(corpus_folder)),), seed=7, window=10)


def name(sample) -> tuple:
    """What a sample is, whoever read it."""
    if hasattr(sample, "tokens"):
        digest = hash((sample.tokens.tobytes(), sample.labels.tobytes(), *(image.tobytes() for image in sample.images)))
        return (*(position[:2] for position in sample.positions[-1:]), digest)
    return (*(position[:2] for position in sample.positions[-1:]), sample.doc_id)


def streams(order, world, workers, *, pack=None, states=None, recipe=SMALL) -> list[tuple[InterleavedDataset, list]]:
    """Every stream's dataset and samples, without processes: workers are told apart by the function torch asks."""
    found = []
    for rank in range(world):
        for worker in range(max(workers, 1)):
            dataset = InterleavedDataset(order, recipe, pack=pack, rank=rank, world=world)
            if states:
                dataset.load_state_dict(states)
            base = dataset._base
            found.append((dataset, list(dataset._stream(base, base, worker, max(workers, 1)))))
    return found


@pytest.mark.parametrize("pack", [None, PACK], ids=["documents", "packs"])
def test_worlds_and_workers_share_an_epoch_without_loss_or_repetition(mixture, pack):
    order = mixture()
    whole = [name(sample) for sample in streams(order, 1, 0, pack=pack, recipe=MARKED)[0][1]]
    assert len(set(whole)) == len(whole)
    for world in WORLDS:
        for workers in WORKERS:
            made = streams(order, world, workers, pack=pack, recipe=MARKED)
            shared = [[name(sample) for sample in found] for _, found in made]
            assert Counter(one for part in shared for one in part) == Counter(whole)
            place = {one: number for number, one in enumerate(whole)}
            for part in shared:  # every stream keeps the global order
                assert [place[one] for one in part] == sorted(place[one] for one in part)


def test_documents_of_one_corpus_come_once_an_epoch(single):
    order = single()
    ids = [sample.doc_id for _, found in streams(order, 3, 2) for sample in found]
    assert sorted(ids) == sorted(document.doc_id for document in order.sources[0].corpus)


@pytest.mark.parametrize("pack", [None, PACK], ids=["documents", "packs"])
def test_saved_on_one_shape_and_loaded_on_another_goes_on_exactly(mixture, pack):
    """200 random (place, shape, shape) triples: what was used and what follows is the whole epoch, once."""
    order = mixture()
    rng = np.random.default_rng(11)
    made = {}

    def shape(world, workers):
        if (world, workers) not in made:
            made[world, workers] = streams(order, world, workers, pack=pack, recipe=MARKED)
        return made[world, workers]

    whole = Counter(name(sample) for sample in shape(1, 0)[0][1])
    second = InterleavedDataset(order, MARKED, pack=pack)
    second.set_epoch(1)
    following = Counter(name(sample) for sample in second)
    for _ in range(200):
        world, workers = int(rng.choice(WORLDS)), int(rng.choice(WORKERS))
        parts = shape(world, workers)
        share = rng.random()
        used = Counter()
        states = []
        for rank in range(world):
            mine = parts[rank * max(workers, 1) : (rank + 1) * max(workers, 1)]
            progress = mine[0][0].progress()
            for _, found in mine:
                taken = found[: int(len(found) * share + rng.integers(0, 3))]
                for sample in taken:
                    progress.used(sample.positions)
                    used[name(sample)] += 1
            states.append(json.loads(json.dumps(progress.state_dict())))
        after_world, after_workers = int(rng.choice(WORLDS)), int(rng.choice(WORKERS))
        after = streams(order, after_world, after_workers, pack=pack, states=states, recipe=MARKED)
        rest = Counter(name(sample) for _, found in after for sample in found)
        assert not used - whole
        assert rest == (whole - used or following)  # where nothing is left, the next epoch comes


def test_a_resumed_stream_packs_one_window_again_and_no_more(single):
    texts = []

    def counted(text):
        texts.append(text)
        return tokenize(text)

    order, pack = single(), replace(PACK, tokenize=counted)
    whole = list(InterleavedDataset(order, MARKED, pack=pack))
    at = next(number for number, one in enumerate(whole) if one.positions[-1][:2] == (6, 2))
    progress = InterleavedDataset(order, MARKED, pack=pack).progress()
    for one in whole[: at + 1]:
        progress.used(one.positions)
    resumed = InterleavedDataset(order, MARKED, pack=pack)
    resumed.load_state_dict(progress.state_dict())
    texts.clear()
    following = next(iter(resumed))
    assert name(following) == name(whole[at + 1])
    window = [order.sources[0].corpus.group_documents(place.group)[place.row] for place in order.places(6)]
    assert len(texts) == sum(len(document.texts) for document in window)


def test_real_workers_and_prefetch_blur_nothing(single):
    """A run with two worker processes stops after five batches; another with three goes on."""
    order = single()
    dataset = InterleavedDataset(order, SMALL)
    progress = dataset.progress()
    used = []
    loader = iter(DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=list, prefetch_factor=4))
    for _ in range(5):
        for sample in next(loader):
            progress.used(sample.positions)
            used.append(sample.doc_id)
    del loader
    again = InterleavedDataset(order, SMALL)
    again.load_state_dict(progress.state_dict())
    rest = [
        sample.doc_id for batch in DataLoader(again, batch_size=4, num_workers=3, collate_fn=list) for sample in batch
    ]
    assert sorted(used + rest) == sorted(document.doc_id for document in order.sources[0].corpus)


def test_undecoded_pictures_come_out_of_workers_as_bytes(single):
    loader = DataLoader(
        InterleavedDataset(single(), SampleRecipe(pixels=None)), batch_size=8, num_workers=2, collate_fn=list
    )
    nodes = [node for batch in loader for sample in batch for node in sample.nodes]
    assert sum(isinstance(node, bytes) for node in nodes) == 180


def test_next_epoch_follows_and_is_another_order(single):
    order = single()
    dataset = InterleavedDataset(order, SMALL)
    progress = dataset.progress()
    first = list(dataset)
    for sample in first:
        progress.used(sample.positions)
    dataset.set_epoch(1)
    second = list(dataset)
    assert [s.doc_id for s in first] != [s.doc_id for s in second]
    assert sorted(s.doc_id for s in first) == sorted(s.doc_id for s in second)
    for sample in second[:17]:
        progress.used(sample.positions)
    resumed = InterleavedDataset(order, SMALL)
    resumed.load_state_dict(progress.state_dict())
    assert resumed.epoch == 1
    assert [s.doc_id for s in resumed] == [s.doc_id for s in second[17:]]


def test_state_of_another_order_or_packing_is_refused(single, mixture):
    state = InterleavedDataset(single(), SMALL).progress().state_dict()
    for other in (InterleavedDataset(mixture(), SMALL), InterleavedDataset(single(), SMALL, pack=PACK)):
        with pytest.raises(ConfigError, match="another order"):
            other.load_state_dict(state)
    packed = InterleavedDataset(single(), SMALL, pack=PACK).progress().state_dict()
    with pytest.raises(ConfigError, match="another order"):  # tiles would be packed otherwise
        InterleavedDataset(single(), SampleRecipe(pixels=Tiles(16)), pack=PACK).load_state_dict(packed)
    with pytest.raises(ConfigError, match="rank 2"):
        InterleavedDataset(single(), SMALL, rank=2, world=2)
    alone = InterleavedDataset(single(), SMALL, rank=0, world=2).progress().state_dict()
    with pytest.raises(ConfigError, match="rank 1 among them"):  # what rank 1 used would come again
        InterleavedDataset(single(), SMALL).load_state_dict(alone)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SampleRecipe(view="nature"),
        lambda: SampleRecipe(on_failure="place_holder"),
        lambda: SampleRecipe(on_bad_shard="ignore"),
        lambda: SampleRecipe(max_images=-1),
        lambda: Resize(0),
        lambda: Resize(32, "stretch"),
    ],
    ids=["view", "on_failure", "on_bad_shard", "max_images", "side", "how"],
)
def test_a_misspelt_setting_is_refused_and_not_taken_for_another(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_in_step_stops_or_pads_alone():
    assert list(in_step(iter([1, 2]))) == [(1, True), (2, True)]
    assert list(in_step(iter([]))) == []


RANKS = """
import json, sys
import torch.distributed as dist
from plait.loader import Corpus, InterleavedDataset, Order, Resize, SampleRecipe, Source, in_step
folder, rank, world, store, out = sys.argv[1:]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(world))
dataset = InterleavedDataset(Order((Source(Corpus(folder)),), seed=7, window=10), SampleRecipe(pixels=Resize(8)))
steps = {
    ends: [(sample.doc_id.hex(), fresh) for sample, fresh in in_step(iter(dataset), ends)] for ends in ("stop", "pad")
}
open(f"{out}-{rank}", "w").write(json.dumps(steps))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_uneven_ranks_make_the_same_number_of_steps(corpus_folder, tmp_path):
    """Five real processes over gloo; 12 windows, so the ranks' shares differ."""
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    world, words = 5, [f"{tmp_path}/store", f"{tmp_path}/o"]
    running = [
        subprocess.Popen([sys.executable, str(script), str(corpus_folder), str(rank), str(world), *words])
        for rank in range(world)
    ]
    assert [process.wait(120) for process in running] == [0] * world
    ranks = [json.loads(Path(f"{tmp_path}/o-{rank}").read_text()) for rank in range(world)]
    for ends, fresh, steps in (("stop", 100, 100), ("pad", 120, 150)):
        assert len({len(rank[ends]) for rank in ranks}) == 1
        new = [doc for rank in ranks for doc, is_new in rank[ends] if is_new]
        assert len(set(new)) == len(new) == fresh
        assert sum(len(rank[ends]) for rank in ranks) == steps


GLOO = """
import json, sys
import torch.distributed as dist
from torch.utils.data import DataLoader
from plait.loader import (
    Corpus, ImageTokens, InterleavedDataset, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source, in_step
)
folders, rank, world, workers, store, state, steps, out = sys.argv[1:]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(world))
one, two = folders.split(",")
order = Order((Source(Corpus(one), 2.0), Source(Corpus(two), 1.0)), seed=7, window=12)
pack = PackRecipe(
    lambda text: list(text.encode()), "bytes", SequenceRecipe(ImageTokens(300, each=4)), max_tokens=300, max_images=4
)
dataset = InterleavedDataset(order, SampleRecipe(pixels=Resize(16)), pack=pack)
if state != "-":
    dataset.load_state_dict(json.load(open(state)))
progress = dataset.progress()
used = []
loader = DataLoader(dataset, batch_size=2, num_workers=int(workers), collate_fn=list)
for step, (batch, fresh) in enumerate(in_step(iter(loader), "pad")):
    if step == int(steps):
        break
    if fresh:
        for made in batch:
            progress.used(made.positions)
            used.append([list(made.positions[-1][:2]), made.tokens.tolist()])
states = [None] * int(world)
dist.all_gather_object(states, progress.state_dict())
json.dump([used, states], open(f"{out}-{rank}", "w"))
dist.destroy_process_group()
"""


def gloo(folders: str, tmp_path: Path, name_: str, shape: tuple[int, int], state: str, steps: int) -> list:
    """Packs that the ranks of a world used, and the states they gathered."""
    world, workers = shape
    (tmp_path / "gloo.py").write_text(GLOO)
    out = str(tmp_path / name_)
    running = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "gloo.py"), folders, str(rank), str(world), str(workers), f"{out}-store",
             state, str(steps), out]
        )
        for rank in range(world)
    ]  # fmt: skip
    assert [process.wait(240) for process in running] == [0] * world
    found = [json.loads(Path(f"{out}-{rank}").read_text()) for rank in range(world)]
    assert all(states == found[0][1] for _, states in found)
    return [sorted(pack for used, _ in found for pack in used), found[0][1]]


@pytest.mark.slow
def test_real_ranks_save_on_one_shape_and_go_on_on_another(corpus_folder, make_corpus, tmp_path):
    """A mixture, packed, over gloo and worker processes, stopped twice: what all used is the whole epoch, once."""
    folders = f"{corpus_folder},{make_corpus(50, 2, 4, salt='b')}"
    whole, _ = gloo(folders, tmp_path, "whole", (1, 0), "-", 10**6)
    found, state = [], "-"
    for number, (shape, steps) in enumerate([((1, 2), 5), ((3, 0), 3), ((2, 1), 10**6)]):
        used, states = gloo(folders, tmp_path, f"run{number}", shape, state, steps)
        assert used
        found += used
        state = str(tmp_path / f"state{number}")
        Path(state).write_text(json.dumps(states))
    assert sorted(found) == whole


def test_stateful_dataloader_resumes_at_an_equal_worker_count(single):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
    order = single()

    def loader():
        return stateful.StatefulDataLoader(
            InterleavedDataset(order, SMALL), batch_size=3, num_workers=2, collate_fn=list
        )

    one = loader()
    begun = iter(one)
    used = [sample.doc_id for _ in range(9) for sample in next(begun)]
    state = one.state_dict()
    two = loader()
    two.load_state_dict(state)
    rest = [sample.doc_id for batch in two for sample in batch]
    assert sorted(used + rest) == sorted(document.doc_id for document in order.sources[0].corpus)


def test_stateful_dataloader_at_another_worker_count_is_refused(single):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")

    def loader(workers):
        return stateful.StatefulDataLoader(
            InterleavedDataset(single(), SMALL), batch_size=3, num_workers=workers, collate_fn=list
        )

    one = loader(2)
    next(iter(one))
    state = one.state_dict()
    other = loader(1)
    other.load_state_dict(state)
    with pytest.raises(ConfigError, match="equal worker count"):
        next(iter(other))


def test_pictures_that_a_sample_leaves_out_are_never_decoded(single):
    decoded = []

    class Counted(Resize):
        def apply(self, data):
            decoded.append(len(data))
            return super().apply(data)

    found = list(InterleavedDataset(single(), SampleRecipe(pixels=Counted(16), max_images=1)))
    assert len(found) == 120
    assert len(decoded) == sum(len(sample.images) for sample in found) == 90


@pytest.fixture
def damaged(corpus_folder, tmp_path):
    """A copy with two broken pictures, whose pages' checksums are valid: broken before they were packed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from plait.pipeline.publish import write_corpus
    from plait.schemas.manifest import Manifest

    manifest = Manifest.from_json((corpus_folder / "manifest.json").read_text())
    shards = []
    broken = 0
    for path in sorted((corpus_folder / "data").iterdir()):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            for image in row["images"]:
                if image and broken < 2 and image["path"].endswith("jpg"):
                    image["bytes"] = image["bytes"][:200]
                    broken += 1
        shards.append([pa.RecordBatch.from_pylist(rows, schema=pq.read_schema(path))])
    write_corpus(tmp_path / "broken", pq.read_schema(path), shards, manifest)
    return tmp_path / "broken"


@pytest.mark.parametrize("policy", ["skip_image", "skip_document", "placeholder", "raise"])
def test_broken_pictures_cost_what_the_policy_says_and_are_counted(damaged, policy):
    order = Order((Source(Corpus(damaged)),), window=10)
    recipe = SampleRecipe(pixels=Resize(16), on_failure=policy)
    dataset = InterleavedDataset(order, recipe)
    if policy == "raise":
        with pytest.raises(OSError, match="cannot be decoded"):
            list(dataset)
        return
    found = list(dataset)
    counts = Counter()
    for sample in found:
        counts.update(sample.failed)
    images = sum(len(sample.images) for sample in found)
    if policy == "skip_image":
        assert (len(found), images, counts) == (120, 178, {"image": 2})
    elif policy == "placeholder":
        assert (len(found), images, counts) == (120, 180, {"placeholder": 2})
    else:
        assert len(found) == 120 - counts["document"]
        assert 1 <= counts["document"] <= 2
    progress = dataset.progress()
    for sample in found:
        progress.used(sample.positions)
    assert progress.state_dict()["at"] in ([], [[11, 9]])  # at most the epoch's very last document was skipped


def test_shard_that_cannot_be_read_stops_or_is_skipped_and_counted(corpus_folder, tmp_path):
    copy = shutil.copytree(corpus_folder, tmp_path / "copy")
    (copy / "data/shard-00001.parquet").unlink()
    corpus = Corpus(copy)
    lost = corpus.shards[1].rows
    order = Order((Source(corpus),), window=10)
    with pytest.raises(CorpusError, match="shard-00001"):
        list(InterleavedDataset(order, SMALL))
    found = list(InterleavedDataset(order, SampleRecipe(pixels=Resize(16), on_bad_shard="skip")))
    assert len(found) == 120 - lost
    assert sum(sample.failed.get("shard", 0) for sample in found) <= lost


def test_pairs_take_caption_alternative_text_or_the_text_before(single):
    pairs = list(InterleavedDataset(single(), SampleRecipe(view="pairs", pixels=Resize(16))))
    assert len(pairs) == 180
    assert {pair.texts[0] for pair in pairs} == {"alt"}
    assert all(len(pair.images) == 1 and pair.images[0].shape == (16, 16, 3) for pair in pairs)


def test_text_view_reads_no_picture(single):
    recipe = SampleRecipe(view="text")
    assert "images" not in recipe.read
    found = list(InterleavedDataset(single(), recipe))
    assert len(found) == 120
    assert not any(sample.images for sample in found)
