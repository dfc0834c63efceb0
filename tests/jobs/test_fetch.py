"""Builds that fetch: each URL asked once, recorded, never again; what was fetched is in the corpus."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plait.jobs import Fetching, Options, audit, build, fill
from plait.jobs.append import append
from plait.jobs.fetching import plan_fetch
from plait.jobs.runner import run_unit
from plait.jobs.store import Store
from plait.jobs.work import Stage, Unit
from plait.schemas.errors import ConfigError
from plait.schemas.fetched import FETCH_URL
from plait.schemas.manifest import Manifest
from tests.archives import picture
from tests.jobs.clusters import Saboteur
from tests.jobs.sites import DOCUMENTS, MANNERS, site, write_archive

HTTP = Options(images="http", shard_docs=8)
SMALLER = '[images.reencode]\nlongest_side = 100\nformat = "webp"\n'


def fetched(
    archive: Path, out: Path, *, recipe: str = "annotate", workers: int = 2, options: Options = HTTP,
    fetching: Fetching = MANNERS,
) -> Manifest:  # fmt: skip
    """A build that fetches, politely unless something else is given."""
    return build(
        [str(archive)], str(out), recipe=recipe, extractor="fast", workers=workers, options=options,
        fetching=fetching,
    )  # fmt: skip


def rows_of(corpus: Path) -> list[dict[str, object]]:
    return [row for path in sorted((corpus / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def fetched_of(corpus: Path) -> list[dict[str, object]]:
    return pa.concat_tables(pq.read_table(path) for path in (corpus / "ledger/fetched").glob("*.parquet")).to_pylist()


def test_each_distinct_url_is_asked_once_and_its_picture_is_in_every_document(tmp_path: Path) -> None:
    with site() as server:
        archive = write_archive(tmp_path / "pages.warc.gz", server.server.port)
        out = tmp_path / "out"
        done = fetched(archive, out)
        asked = Counter(server.pictures)
        agents = {headers["user-agent"] for headers in server.server.headers}
    assert set(asked.values()) == {1}  # the shared ones too, and what a redirect leads to
    assert not any(path.startswith("/secret/") for path in asked)
    assert len(agents) == 1
    assert "https://site.test/about" in agents.pop()
    rows = rows_of(out)
    assert len(rows) == DOCUMENTS
    for row in rows:
        infos = [info for info in row["image_info"] if info]
        assert len(infos) == 6  # three of its own, the shared one, the archive's, the redirected one
        assert sum(info["archive"] is None for info in infos) == 5
        held = [image["bytes"] for image in row["images"] if image]
        assert all(data[:2] == b"\xff\xd8" for data in held)
    reasons = Counter(row["reason"] for row in fetched_of(out))
    assert reasons == {
        None: DOCUMENTS * 4 + 1, "fetch_robots": 1, "opted_out": 1, "fetch_status": 1, "fetch_refused_address": 1,
    }  # fmt: skip
    drops = pa.concat_tables(pq.read_table(path) for path in (out / "ledger/drops").glob("*.parquet")).to_pylist()
    dropped = Counter(drop["reason"] for drop in drops if drop["scope"] == "image")
    for reason in ("fetch_robots", "fetch_status", "fetch_refused_address"):
        assert dropped[reason] == DOCUMENTS, (reason, dropped)
    assert audit(str(out)).faults == ()
    assert done.totals.images == DOCUMENTS * 6
    assert not (out / "work").exists()


def _start(archive: Path, out: Path, recipe: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "plait.jobs", "build", str(archive), "--out", str(out), "--recipe", str(recipe),
        "--extractor", "fast",
        "--images", "http", "--user-agent-contact", MANNERS.contact, "--host-rate", "0", "--workers", "2",
        "--shard-docs", "8", "--allow-loopback",
    ]  # fmt: skip
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_killed_in_a_fetch_it_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'name = "killed"\ndescription = "A test."\nextends = "annotate"\n{SMALLER}')
    with site(gate=25) as server:
        archive = write_archive(tmp_path / "pages.warc.gz", server.server.port)
        out = tmp_path / "out"
        running = _start(archive, out, recipe)
        assert server.reached.wait(60), running.stderr.read() if running.poll() is not None else "no request"
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        before = Counter(server.pictures)
        server.release()
        # Killed again when pictures have been encoded: nothing that was answered is asked for a third time.
        again = _start(archive, out, recipe)
        with Saboteur(Store(str(out)), "work/receipts/encode_images", lambda: os.killpg(again.pid, signal.SIGKILL)):
            again.communicate(timeout=300)
        assert again.returncode == -signal.SIGKILL
        last = _start(archive, out, recipe)
        _, errors = last.communicate(timeout=300)
        assert last.returncode == 0, errors.decode()
        asked = Counter(server.pictures)
        fresh = fetched(archive, tmp_path / "new", recipe=str(recipe), workers=1)
    repeated = [path for path, count in asked.items() if count > 1]
    assert 0 < len(before) < len(asked)  # it was killed in the middle
    assert len(repeated) <= 2 * MANNERS.host_concurrency  # a picture behind a redirect is two requests
    assert max(asked.values()) <= 2
    ends = Counter(row["url"] for row in fetched_of(out))
    assert set(ends.values()) == {1}
    assert len(ends) == len({row["url"] for row in fetched_of(tmp_path / "new")})
    assert Manifest.from_json((out / "manifest.json").read_text()).fingerprint == fresh.fingerprint
    assert audit(str(out)).faults == ()


def test_a_unit_of_several_rounds_takes_over_what_it_was_told_before(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with site() as server:
        base = f"http://127.0.0.2:{server.server.port}"
        wanted = [
            {"key": 1, "image_key": number, "url": f"{base}/img/{number}.jpg", "order_key": 100 - number}
            for number in range(12)
        ]
        wanted.append({"key": 1, "image_key": 50, "url": f"{base}/gone.jpg", "order_key": 0})
        with store.open_write("urls.parquet") as file:
            pq.write_table(pa.Table.from_pylist(wanted, schema=FETCH_URL), file)
        plan = plan_fetch(MANNERS, 1 << 20)
        stage = Stage("fetch", "plait.jobs.units.fetch:fetch_hosts", plan.params() | {"round_urls": 5})
        unit = Unit(("x",), "hosts 0", {"urls": "urls.parquet", **plan.payload()})
        first = run_unit(store, stage, unit)
        asked = Counter(server.pictures)
        assert set(asked.values()) == {1}
        assert len(asked) == 13
        # As if the unit had been killed just before its receipt, and the last answer of a round not been written.
        store.remove("work/receipts")
        journal = sorted((tmp_path / "work/answers").rglob("00001/*"))[0]
        journal.write_bytes(journal.read_bytes()[:-100])
        again = run_unit(store, stage, unit)
        twice = [path for path, count in Counter(server.pictures).items() if count == 2]
        assert len(twice) == 1
    for receipt in (first, again):
        assert receipt.books.seen == {"fetched": 12, "fetch_status": 1}
        packs = [output for output in receipt.outputs if output.table.startswith("pack-")]
        assert len(packs) == len(receipt.tables("index")) == 3
        for index in receipt.tables("index"):
            lines = pq.read_table(store.path(index.path)).to_pylist()
            orders = [100 - line["offset"] for line in lines if line["offset"] != 50]
            assert orders == sorted(orders)  # as the shards that want them
            for line in lines:
                if line["reason"] is None:
                    data = Path(store.path(line["pack"])).read_bytes()
                    assert data[line["pack_offset"] :][: line["pack_length"]] == picture(320, 240, line["offset"])
    assert [output.sha256 for output in first.outputs if output.table.startswith("pack-")] == [
        output.sha256 for output in again.outputs if output.table.startswith("pack-")
    ]


def test_a_list_of_opted_out_urls_is_never_asked(tmp_path: Path) -> None:
    with site() as server:
        port = server.server.port
        archive = write_archive(tmp_path / "pages.warc.gz", port, per_document=1)
        listed = tmp_path / "opt-out.txt"
        listed.write_text(f"# asked by mail\nhttp://127.0.0.2:{port}/img/9000.jpg\nother.test\n")
        manners = replace(MANNERS, opt_out=str(listed))
        fetched(archive, tmp_path / "out", workers=1, fetching=manners)
        assert "/img/9000.jpg" not in server.pictures
        assert "/img/100.jpg" in server.pictures


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["", SMALLER])
def test_a_filled_corpus_is_what_a_build_that_fetches_gives(stored: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'name = "filled"\ndescription = "A test."\nextends = "annotate"\n{stored}')
    with site() as server:
        archive = write_archive(tmp_path / "pages.warc.gz", server.server.port)
        urls = Options(images="urls", shard_docs=8, formats=("parquet", "webdataset"))
        fetched(archive, tmp_path / "urls", recipe=str(recipe), options=urls)
        assert server.server.asked == []
        filled = fill(str(tmp_path / "urls"), str(tmp_path / "filled"), MANNERS, workers=2)
        assert set(Counter(server.pictures).values()) == {1}
        straight = fetched(archive, tmp_path / "http", recipe=str(recipe))
        asked = len(server.server.asked)
        again = fill(str(tmp_path / "urls"), str(tmp_path / "filled"), MANNERS, workers=2)
        assert len(server.server.asked) == asked  # a finished fill is found finished
        crawl = write_archive(tmp_path / "later.warc.gz", server.server.port, first=DOCUMENTS - 2) if stored else None
        grown = [
            append(str(tmp_path / name), [str(crawl)], fetching=MANNERS, workers=2)
            for name in ("filled", "http") if crawl
        ]  # fmt: skip
    assert filled.totals.image_urls == 0
    assert filled.formats == ("parquet", "webdataset")
    assert filled.fingerprint == straight.fingerprint == again.fingerprint
    assert audit(str(tmp_path / "filled")).faults == ()
    if grown:  # it knows what it has: of the later crawl two pages are there already
        assert grown[0].fingerprint == grown[1].fingerprint
        assert grown[0].totals.documents == filled.totals.documents + DOCUMENTS - 2
    with pytest.raises(ConfigError, match="--images urls"):
        fill(str(tmp_path / "http"), str(tmp_path / "more"), MANNERS)


@pytest.mark.parametrize(
    ("fetching", "option"),
    [
        (Fetching(), "--user-agent-contact"),
        (Fetching(contact="nobody"), "--user-agent-contact"),
        (Fetching(contact="me@site.test", host_rate=-1), "--host-rate"),
        (Fetching(contact="me@site.test", host_concurrency=0), "--host-concurrency"),
        (Fetching(contact="me@site.test", opt_out="nowhere.txt"), "--opt-out"),
    ],
)
def test_wrong_settings_name_their_option_and_write_nothing(fetching: Fetching, option: str, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "pages.warc.gz", 80)
    with pytest.raises(ConfigError, match=option):
        fetched(archive, tmp_path / "out", workers=1, fetching=fetching)
    assert not (tmp_path / "out").exists()
