"""`plait import` and `plait export` as a user runs them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from plait.jobs.auditing import audit
from plait.jobs.cli import app
from plait.jobs.filling import fill
from plait.jobs.importing import named_files
from plait.loader import Corpus
from plait.loader.export import FORMATS
from plait.schemas.errors import ConfigError
from tests.archives import picture
from tests.jobs.test_fetch import MANNERS, site


def plait(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 documents as MMC4 has them, pictures inside, in two files."""
    folder = tmp_path_factory.mktemp("mmc4")
    for part in range(2):
        rows = []
        for number in range(part * 10, part * 10 + 10):
            data = base64.b64encode(picture(200, 160, number)).decode()
            image = {"raw_url": f"http://x.test/{number}.jpg", "matched_text_index": 1, "image_base64": data}
            texts = [f"First of {number}.", f"Second of {number}."]
            rows.append(json.dumps({"url": f"http://x.test/{number}", "text_list": texts, "image_info": [image]}))
        (folder / f"docs_{part}.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def corpus(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "corpus"
    done = plait("import", lines, "--format", "mmc4", "--out", folder, "--shard-docs", "8")
    assert done.exit_code == 0, done.output
    assert "20 documents in 3 shards, 20 pictures and 0 URLs" in done.output
    return folder


def test_an_imported_corpus_opens_and_its_books_balance(corpus: Path) -> None:
    opened = Corpus(corpus)
    assert len(opened) == opened.manifest.totals.images == 20
    assert opened.manifest.recipe.name == "import of mmc4"
    assert audit(str(corpus)).faults == ()


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_format_is_a_command(form: str, corpus: Path, tmp_path: Path) -> None:
    done = plait("export", corpus, "--format", form, "--out", tmp_path / "out", "--shard-docs", "8")
    assert done.exit_code == 0, done.output
    assert "20 samples of 20 documents in 3 files" in done.output
    assert len(list((tmp_path / "out").iterdir())) >= 3
    assert form in plait("export", "--help").output.replace("\n", " ")


def test_a_sample_is_the_same_every_time(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        words = ("export", corpus, "--format", "text", "--out", tmp_path / name, "--sample", "5", "--seed", "3")
        assert "5 samples of 5 documents" in plait(*words).output
    one, two = (pq.read_table(tmp_path / name).column("id").to_pylist() for name in ("one", "two"))
    assert one == two
    assert len(one) == 5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("export", "CORPUS", "--format", "nope", "--out", "TMP/x"), 2, "there are: webdataset"),
        (("export", "CORPUS", "--format", "mds", "--out", "CORPUS"), 2, "not empty"),
        (("export", "CORPUS", "--format", "mds", "--out", "s3://bucket/x"), 2, "is a URL"),
        (("export", "CORPUS", "--format", "mds", "--out", "TMP/x", "--shard-docs", "0"), 2, "at least 1"),
        (("export", "CORPUS", "--format", "mds", "--out", "TMP/x", "--sample", "0"), 2, "--sample"),
        (("export", "TMP/none", "--format", "mds", "--out", "TMP/x"), 1, "cannot be opened"),
        (("import", "TMP/none", "--format", "mmc4", "--out", "TMP/x"), 2, "names no file"),
        (("import", "s3://bucket/x", "--format", "mmc4", "--out", "TMP/x"), 2, "is a URL"),
        (("import", "LINES", "--format", "nope", "--out", "TMP/x"), 2, "there are: obelics"),
        (("import", "LINES", "--format", "obelics", "--out", "TMP/x"), 2, "is no file of obelics"),
        (("import", "LINES", "--format", "mmc4", "--out", "CORPUS"), 2, "not empty"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    words: tuple[str, ...], code: int, said: str, corpus: Path, lines: Path, tmp_path: Path
) -> None:
    places = {"CORPUS": str(corpus), "LINES": str(lines)}
    done = plait(*(places.get(word, word.replace("TMP", str(tmp_path))) for word in words))
    assert done.exit_code == code
    assert said in done.output
    assert done.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of it, to a real process."""
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a suite in the background has it ignored
        "from plait.jobs.cli import app\n"
        "from plait.loader import corpus\n"
        "whole = corpus.Corpus.rows\n"
        "def rows(self, columns=None):\n"
        "    for number, row in enumerate(whole(self, columns)):\n"
        "        if number == 12:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        yield row\n"
        "corpus.Corpus.rows = rows\n"
        "app(sys.argv[1:])\n"
    )
    words = ["export", str(corpus), "--format", "webdataset", "--out", str(tmp_path / "x"), "--shard-docs", "8"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "begins anew" in done.stdout + done.stderr
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_paths_globs_and_folders_name_each_file_once(tmp_path: Path) -> None:
    for name in ("a.parquet", "sub/b.jsonl.gz", "sub/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = named_files([str(tmp_path), str(tmp_path / "*.parquet"), str(tmp_path / "sub/notes.txt")])
    assert [path.name for path in found] == ["a.parquet", "b.jsonl.gz", "notes.txt"]
    with pytest.raises(ConfigError, match="names no file"):
        named_files([str(tmp_path / "*.zip")])


@pytest.mark.slow
def test_an_imported_corpus_of_urls_is_filled(tmp_path: Path) -> None:
    with site() as server:
        rows = []
        for number in range(12):
            url = f"http://127.0.0.2:{server.server.port}/img/{number}.jpg"
            rows.append(
                {
                    "images": [None, url],
                    "texts": [f"Words about picture {number}.", None],
                    "metadata": json.dumps([None, {"src": url, "alt_text": "alt"}]),
                    "general_metadata": json.dumps({"url": f"http://page.test/{number}"}),
                }
            )
        (tmp_path / "obelics").mkdir()
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "obelics/part.parquet")
        done = plait("import", tmp_path / "obelics", "--format", "obelics", "--out", tmp_path / "urls")
        assert "12 URLs of pictures" in done.output
        assert f"plait fill {tmp_path / 'urls'}" in done.output.replace("\n", " ")
        filled = fill(str(tmp_path / "urls"), str(tmp_path / "filled"), MANNERS, workers=1)
    assert (filled.totals.documents, filled.totals.images, filled.totals.image_urls) == (12, 12, 0)
    for document in Corpus(tmp_path / "filled"):
        assert document.images[0].decode().size == (320, 240)
