"""Extraction side by side on human-reviewed pages, with floors below which it fails.

usage: python benchmarks/extraction.py [SHARED_DIR] [--systems blocks fast trafilatura …]
       [--sets wcxb readability iot-21lang oi-wiki-zh] [--folds build/extraction] [--every N] [--part I/N]
       [--floors benchmarks/extraction_floors.toml] [--report FILE.json]

SHARED_DIR (../shared if absent) holds data/wcxb, data/readability_pages, data/warc_made and tools/score_wcxb.py,
tools/score_extraction.py. ``blocks`` is the model that ships, which has seen WCXB; ``blocks-cv`` scores every WCXB page
with the fold model of ``--folds`` that has not seen its domain (`benchmarks/train_blocks.py` writes them);
``blocks-half`` the same with the two half models. ``trafilatura`` is plait's extractor of that name, which reads the
page's metadata by plait's own parse first; ``trafilatura-alone`` is the library by itself. ``--part 0/4`` scores every
fourth page of WCXB and writes its rows into the report; ``--merge FILE...`` adds up all parts. ``magic-html`` installs
with Python 3.12 or newer only: `make magic-html` runs this under one, in a venv of its own.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import pathlib
import re
import statistics
import sys
import time
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable
from types import ModuleType

from plait.pipeline.extract import ExtractOptions, Node, decode_html, extract_html
from plait.pipeline.extract.blocks import BlockModel
from plait.pipeline.extract.external import trafilatura_nodes
from plait.pipeline.extract.html import extract_with_model
from plait.pipeline.extract.urls import resolve
from plait.pipeline.extract.vocabulary import KINDS
from plait.schemas.errors import RecordError
from plait.schemas.urls import domain

Extract = Callable[[bytes, str], list[Node]]
Rows = list[dict[str, object]]
FOLDS = 5
SETS = ("wcxb", "readability", "iot-21lang", "oi-wiki-zh")
# A character of a script without spaces is a word of its own.
WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")


def tool(shared: pathlib.Path, name: str) -> ModuleType:
    """A scorer of the shared tools, as a module."""
    spec = importlib.util.spec_from_file_location(name, shared / "tools" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(system: str) -> Extract:
    """Extraction with one of plait's extractors; a page that is dropped has no nodes."""
    if system == "resiliparse":
        return resiliparse
    if system == "trafilatura-alone":
        return trafilatura_alone
    if system == "magic-html":
        return magic_html
    options = ExtractOptions(extractor=system)

    def run(html: bytes, url: str) -> list[Node]:
        try:
            return extract_html(html, url, options=options, charset="utf-8").nodes
        except RecordError:
            return []

    return run


def trafilatura_alone(html: bytes, url: str) -> list[Node]:
    """Trafilatura's main content without plait's own parse beside it, for its time; no ``<base href>``."""
    return trafilatura_nodes(decode_html(html, "utf-8"), url, url)


def resiliparse(html: bytes, url: str) -> list[Node]:
    """Resiliparse's main content: text alone, it gives no pictures."""
    from resiliparse.extract.html2text import extract_plain_text

    text = extract_plain_text(html.decode("utf-8", "replace"), main_content=True)
    return [Node("text", "p", text)] if text.strip() else []


def magic_html(html: bytes, url: str) -> list[Node]:
    """magic-html's main content: the texts and pictures of the HTML that it returns, in their order.

    Its extractor of articles, which is the one it takes by itself; the one for forums is only taken where asked for.
    """
    import lxml.html

    if importlib.util.find_spec("magic_html") is None:
        sys.exit("magic-html is not installed: it needs Python 3.12 or newer; `make magic-html` makes a venv for it")
    from magic_html import GeneralExtractor

    try:
        found = GeneralExtractor().extract(html.decode("utf-8", "replace"), base_url=url).get("html") or ""
    except Exception:  # whatever a page makes it raise, it has no content for it
        return []
    if not found.strip():
        return []
    nodes: list[Node] = []
    words: list[str] = []

    def flush() -> None:
        if text := " ".join("".join(words).split()):
            nodes.append(Node("text", "p", text))
        words.clear()

    def walk(element: lxml.html.HtmlElement) -> None:
        own_line = KINDS.get(element.tag) not in ("inline", "link")
        if own_line:
            flush()
        if element.tag == "img" and (source := resolve(url, element.get("src") or "")):
            flush()
            nodes.append(Node("image", url=source, alt=element.get("alt")))
        words.append(element.text or "")
        for child in element:
            if isinstance(child.tag, str):
                walk(child)
            words.append(child.tail or "")
        if own_line:
            flush()

    walk(lxml.html.fromstring(f"<div>{found}</div>"))
    return nodes


