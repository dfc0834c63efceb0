"""Reading a corpus: rows, ids, filters, samples, tables; and what is said where something is wrong."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from plait.loader import Cache, Corpus, Picture, Text
from plait.schemas.errors import ConfigError, CorpusError


@pytest.fixture
def copied(corpus_folder, tmp_path):
    return shutil.copytree(corpus_folder, tmp_path / "copy")


def test_documents_come_in_global_order_with_all_their_nodes(corpus_folder):
    corpus = Corpus(corpus_folder)
    documents = list(corpus)
    assert len(documents) == len(corpus) == 120
    keys = [document.fields["order_key"] for document in documents]
    assert keys == sorted(keys)
    table = pq.read_table(sorted((corpus_folder / "data").iterdir())).to_pylist()
    for document, row in zip(documents, table, strict=True):
        assert document.doc_id == row["doc_id"]
        assert len(document.nodes) == len(row["texts"])
        for slot, node in enumerate(document.nodes):
            if isinstance(node, Text):
                assert (node.text, node.tag) == (row["texts"][slot], row["tags"][slot])
            elif row["images"][slot] is None:
                assert node.data is None
                assert node.url == row["image_info"][slot]["url"]
            else:
                assert bytes(node.data) == row["images"][slot]["bytes"]
                assert node.decode().size == (node.info["width"], node.info["height"])


def test_row_and_id_find_the_same_document(corpus_folder):
    corpus = Corpus(corpus_folder)
    for place in (0, 5, 41, 119):
        document = corpus[place]
        assert corpus.get(document.doc_id).nodes == document.nodes
        assert corpus.get(document.doc_id.hex()).doc_id == document.doc_id
        assert corpus.row_of(document.doc_id) == place
    assert corpus[-1].doc_id == corpus[119].doc_id
    with pytest.raises(IndexError):
        corpus[120]
    with pytest.raises(KeyError):
        corpus.get(bytes(16))
    with pytest.raises(ConfigError, match="no document id"):
        corpus.get("xyz")


def test_filter_is_a_view_that_can_be_filtered_again(corpus_folder):
    corpus = Corpus(corpus_folder)
    german = corpus.filter(pc.field("lang") == "de")
    assert {document.lang for document in german} == {"de"}
    assert len(german) == 40
    large = german.filter(pc.field("words") >= 60)
    assert sorted(document.fields["words"] for document in large) == [float(n) for n in range(61, 120, 3)]
    assert large[0].doc_id == next(iter(large)).doc_id
    english = next(iter(corpus.filter(pc.field("lang") == "en")))
    with pytest.raises(KeyError):
        german.get(english.doc_id)
    with pytest.raises(ConfigError, match="cannot be applied"):
        corpus.filter(pc.field("no_such") == 1)


def test_sample_is_drawn_by_seed_without_repetition(corpus_folder):
    corpus = Corpus(corpus_folder)
    drawn = [document.doc_id for document in corpus.sample(20, seed=3)]
    assert len(set(drawn)) == 20
    assert drawn == [document.doc_id for document in corpus.sample(20, seed=3)]
    assert drawn != [document.doc_id for document in corpus.sample(20, seed=4)]
    assert len(corpus.sample(999)) == 120


def test_tables_leave_pictures_out_unless_asked(corpus_folder):
    corpus = Corpus(corpus_folder)
    table = corpus.to_arrow()
    assert table.num_rows == 120
    assert "images" not in table.schema.names
    assert corpus.to_arrow(["url", "lang"]).column_names == ["url", "lang"]
    assert corpus.filter(pc.field("lang") == "zh").to_pandas(["words"])["words"].mean() == pytest.approx(60.5)
    with pytest.raises(ConfigError, match="no column 'nope'"):
        corpus.to_arrow(["nope"])


def test_duckdb_queries_corpus_and_views(corpus_folder):
    corpus = Corpus(corpus_folder)
    assert corpus.duckdb().aggregate("lang, count(*) as n", "lang").order("lang").fetchall() == [
        ("de", 40), ("en", 40), ("zh", 40),
    ]  # fmt: skip
    assert corpus.filter(pc.field("words") < 7).duckdb().count("*").fetchall() == [(7,)]


def test_text_alone_reads_no_picture(corpus_folder):
    documents = list(Corpus(corpus_folder).documents(["doc_id", "texts", "tags"]))
    assert sum(len(document.texts) for document in documents) > 120
    assert not any(document.images for document in documents)


def test_urls_without_bytes_are_pictures_without_data(corpus_folder):
    pictures = [p for document in Corpus(corpus_folder).documents(["image_info"]) for p in document.images]
    assert len(pictures) == 200
    assert all(isinstance(p, Picture) and p.data is None and p.url for p in pictures)
    with pytest.raises(CorpusError, match="URL of this picture only"):
        pictures[0].decode()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damaged_shard_is_one_clear_error(copied, damage):
    shard = sorted((copied / "data").iterdir())[1]
    data = bytearray(shard.read_bytes())
    if damage == "flip":
        picture = next(p for d in Corpus(copied).sample(120) for p in d.images if p.data and bytes(p.data) in data)
        data[data.index(bytes(picture.data)) + len(picture.data) // 2] ^= 4
        shard.write_bytes(data)
    elif damage == "cut":
        shard.write_bytes(data[: len(data) // 2])
    else:
        shard.unlink()
    with pytest.raises(CorpusError, match="shard-00001"):
        Corpus(copied).verify()
    with pytest.raises(CorpusError, match="shard-00001"):
        list(Corpus(copied))
    with pytest.raises(CorpusError, match="shard-00001"):
        list(Corpus(copied, verify=True))


def test_a_shard_of_another_corpus_is_one_clear_error(copied):
    shards = sorted((copied / "data").iterdir())
    table = pq.read_table(shards[1])
    pq.write_table(table.slice(0, 3), shards[1])
    with pytest.raises(CorpusError, match=r"shard-00001.*has 3 documents in 1 row groups"):
        list(Corpus(copied))


def test_folder_that_is_no_corpus(tmp_path):
    with pytest.raises(CorpusError, match="cannot be opened as a corpus"):
        Corpus(tmp_path)


def test_remote_corpus_is_read_through_a_bounded_cache(corpus_folder, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(corpus_folder), "/far/corpus", recursive=True)
    largest = max(path.stat().st_size for path in (corpus_folder / "data").iterdir())
    cache = Cache(tmp_path / "cache", max_bytes=largest + 20_000)
    far = Corpus("memory://far/corpus", cache=cache)
    near = Corpus(corpus_folder)
    assert [d.doc_id for d in far] == [d.doc_id for d in near]
    held = sum(path.stat().st_size for path in cache.path.iterdir() if not path.name.startswith("."))
    assert held <= cache.max_bytes
    with pytest.raises(CorpusError, match="no file memory://far/nothing"):
        Corpus("memory://far/nothing", cache=cache)
    memory.rm("/far", recursive=True)


def test_reading_needs_numpy_pyarrow_and_pillow_alone(corpus_folder):
    code = f"""
