from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from plait.pipeline.read import Limits, Loss, Record, Tally, expand, read_archive, read_payload
from plait.pipeline.read.framing import _fast, _Run, _slow
from plait.pipeline.read.places import layout_of
from plait.pipeline.read.source import Source

PEAK_MIB = 300  # over all hostile files; 33 measured
SCRIPT = """
import sys
from plait.jobs.runner import peak_rss
from plait.pipeline.read import Limits, expand, read_archive
for archive in expand(sys.argv[2:]):
    for _ in read_archive(archive, Limits(), spool_dir=sys.argv[1], image_payloads=True):
        pass
print(peak_rss() >> 20)
"""


def records_of(path: Path, spool: Path) -> list[Record]:
    return [
        item
        for archive in expand([str(path)])
        for item in read_archive(archive, Limits(), spool_dir=str(spool))
        if isinstance(item, Record)
    ]


def test_every_hostile_file_is_read_to_its_end_in_little_memory(shared_data: Path, tmp_path: Path):
    # Each file is named, also those that no archive's name; the largest inflates to 431 MB.
    files = sorted(str(path) for path in (shared_data / "warc_hostile").rglob("*") if path.is_file())
    assert len(files) > 130
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *files], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert int(run.stdout) < PEAK_MIB


def test_hostile_files_lose_nothing_silently(shared_data: Path, tmp_path: Path):
    for archive in expand([str(shared_data / "warc_hostile")]):
        tally = Tally()
        items = list(read_archive(archive, Limits(), spool_dir=str(tmp_path), tally=tally))
        assert len(items) == sum(tally.read.values())
        assert items or tally.skipped, archive.name
        for item in items:
            if isinstance(item, Loss):
                assert item.reason
            elif item.kind in ("page", "image"):
                again = read_payload(archive, item.offset, item.length, Limits(), spool_dir=str(tmp_path))
                assert (again.url, again.kind, again.digest) == (item.url, item.kind, item.digest)
                assert item.kind == "image" or again.payload == item.payload


def test_the_bomb_is_one_loss(shared_data: Path):
    (archive,) = expand([str(shared_data / "warc_hostile/cdx-writer/giant_html.warc.gz")])
    (loss,) = read_archive(archive, Limits(), spool_dir=None)
    assert isinstance(loss, Loss)
    assert (loss.reason, loss.threshold) == ("record_too_large", Limits().page_bytes)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cdx-writer/10_digit_date.arc.gz", {"page": 1}),
        ("cdx-writer/304-response.warc.gz", {"revisit": 1}),
        ("cdx-writer/304-revisit.warc.gz", {"revisit": 1}),
        ("cdx-writer/bad_mime_type.arc.gz", {"image": 1}),
        ("cdx-writer/empty-gzips.warc.gz", {"page": 1, "revisit": 2}),
        ("cdx-writer/hex_instead_of_date.arc.gz", {"page": 1}),
        ("cdx-writer/non_ascii_url.arc.gz", {"page": 1}),
        ("compression/transfer_compression_brotli.warc.gz", {"page": 1}),
        ("compression/transfer_compression_gzip.warc.gz", {"page": 1}),
        ("ipwb/2mementos_htmlXhtml.warc", {"page": 2}),
        ("readWriteWarc/test.warc.gz", {"page": 4}),
        ("readWriteWarc/test_trozos.warc.gz", {"page": 4}),
        ("warcio/example-wrong-chunks.warc.gz", {"page": 1}),
        ("warcio/example-bad.warc.gz.bad", {"page": 1, "revisit": 1, "redirect": 1}),
        ("warcio-js/example-bad-length.warc", {"page": 1, "revisit": 1}),
        ("warcio-js/example-url-agnostic-revisit.warc.gz", {"revisit": 1}),
        ("warc-dedup-spec/20141129-heritrix-revisit-with-http-headers-and-new-warc-headers.warc.gz", {"revisit": 1}),
        ("ia-web-commons/format/gzip/abcd.gz", {"archive_unreadable": 1}),
        ("ia-web-commons/format/gzip/empty.gz", {"archive_unreadable": 1}),
        ("jhove-warc/sample3.wav", {"archive_unreadable": 1}),
    ],
)
def test_odd_files_give_what_they_hold(shared_data: Path, tmp_path: Path, name: str, wanted: dict[str, int]):
    (archive,) = expand([str(shared_data / "warc_hostile" / name)])
    tally = Tally()
    for _ in read_archive(archive, Limits(), spool_dir=str(tmp_path), tally=tally):
        pass
    assert tally.read == wanted