def cross_validated(folder: pathlib.Path, kind: str) -> Extract:
    """Each page by the model that has not seen its registered domain."""
    count, prefix = (FOLDS, "") if kind == "fold" else (2, "half ")
    models = [BlockModel.load(folder / f"{kind}-{k}.npz") for k in range(count)]

    def run(html: bytes, url: str) -> list[Node]:
        model = models[zlib.crc32(f"{prefix}{domain(url)}".encode()) % count]
        try:
            return extract_with_model(html, url, options=ExtractOptions(), charset="utf-8", model=model).nodes
        except RecordError:
            return []

    return run


def as_rows(nodes: list[Node]) -> list[dict[str, str | None]]:
    """Nodes as the scorers read them."""
    return [{"kind": n.kind, "text": n.text, "url": n.url} for n in nodes]


def rows_of_wcxb(shared: pathlib.Path, systems: dict[str, Extract], pages: slice) -> dict[str, Rows]:
    """For each system a row a page of WCXB: the scorer's figures and CPU seconds.

    All systems take a page before any takes the next: a shared machine's speed changes by a third within a minute. What
    is imported or loaded at the first call is not counted.
    """
    scorer = tool(shared, "score_wcxb")
    root = shared / "data" / "wcxb"
    rows: dict[str, Rows] = {system: [] for system in systems}
    for extract in systems.values():
        extract(b"<html><body><p>first</p></body></html>", "http://fakehost/")
    for path in sorted((root / "ground-truth").glob("*.json"))[pages]:
        url = json.loads(path.read_text("utf-8")).get("url") or "http://fakehost/"
        html = gzip.decompress((root / "html" / f"{path.stem}.html.gz").read_bytes())
        for system, extract in systems.items():
            start = time.process_time()
            nodes = extract(html, url)
            seconds = time.process_time() - start
            rows[system].append({**scorer.score_page(root, path.stem, as_rows(nodes)), "seconds": seconds})
    return rows


def sum_of_wcxb(shared: pathlib.Path, rows: Rows) -> dict[str, float]:
    """Word and image F1 on WCXB, by page type, with CPU time a page."""
    scorer = tool(shared, "score_wcxb")
    total = scorer.summary(rows)
    out = {name: float(total[name]) for name in ("pages", "word_f1", "with", "without", "image_f1", "image_recall")}
    for kind in sorted({str(row["type"]) for row in rows}):
        part = scorer.summary([row for row in rows if row["type"] == kind])
        out[kind] = float(part["word_f1"])
        out[f"{kind} images"] = float(part["image_f1"])
    seconds = sorted(float(str(row["seconds"])) for row in rows)
    out["ms"] = 1000 * statistics.mean(seconds)
    out["p99_ms"] = 1000 * seconds[int(0.99 * len(seconds))]
    return out


def score_wcxb(shared: pathlib.Path, extract: Extract, every: int) -> dict[str, float]:
    """WCXB, every so many pages."""
    return sum_of_wcxb(shared, rows_of_wcxb(shared, {"": extract}, slice(None, None, every))[""])


def score_gold(shared: pathlib.Path, name: str, extract: Extract) -> dict[str, float]:
    """Word and image F1 on an archive made from Markdown whose order of texts and pictures is known, by language."""
    from plait.pipeline.read import Limits, Record, expand, read_archive

    folder = shared / "data" / "warc_made"
    gold = [json.loads(line) for line in (folder / f"{name}.gold.jsonl").read_text("utf-8").splitlines()]
    wanted = {page["url"]: page for page in gold}
    found: dict[str, list[Node]] = {}
    for archive in expand([str(folder / f"{name}.warc.gz")]):
        for record in read_archive(archive, Limits(), spool_dir=None):
            if isinstance(record, Record) and record.url in wanted and record.payload is not None:
                found[record.url] = extract(record.payload, record.url)
    words: dict[str, list[float]] = {}
    right = produced = expected = 0
    for url, page in wanted.items():
        nodes = found.get(url, [])
        texts = " ".join(n.text or "" for n in nodes if n.kind == "text")
        truth = " ".join(item["text"] for item in page["sequence"] if "text" in item)
        words.setdefault(page["lang"], []).append(overlap_f1(WORD.findall(texts), WORD.findall(truth)))
        ours = Counter(n.url for n in nodes if n.kind == "image")
        theirs = Counter(item["image"] for item in page["sequence"] if "image" in item)
        right += (ours & theirs).total()
        produced += ours.total()
        expected += theirs.total()
    out = {
        "pages": float(len(found)),
        "word_f1": statistics.mean(f for each in words.values() for f in each),
        "image_f1": 2 * right / max(1, produced + expected),
        "images": float(right),
    }
    return out | {f"word_f1 {lang}": statistics.mean(each) for lang, each in sorted(words.items())}


