"""A build end to end: the corpus, the books, resuming, determinism, clear errors."""

from __future__ import annotations

import base64
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from plait.jobs import Options, audit, build
from plait.jobs.cli import app
from plait.schemas.errors import ConfigError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, html, picture
from tests.jobs.corpora import prose, write_archives

SMALL = Options(shard_docs=8)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def corpus(archives: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "corpus"
    build([str(path) for path in archives], str(out), recipe="annotate", workers=2, options=SMALL)
    return out


def _manifest(corpus: Path) -> Manifest:
    return Manifest.from_json((corpus / "manifest.json").read_text())


def _rows(corpus: Path) -> list[dict[str, object]]:
    return [row for path in sorted((corpus / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_page_becomes_a_document_with_its_images_in_place(corpus: Path) -> None:
    rows = _rows(corpus)
    assert len({row["doc_id"] for row in rows}) == len(rows) == 24
    for row in rows:
        kinds = ["image" if image else "text" for image in row["images"]]
        assert kinds[0] == "text"
        assert [bool(text) for text in row["texts"]] == [kind == "text" for kind in kinds]
        # own picture, shared picture, one from the next archive; the redirected one repeats the shared one.
        assert kinds.count("image") == 3
        assert all(image["bytes"][:2] == b"\xff\xd8" for image in row["images"] if image)


def test_images_come_from_other_archives_and_through_redirects(corpus: Path) -> None:
    drops = pa.concat_tables(pq.read_table(path) for path in (corpus / "ledger/drops").glob("*.parquet")).to_pylist()
    reasons = {(drop["scope"], drop["reason"]) for drop in drops}
    assert ("image", "duplicate_in_document") in reasons  # what the redirect led to is the shared picture again
    assert ("image", "image_not_in_archives") in reasons
    assert ("document", "duplicate_text") in reasons
    for row in _rows(corpus):
        archives = {info["archive"] for info in row["image_info"] if info}
        assert len(archives) >= 2 or row["archive"] in archives


def test_books_balance_and_ledger_names_what_was_dropped(corpus: Path) -> None:
    found = audit(str(corpus))
    assert found.faults == ()
    manifest = _manifest(corpus)
    assert found.documents == manifest.totals.documents == 24
    assert found.fingerprint == manifest.fingerprint
    assert all(line.balanced for line in manifest.funnel)
    assert not (corpus / "work").exists()
    assert (corpus / "report.html").stat().st_size > 0
    assert (corpus / "README.md").read_text().startswith("---")


@pytest.mark.parametrize("workers", [1, 4])
def test_same_corpus_with_other_workers_order_and_folder(
    workers: int, archives: list[Path], corpus: Path, tmp_path: Path
) -> None:
    moved = [shutil.copy(path, tmp_path / path.name) for path in reversed(archives)]
    done = build(
        [str(path) for path in moved], str(tmp_path / "out"), recipe="annotate", workers=workers, options=SMALL
    )
    assert done.fingerprint == _manifest(corpus).fingerprint


def test_shard_size_and_format_do_not_change_the_rows(archives: list[Path], corpus: Path, tmp_path: Path) -> None:
    both = Options(formats=("webdataset", "parquet"), shard_docs=100)
    done = build([str(path) for path in archives], str(tmp_path / "out"), recipe="annotate", workers=2, options=both)
    assert done.fingerprint == _manifest(corpus).fingerprint
    assert audit(str(tmp_path / "out")).faults == ()


def test_finished_build_is_found_finished(archives: list[Path], corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    done = build([str(path) for path in archives], str(corpus), recipe="annotate", workers=2, options=SMALL)
    assert done == _manifest(corpus)
    assert before == {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}


def _start(archives: list[Path], out: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "plait.jobs",
        "build",
        *map(str, archives),
        "--out",
        str(out),
        "--recipe",
        "annotate",
    ]
    return subprocess.Popen(
        [*command, "--workers", "2", "--shard-docs", "8"],
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_same_corpus_after_twenty_kills(archives: list[Path], corpus: Path, tmp_path: Path) -> None:
    out, moments = tmp_path / "out", random.Random(7)
    kills = 0
    while kills < 20:
        running = _start(archives, out)
        try:
            running.wait(timeout=moments.uniform(0.3, 3.5))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            kills += 1
        else:
            # It finished before it was killed: begin again from nothing, the kills so far stay counted.
            assert running.returncode == 0, running.stderr.read().decode()
            assert audit(str(out)).faults == ()
            shutil.rmtree(out)
        finally:
            running.wait()
            running.stderr.close()
    last = _start(archives, out)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors.decode()
    assert _manifest(out).fingerprint == _manifest(corpus).fingerprint
    assert audit(str(out)).faults == ()


def test_a_flipped_bit_a_lost_receipt_and_a_dropped_document_are_found(corpus: Path, tmp_path: Path) -> None:
    for name, damage in (
        ("bit", _flip),
        ("receipt", _lose_receipt),
        ("document", _drop_document),
        ("ledger", _lose_drop),
    ):
        copy = tmp_path / name
        shutil.copytree(corpus, copy)
        damage(copy)
        assert audit(str(copy)).faults, name


def _flip(corpus: Path) -> None:
    path = next((corpus / "data").glob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _lose_receipt(corpus: Path) -> None:
    next((corpus / "ledger/receipts").rglob("*.json")).unlink()


def _drop_document(corpus: Path) -> None:
    path = next((corpus / "data").glob("*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def _lose_drop(corpus: Path) -> None:
    path = corpus / "ledger/drops/assemble.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


def test_wrong_inputs_are_one_sentence_and_touch_nothing(archives: list[Path], corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep.txt").write_text("mine")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "x"\ndescription = "x"\n[imagse]\ncap = 3\n')
    good, out = [str(archives[0])], str(tmp_path / "out")
    cases = [
        ([str(tmp_path / "nowhere.warc.gz")], out, "annotate", SMALL),
        ([str(tmp_path / "empty")], out, "annotate", SMALL),
        (good, out, str(recipe), SMALL),
        (good, out, "anotate", SMALL),
        (good, str(tmp_path / "full"), "annotate", SMALL),
        (good, str(corpus), "annotate", SMALL),
        (good, out, "annotate", Options(images="wrong")),
        (good, out, "annotate", Options(shard_docs=0)),
    ]
    before = sorted(tmp_path.rglob("*"))
    for inputs, folder, name, options in cases:
        with pytest.raises(ConfigError) as caught:
            build(inputs, folder, recipe=name, workers=1, options=options)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_command_line_says_what_is_wrong_and_exits_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plait.jobs", "build", str(tmp_path / "nowhere.warc"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "nowhere.warc" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["audit", "nowhere"], 2)], ids=["done", "wrong"])
def test_the_program_ends_before_the_interpreter_is_torn_down(arguments: list[str], code: int) -> None:
    """Threads of Arrow that let go of our files in the meantime would abort it."""
    program = (
        "import atexit, os, sys\n"
        "class Held:\n    def __del__(self, write=os.write): write(1, b'torn down')\n"
        "held = Held()\n"
        "atexit.register(print, 'exit functions ran')\n"
        "from plait.jobs.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "exit functions ran" in done.stdout
    assert "torn down" not in done.stdout
    assert bool(done.stderr) == bool(code)


@pytest.mark.parametrize(
    "options", [["--host-rate", "nan"], ["--host-concurrency", "0"], ["--fetch-concurrency", "-1"]]
)
def test_limits_of_fetching_are_checked_whether_or_not_anything_is_fetched(
    archives: list[Path], tmp_path: Path, options: list[str]
) -> None:
    told = CliRunner().invoke(app, ["build", str(archives[0]), "--out", str(tmp_path / "out"), *options])
    assert told.exit_code == 2
    assert f"{options[0]} must be" in told.output
    assert not (tmp_path / "out").exists()


def test_a_url_with_one_slash_is_no_folder(
    archives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="write s3://bucket/corpus"):
        build([str(archives[0])], "s3:/bucket/corpus", recipe="annotate", workers=1)
    assert not list(tmp_path.iterdir())


def test_a_store_without_credentials_and_a_folder_that_cannot_be_written_are_one_sentence(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    far = CliRunner().invoke(app, ["audit", "s3://plait-no-such-bucket/corpus"])
    assert far.exit_code == 2
    assert "check the URL, your credentials and the network" in far.output

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "ledger/x")

    monkeypatch.setattr("plait.jobs.takedown.takedown", read_only)
    (tmp_path / "urls.txt").write_text("http://site0.test/story/0\n")
    near = CliRunner().invoke(app, ["takedown", str(corpus), "--urls", str(tmp_path / "urls.txt")])
    assert near.exit_code == 2
    assert "ledger/x: Read-only file system. Make room or mend it" in near.output

    def wrong(*_: object, **__: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr("plait.jobs.takedown.takedown", wrong)
    assert isinstance(CliRunner().invoke(app, ["takedown", str(corpus), "--urls", "x"]).exception, AssertionError)


def test_full_disk_is_one_sentence_and_loses_nothing(archives: list[Path], corpus: Path, tmp_path: Path) -> None:
    """A limit on the size of a file stands in for a full disk: both are an OSError in the middle of a write."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "plait.jobs", "build", *map(str, archives), "--out", str(out)]
    command += ["--recipe", "annotate", "--workers", "2", "--shard-docs", "8"]
    limited = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", limited, *command], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert (out / "work/receipts").exists()
    subprocess.run(command, check=True, capture_output=True)
    assert _manifest(out).fingerprint == _manifest(corpus).fingerprint


def test_urls_mode_keeps_what_no_archive_holds(archives: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = Options(images="urls", shard_docs=8)
    done = build([str(path) for path in archives], str(out), recipe="annotate", workers=2, options=options)
    assert done.totals.image_urls == done.totals.documents  # /img/none.jpg of each page
    infos = [info for row in _rows(out) for info in row["image_info"] if info and info["sha256"] is None]
    assert all(info["url"].endswith("/img/none.jpg") and info["alt"] for info in infos)
    assert audit(str(out)).faults == ()


def test_none_mode_keeps_documents_on_their_text(archives: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = build(
        [str(path) for path in archives], str(out), recipe="annotate", workers=2, options=Options(images="none")
    )
    assert done.totals.images == done.totals.image_urls == 0
    assert done.totals.documents == 25  # the page with the tiny picture too
    assert audit(str(out)).faults == ()


def test_inline_pictures_opt_outs_and_retained_drops(tmp_path: Path) -> None:
    shown = base64.b64encode(picture(300, 200, 1)).decode()
    body = f"<article><p>{prose(1)}</p><img src='data:image/jpeg;base64,{shown}'><p>{prose(2)}</p></article>"
    archive = WarcBuilder()
    archive.response("http://a.test/inline", html(body))
    archive.response("http://a.test/noai", html(body.replace("river", "brook")), headers=[("X-Robots-Tag", "noai")])
    refused = html(f"<article><p>{prose(3)}</p><img src='/c.jpg'><p>{prose(4)}</p></article>")
    archive.response("http://a.test/refused", refused)
    archive.response("http://a.test/c.jpg", picture(300, 200, 2), "image/jpeg", headers=[("X-Robots-Tag", "noimageai")])
    archive.response("http://a.test/plain", html(f"<article><p>{prose(5)}</p><p>{prose(6)}</p></article>"))
    path, out = archive.save(tmp_path / "a.warc.gz"), tmp_path / "out"
    options = Options(retain="all")
    done = build([str(path)], str(out), recipe="annotate", workers=1, options=options)
    [row] = _rows(out)
    assert row["url"] == "http://a.test/inline"
    assert [image["bytes"] for image in row["images"] if image] == [picture(300, 200, 1)]
    reasons = {reason for line in done.funnel for reason in line.dropped}
    assert "opted_out" in reasons
    assert audit(str(out)).faults == ()
    pages = pa.concat_tables(pq.read_table(path) for path in (out / "ledger/pages").iterdir())
    assert sorted(pages["url"].to_pylist()) == ["http://a.test/inline", "http://a.test/refused"]
    assert not (out / "ledger/documents").exists()  # the text rules dropped nothing; assembly's drops are pages above


def test_plan_of_a_build_is_remembered_by_content(corpus: Path, archives: list[Path]) -> None:
    plan = json.loads((corpus / "ledger/build.json").read_text())
    assert len(plan["inputs"]) == len(archives)
    assert not any("part-" in name for name in plan["inputs"])