def test_the_same_pages_from_three_transfer_compressions(shared_data: Path, tmp_path: Path):
    folder = shared_data / "warc_hostile" / "compression"
    pages = {
        record.sha256
        for path in sorted(folder.glob("transfer_compression_*"))
        for record in records_of(path, tmp_path)
        if record.kind == "page"
    }
    assert len(pages) == 1


def test_a_crawl_as_arc_and_as_warc_gives_the_same_records(shared_data: Path, tmp_path: Path):
    arc, warc = (
        sorted(
            (r.kind, r.url, r.captured, r.sha256 or b"", r.mime, r.target or "")
            for r in records_of(shared_data / "warc_images" / f"iah-archiveorg-2008.{kind}.gz", tmp_path)
        )
        for kind in ("arc", "warc")
    )
    assert arc == warc
    assert Counter(row[0] for row in arc) == {"page": 94, "image": 55, "redirect": 7, "policy": 38}


def test_fastwarc_and_warcio_give_the_same_bytes(shared_data: Path):
    # FastWARC 2 is young: what it reads is compared with what warcio reads, record by record.
    records = 0
    for path in sorted((shared_data / "warc_images").glob("*.warc*")) + sorted(
        (shared_data / "warc_made").glob("*.gz")
    ):
        both = []
        for engine in (_fast, _slow):
            with Source(path.open("rb"), path.name) as source:
                layout = layout_of(source, 0)
                both.append([(f.offset, f.kind, f.take(f.size)) for f in engine(source, 0, layout, _Run())])
        assert both[0] == both[1], path.name
        records += len(both[0])
    assert records > 3000


@pytest.mark.parametrize(
    "name",
    [
        "warc_images/netarkivet-2008-00000.warc", "warc_images/pywb-iana-revisits.warc.gz",
        "warc_images/jwat-virtualbox-2011.arc", "warc_images/ukwa-govuk-2014-revisits.warc.gz",
        "warc_images/warc2zim-single-page-fr.warc", "warc_made/wikipedia_en_ray_charles_2015-06.warc.gz",
        "warc_html_only/dolma-sample-0000.warc.gz",
    ],
)  # fmt: skip
def test_as_many_records_as_warcio_counts(shared_data: Path, tmp_path: Path, name: str):
    counts: Counter[str] = Counter()
    with (shared_data / name).open("rb") as file:
        for record in ArchiveIterator(file, no_record_parse=True):
            counts["warcinfo" if record.rec_type == "arc_header" else record.rec_type] += 1
    (archive,) = expand([str(shared_data / name)])
    tally = Tally()
    for _ in read_archive(archive, Limits(), spool_dir=str(tmp_path), tally=tally):
        pass
    assert sum(tally.read.values()) + sum(tally.skipped.values()) == counts.total()
    for kind in ("warcinfo", "request", "metadata"):
        assert tally.skipped[kind] == counts[kind]


def test_revisits_find_the_payload_they_refer_to(shared_data: Path, tmp_path: Path):
    folder = shared_data / "warc_images"
    originals = {r.digest for r in records_of(folder / "ukwa-govuk-2014-orig.warc.gz", tmp_path)}
    revisits = [r for r in records_of(folder / "ukwa-govuk-2014-revisits.warc.gz", tmp_path) if r.kind == "revisit"]
    assert len(revisits) == 49
    assert sum(r.digest in originals for r in revisits) == 33  # the others refer to scripts, style sheets, robots.txt


def test_a_wacz_gives_the_pages_of_its_member(shared_data: Path, tmp_path: Path):
    (archive,) = expand([str(shared_data / "warc_images" / "replayweb-example.wacz")])
    assert archive.name == "replayweb-example.wacz!archive/data.warc.gz"
    kinds = Counter(r.kind for r in records_of(shared_data / "warc_images" / "replayweb-example.wacz", tmp_path))
    assert kinds == {"page": 1, "image": 7}


def test_the_made_archive_gives_its_pages_and_pictures(shared_data: Path, tmp_path: Path):
    kinds = Counter(
        r.kind for r in records_of(shared_data / "warc_made" / "wikipedia_en_ray_charles_2015-06.warc.gz", tmp_path)
    )
    assert kinds == {"page": 85, "image": 211}