def overlap_f1(found: list[str], gold: list[str]) -> float:
    """Multiset overlap of words, case folded."""
    ours, theirs = Counter(w.lower() for w in found), Counter(w.lower() for w in gold)
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def score_readability(shared: pathlib.Path, extract: Extract) -> dict[str, float]:
    """Image F1, position and word F1 on the Readability pages, and captions attached to the right picture."""
    scorer = tool(shared, "score_extraction")
    total = dict.fromkeys(("gold", "produced", "hit", "placed"), 0)
    words: list[float] = []
    captions = [0, 0]
    for folder in sorted(
        p for p in (shared / "data" / "readability_pages").iterdir() if (p / "expected.html").exists()
    ):
        nodes = extract((folder / "source.html").read_bytes(), scorer.BASE)
        row = scorer.score_page(folder, as_rows(nodes))
        words.append(row["word_f1"])
        for key in total:
            total[key] += row[key]
        right, gold = captions_right(folder, nodes)
        captions[0] += right
        captions[1] += gold
    recall, precision = total["hit"] / max(1, total["gold"]), total["hit"] / max(1, total["produced"])
    return {
        "image_f1": 2 * recall * precision / max(1e-9, recall + precision),
        "position": total["placed"] / max(1, total["hit"]),
        "word_f1": statistics.mean(words),
        "captions": captions[0] / max(1, captions[1]),
    }


def captions_right(folder: pathlib.Path, nodes: list[Node]) -> tuple[int, int]:
    """Captions of the gold (four words or more, in a figure) that a kept picture carries, and how many there are."""
    import lxml.html

    gold = (folder / "expected.html").read_text("utf-8", "replace")
    if not gold.strip():
        return 0, 0
    carried = {" ".join((n.caption or "").split()) for n in nodes if n.kind == "image"}
    right = count = 0
    for figure in lxml.html.fromstring(f"<div>{gold}</div>").iter("figure"):
        caption = figure.find(".//figcaption")
        if caption is None or figure.find(".//img") is None:
            continue
        text = " ".join(caption.text_content().split())
        if len(text.split()) >= 4:
            count += 1
            flat = "".join(text.split())
            right += any("".join(c.split()) == flat for c in carried)
    return right, count


def below_floors(found: dict[str, dict[str, dict[str, float]]], floors: pathlib.Path) -> list[str]:
    """What falls below the pinned floors."""
    wanted = tomllib.loads(floors.read_text("utf-8"))
    problems: list[str] = []
    for system, sets in wanted.items():
        for name, values in sets.items():
            have = found.get(system, {}).get(name)
            if have is None:
                continue
            problems += [
                f"{system} {name} {key}: {have[key]:.4f} < {least}"
                for key, least in values.items()
                if have[key] < least
            ]
    return problems


def score_sets(args: argparse.Namespace) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, Rows]]:
    """What each system reaches on the sets asked for, and their rows of WCXB."""
    kinds = {"blocks-cv": "fold", "blocks-half": "half"}
    systems = {s: cross_validated(args.folds, kinds[s]) if s in kinds else plain(s) for s in args.systems}
    part, parts = (int(x) for x in args.part.split("/"))
    found: dict[str, dict[str, dict[str, float]]] = {system: {} for system in systems}
    rows: dict[str, Rows] = {}
    if "wcxb" in args.sets:
        rows = rows_of_wcxb(args.shared, systems, slice(part * args.every, None, parts * args.every))
    for system, extract in systems.items():
        if system in rows:
            found[system]["wcxb"] = sum_of_wcxb(args.shared, rows[system])
        if "readability" in args.sets:
            found[system]["readability"] = score_readability(args.shared, extract)
        for name in args.sets:
            if name not in ("wcxb", "readability"):
                found[system][name] = score_gold(args.shared, name, extract)
    return found, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=pathlib.Path, nargs="?", default=pathlib.Path("../shared"))
    parser.add_argument("--systems", nargs="+", default=["blocks", "fast", "trafilatura", "resiliparse"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--folds", type=pathlib.Path, default=pathlib.Path("build/extraction"))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--merge", nargs="+", type=pathlib.Path, default=[])
    parser.add_argument("--floors", type=pathlib.Path, default=pathlib.Path(__file__).parent / "extraction_floors.toml")
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    sys.setrecursionlimit(50_000)
    found: dict[str, dict[str, dict[str, float]]] = {}
    pages: dict[str, Rows] = {}
    if args.merge:
        for file in args.merge:
            for system, rows in json.loads(file.read_text("utf-8"))["pages"].items():
                pages.setdefault(system, []).extend(rows)
        found = {system: {"wcxb": sum_of_wcxb(args.shared, rows)} for system, rows in pages.items()}
    else:
        found, pages = score_sets(args)
    for system, sets in found.items():
        for name, values in sets.items():
            print(system, name, json.dumps({k: round(v, 4) for k, v in values.items()}), flush=True)
    if args.report:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text(json.dumps({"found": found, "pages": pages}) + "\n", "utf-8")
    problems = below_floors(found, args.floors) if args.every == 1 and args.part == "0/1" else []
    for problem in problems:
        print("below the floor:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
