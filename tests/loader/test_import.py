"""Imports: what was exported comes back, in the corpus' own order, with the books balanced."""

from __future__ import annotations

import gzip
import json
import zipfile

import pyarrow.parquet as pq
import pytest

from plait.loader import Corpus, Picture, Text
from plait.loader.export import export
from plait.pipeline.import_corpus import import_corpus
from plait.schemas.errors import ConfigError


def nodes_of(document) -> tuple:
    """A document's nodes by what an import keeps of them: texts, and URLs or bytes of pictures."""
    return tuple(
        node.text if isinstance(node, Text) else (bytes(node.data) if node.data else node.url)
        for node in document.nodes
    )


def urls_of(document) -> tuple:
    return tuple(node.text if isinstance(node, Text) else node.url for node in document.nodes)


@pytest.mark.parametrize("form", ["obelics", "omnicorpus", "mmc4", "curator"])
def test_what_was_exported_comes_back(form, corpus_folder, tmp_path):
    export(str(corpus_folder), tmp_path / "export", form, shard_docs=50)
    files = sorted((tmp_path / "export").iterdir())
    made = import_corpus(files, form, tmp_path / "corpus", plait_version="0", shard_docs=30)
    corpus = Corpus(tmp_path / "corpus")
    keys = [document.fields["order_key"] for document in corpus]
    assert keys == sorted(keys)
    assert (corpus.manifest.fingerprint, made.funnel[0].balanced, made.funnel[0].entered) == (
        made.fingerprint,
        True,
        120,
    )
    original = list(Corpus(corpus_folder))
    if form == "curator":
        wanted = {nodes_of(document) for document in original if document.images}
        assert {nodes_of(document) for document in corpus} == wanted
    elif form == "mmc4":  # knows pictures with bytes alone, and puts them before their sentences: where they were
        wanted = {
            tuple(node for node in nodes_of(document) if not str(node).startswith("http://x"))
            for document in original
            if any(picture.data for picture in document.images)
        }
        assert {nodes_of(document) for document in corpus} == wanted
    else:
        assert {urls_of(document) for document in corpus} == {urls_of(d) for d in original if d.images}
        sizes = {p.url: p.info["width"] for d in corpus for p in d.images}
        assert all(sizes[p.url] == p.info["width"] for d in original for p in d.images)
    lost = sum(not document.images for document in original)
    expected = lost if form != "mmc4" else sum(not any(p.data for p in d.images) for d in original)
    assert made.funnel[0].dropped == {"no_image_left": expected}
    drops = pq.read_table(tmp_path / "corpus" / made.lists.drops).to_pylist()
    assert len(drops) == expected


def test_order_and_names_of_files_change_nothing_but_repetitions_are_dropped_once(corpus_folder, tmp_path):
    export(str(corpus_folder), tmp_path / "export", "obelics", shard_docs=50)
    files = sorted((tmp_path / "export").iterdir())
    one = import_corpus(files, "obelics", tmp_path / "one", plait_version="0")
    renamed = []
    for number, path in enumerate(reversed(files)):
        renamed.append(tmp_path / f"{number}.parquet")
        renamed[-1].write_bytes(path.read_bytes())
    two = import_corpus([*renamed, files[0]], "obelics", tmp_path / "two", plait_version="0")
    assert one.fingerprint == two.fingerprint
    assert two.funnel[0].dropped["duplicate_text"] > 0
    assert two.funnel[0].balanced


def test_mmc4_lines_plain_gzipped_and_zipped(tmp_path):
    info = [{"raw_url": "http://x/b", "matched_text_index": 1}, {"raw_url": "http://x/a", "matched_text_index": 0}]
    line = json.dumps({"url": "http://x", "text_list": ["one", "two"], "image_info": info}) + "\n"
    (tmp_path / "a.jsonl").write_text(line)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(line)
    with zipfile.ZipFile(tmp_path / "a.jsonl.zip", "w") as archive:
        archive.writestr("a.jsonl", line)
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zip"):
        import_corpus([tmp_path / name], "mmc4", tmp_path / f"corpus-{name}", plait_version="0")
        (document,) = Corpus(tmp_path / f"corpus-{name}")
        # Sentence order, whatever the order of the pictures: OpenFlamingo's reader gets this wrong.
        assert urls_of(document) == ("http://x/a", "one", "http://x/b", "two")
        assert all(isinstance(node, (Text, Picture)) for node in document.nodes)


@pytest.mark.parametrize(
    ("name", "content", "form", "message"),
    [
        ("a.parquet", b"no parquet", "obelics", "is no file of obelics"),
        ("a.jsonl", b"no json\n", "mmc4", "cannot be read as mmc4"),
        ("a.zip", b"no zip", "mmc4", "is no file of mmc4"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 9, mtime=0)[:-4], "mmc4", "is no file of mmc4"),  # cut off
        ("a.parquet", b"", "nope", "no format 'nope'"),
    ],
)
def test_wrong_input_is_one_clear_error(name, content, form, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        import_corpus([tmp_path / name], form, tmp_path / "out", plait_version="0")
    with pytest.raises(ConfigError, match="no file"):
        import_corpus([tmp_path / "gone"], "mmc4", tmp_path / "out", plait_version="0")
