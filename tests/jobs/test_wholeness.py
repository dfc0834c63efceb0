"""A corpus that lost a file, as by a copy that broke off: the audit says so, and nothing is made of the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.jobs import Options, audit, build
from plait.jobs.append import append
from plait.jobs.refilter import make_refilter
from plait.jobs.takedown import collect, takedown
from plait.loader import Corpus
from plait.schemas.errors import CorpusError
from tests.archives import WarcBuilder
from tests.jobs.corpora import article, write_archives


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    archives = [str(path) for path in write_archives(folder, archives=1, pages=3)]
    settings = Options(shard_docs=2, retain="all")
    build(archives, str(folder / "corpus"), recipe="annotate", extractor="fast", workers=1, options=settings)
    return folder / "corpus"


def _append(corpus: Path) -> None:
    archive = WarcBuilder()
    archive.response("http://new.test/", article(77, ["/a.jpg"]))
    append(str(corpus), [str(archive.save(corpus.with_name("new.warc.gz")))], workers=1)


def _refilter(corpus: Path) -> None:
    make_refilter(str(corpus), "annotate")


def _takedown(corpus: Path) -> None:
    urls = corpus.with_name("urls.txt")
    urls.write_text("http://site0.test/story/0\n")
    takedown(str(corpus), urls=str(urls), workers=1)


def _gc(corpus: Path) -> None:
    collect(str(corpus))


def _files(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("lost", "said", "uses"),
    [
        ("ledger/inputs.parquet", "the list of inputs cannot be read", [_append]),
        ("ledger/shards.parquet", "the list of shards cannot be read", [_append, _refilter, _takedown, _gc]),
        ("ledger/known/urls-*", "ledger/known/urls-g0-00000.parquet is missing", [_append]),
        ("ledger/known/keys-*", "keys of", []),
        ("ledger/pages/*", "is missing", [_refilter]),
        ("ledger/locators/*", "is missing", [_refilter]),
        ("ledger/receipts/assemble/*", "receipts, the manifest counts", [_append, _refilter, _takedown]),
        ("data/*", "is missing", [_append, _refilter, _takedown]),
    ],
)
def test_what_is_missing_is_found_and_nothing_is_made_of_the_rest(
    corpus: Path, tmp_path: Path, lost: str, said: str, uses: list[Callable[[Path], None]]
) -> None:
    copy = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    assert audit(str(copy)).faults == ()
    sorted(copy.glob(lost))[0].unlink()
    before = _files(copy)
    assert any(said in fault for fault in audit(str(copy)).faults)
    for use in uses:
        with pytest.raises(CorpusError, match="bring the corpus whole"):
            use(copy)
    assert _files(copy) == before


def test_a_page_that_was_retained_otherwise_is_found(corpus: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    path = next((copy / "ledger/pages").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    assert any("is not what was written" in fault for fault in audit(str(copy)).faults)


def test_pages_of_an_append_that_was_not_finished_are_not_refiltered(corpus: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    pages = sorted((copy / "ledger/pages").glob("*.parquet"))
    shutil.copy(pages[0], pages[0].with_name(f"pages-{'0' * 32}-00000.parquet"))
    begun = [unit.payload["path"] for unit in make_refilter(str(copy), "annotate").beginning().pages]
    assert begun == [f"ledger/pages/{path.name}" for path in pages]


def test_archives_are_added_to_a_corpus_of_no_documents(tmp_path: Path) -> None:
    nothing = WarcBuilder()
    nothing.response("http://site.test/x", b"{}", "application/json")
    out = tmp_path / "corpus"
    first = str(nothing.save(tmp_path / "nothing.warc.gz"))
    assert build([first], str(out), recipe="annotate", extractor="fast", workers=1).totals.documents == 0
    empty = Corpus(out)
    assert (len(empty), len(empty.to_pandas()), len(empty.duckdb().fetchall())) == (0, 0, 0)
    pages = [str(path) for path in write_archives(tmp_path, archives=1, pages=2)]
    assert append(str(out), pages, workers=1).totals.documents > 0
    assert Corpus(out).schema.equals(empty.schema)
    assert audit(str(out)).faults == ()