import importlib.abc, importlib.metadata, sys

top_levels = set(importlib.metadata.packages_distributions()) - {{"numpy", "pyarrow", "PIL", "pillow", "plait"}}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in top_levels and not name.startswith("_"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
from plait.loader import Corpus
corpus = Corpus({str(corpus_folder)!r})
print(sum(p.decode().width > 0 for document in corpus for p in document.images if p.data), len(corpus.sample(9)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("180 9\n", "")


def test_documents_and_corpora_can_be_sent_to_other_processes(corpus_folder):
    corpus = Corpus(corpus_folder)
    document = corpus[9]
    assert pickle.loads(pickle.dumps(document)) == document
    assert pickle.loads(pickle.dumps(corpus))[9] == document


def test_rows_of_a_view_are_numbered_in_it(corpus_folder):
    corpus = Corpus(corpus_folder)
    rows = np.array([3, 50, 51, 119])
    view = Corpus(corpus_folder, rows=rows)
    assert [view[n].doc_id for n in range(4)] == [corpus[int(n)].doc_id for n in rows]


def test_store_that_fails_now_and_then_is_asked_again(corpus_folder, tmp_path):
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Flaky(MemoryFileSystem):
        protocol = "flaky"
        store, pseudo_dirs = {}, [""]
        failures = 0

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("flaky://", "memory://"))

        def _open(self, path, mode="rb", **options):
            if mode == "rb" and Flaky.failures:
                Flaky.failures -= 1
                raise ConnectionResetError("the store hung up")
            return super()._open(path, mode, **options)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    fsspec.filesystem("flaky").put(str(corpus_folder), "/corpus", recursive=True)
    Flaky.failures = 3
    assert len(Corpus("flaky://corpus", cache=Cache(tmp_path / "a"))) == 120
    assert Flaky.failures == 0
    Flaky.failures = 4
    with pytest.raises(CorpusError, match="could not be fetched in 4 attempts: the store hung up"):
        Corpus("flaky://corpus", cache=Cache(tmp_path / "b"))
    assert not [path for path in (tmp_path / "b").iterdir() if path.suffix == ".part"]
