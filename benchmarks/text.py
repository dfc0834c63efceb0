"""Text: equality and speed beside datatrove, speed of whole recipes, language identification.

    python benchmarks/text.py datatrove|record|recipes|language|profile [--data FOLDER] [--docs N] [--venv FOLDER]
                                                                        [--recipe NAME]...

- datatrove: Gopher repetition, Gopher quality, C4 and FineWeb on the same documents. datatrove 0.10.1 runs in a virtual
  environment of its own, made here; each family's decisions and those of the four in a row are compared, and documents
  per CPU second of both. datatrove's filters share one document's tokens (its own cache); ours start with an empty
  memo, and are timed again with a warm one.
- record: datatrove's decisions on gold texts, for tests/filters/test_datatrove.py.
- recipes: language and all rules of the built-in recipes on documents of 500 words, documents per CPU second. What
  bare language identification does before and after each recipe tells how busy the machine was.
- language: sentences of lid_lingua joined by five: accuracy per language beside bare fastText.
- profile: CPU time of every document score.

The documents are the pages of ../shared/data/wcxb through plait's own extraction, or the lines of any JSONL file with
a ``text`` given with --data.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from plait.filters.batch import DocumentBatch, TextBatch
from plait.filters.chunks import utf8
from plait.filters.models import lid176
from plait.filters.recipe import Recipe, load_recipe
from plait.filters.rules import Rule
from plait.filters.scores import SCORES
from plait.filters.vocabulary import Vocabulary, vocabulary
from plait.jobs.units.extract import BATCH_PAGES
from plait.pipeline.text import TextResult, apply_text
from plait.schemas.documents import PAGE
from plait.schemas.errors import RecordError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BATCH = BATCH_PAGES  # as a build scores them
RECIPES = ("omnicorpus", "obelics", "moscar", "fineweb", "default", "annotate")
FAMILIES = {
    "gopher_repetition": ("dup_paragraphs", "dup_10gram"),
    "gopher_quality": ("word_count", "stop_words"),
    "c4": ("c4_long_word", "c4_few_sentences"),
    "fineweb": ("few_terminal_lines", "list_like"),
}
PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters.c4_filters import C4QualityFilter
from datatrove.pipeline.filters.fineweb_quality_filter import FineWebQualityFilter
from datatrove.pipeline.filters.gopher_quality_filter import GopherQualityFilter
from datatrove.pipeline.filters.gopher_repetition_filter import GopherRepetitionFilter

filters = dict(zip(sys.argv[2].split(","), (GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(),
                                            FineWebQualityFilter())))
texts = [json.loads(line)["text"] for line in open(sys.argv[1], encoding="utf-8")]

def verdict(chosen, document):
    try:
        found = chosen.filter(document)
    except ZeroDivisionError:
        found = False, "empty"
    return True if found is True else found[1]

verdict(filters["gopher_quality"], Document(text="Warm up.", id="0"))
start = time.process_time()
chains, alone = [], []
for number, text in enumerate(texts):
    document = Document(text=text, id=str(number))
    found = {}
    for name, chosen in filters.items():
        # FineWeb's filter by itself must see the text as it came.
        if name == "fineweb" and document.text != text:
            found["fineweb_alone"] = verdict(chosen, Document(text=text, id=str(number)))
        found[name] = verdict(chosen, document)
    found.setdefault("fineweb_alone", found["fineweb"])
    chains.append(found)
json.dump({"cpu": time.process_time() - start, "verdicts": chains}, sys.stdout)
"""


def documents(data: Path | None, count: int) -> list[str]:
    """Texts of real pages."""
    if data is not None:
        with data.open(encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines][:count]
    from plait.pipeline.extract import extract_html

    found = []
    for path in sorted((SHARED / "wcxb" / "html").glob("*"))[:count]:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            import gzip

            raw = gzip.decompress(raw)
        try:
            nodes = extract_html(raw, "http://page.test/").nodes
        except RecordError:  # a page without content
            continue
        found.append("\n".join(node.text for node in nodes if node.text))
    return found


def pages(texts: Iterable[str], split: bool) -> list[pa.RecordBatch]:
    """Page batches: one text node a document, or one a line with an image after the first."""
    rows = []
    for number, text in enumerate(texts):
        row: dict[str, object] = dict.fromkeys(PAGE.names)
        lines = [line for line in text.split("\n") if line] if split else [text]
        nodes: list[dict[str, object]] = [{"kind": "text", "tag": "p", "text": line} for line in lines]
        if split:
            nodes.insert(1, {"kind": "image", "image_url": "http://page.test/photo.jpg"})
        row.update(doc_id=number.to_bytes(16, "big"), order_key=number, url=f"http://page.test/{number}", nodes=nodes)
        rows.append(row)
    cut = (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
    return [pa.RecordBatch.from_pylist(part, schema=PAGE) for part in cut]


def run(batches: Sequence[pa.RecordBatch], recipe: Recipe) -> tuple[list[TextResult], float]:
    start = time.process_time()
    found = [apply_text(batch, recipe) for batch in batches]
    return found, time.process_time() - start


def family(rules: Sequence[Rule], name: str) -> tuple[Rule, ...]:
    names = [rule.name for rule in rules]
    first, last = FAMILIES[name]
    return tuple(rules[names.index(first) : names.index(last) + 1])


def reasons(results: Sequence[TextResult]) -> dict[int, str]:
    found = {}
    for result in results:
        for doc, reason in zip(result.dropped["doc_id"].to_pylist(), result.dropped["reason"].to_pylist(), strict=True):
            found[int.from_bytes(doc, "big")] = reason
    return found


def peer_python(folder: Path) -> Path:
    """Python of a virtual environment with datatrove, made on first use."""
    python = folder / "bin" / "python"
    if not (folder / ".done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        needs = ["datatrove==0.10.1", "trafilatura<1.12", "lxml_html_clean", "spacy", "nltk", "regex", "numpy"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needs], check=True)
        (folder / ".done").touch()
    return python


def peer_verdicts(texts: Sequence[str], venv: Path) -> dict[str, Any]:
    """What datatrove's filters say of every text, and their CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        command = [str(peer_python(venv)), "-c", PEER, str(path), ",".join(FAMILIES)]
        found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def record(count: int, venv: Path) -> None:
    """Writes datatrove's decisions on the gold text of the first pages of wcxb, for the test that pins ours to them."""
    paths = sorted((SHARED / "wcxb" / "ground-truth").glob("*.json"))[:count]
    texts = [json.loads(path.read_text("utf-8"))["ground_truth"]["main_content"] for path in paths]
    found = peer_verdicts(texts, venv)["verdicts"]
    keys = ("gopher_repetition", "gopher_quality", "c4", "fineweb_alone")
    decisions = {
        p.stem: "".join(str(int(row[key] is True)) for key in keys) for p, row in zip(paths, found, strict=True)
    }
    target = Path(__file__).resolve().parents[1] / "tests" / "filters" / "datatrove_decisions.json"
    target.write_text(json.dumps(decisions, indent=0) + "\n", "utf-8")
    print(f"{len(decisions)} decisions, {Counter(decisions.values()).most_common(4)}")


def datatrove(texts: list[str], venv: Path) -> None:
    recipe = load_recipe("fineweb").skipping(["not_english"])
    # English words in every script, as spaCy's: the memo of this process is replaced for the comparison.
    import plait.filters.batch as batch_module

    memo = Vocabulary(english_only=True)
    batch_module.vocabulary = lambda: memo
    batches = pages(texts, split=False)
    lid176()
    run(batches[:1], load_recipe("annotate"))
    memo = Vocabulary(english_only=True)
    results, cold = run(batches, recipe)
    _, warm = run(batches, recipe)
    identify = language_seconds(batches)
    chain = reasons(results)
    alone = {}
    for name in FAMILIES:
        chosen = recipe.model_copy(update={"rules": family(recipe.rules, name), "columns": ()})
        alone[name] = reasons(run(batches, chosen)[0])
    peer = peer_verdicts(texts, venv)
    print(f"{len(texts)} documents, {sum(map(len, texts)) / len(texts):.0f} characters each")
    for name in FAMILIES:
        key = "fineweb_alone" if name == "fineweb" else name
        differ = [n for n, row in enumerate(peer["verdicts"]) if (row[key] is True) != (n not in alone[name])]
        print(f"{name:20} dropped {len(alone[name]):5}  equal {1 - len(differ) / len(texts):.4%}  differ {len(differ)}")
        for number in differ[:5]:
            print(f"    document {number}: datatrove {peer['verdicts'][number][key]}, plait {alone[name].get(number)}")
    differ = []
    for number, row in enumerate(peer["verdicts"]):
        kept = all(row[name] is True for name in FAMILIES)
        if kept != (number not in chain):
            differ.append(number)
    print(
        f"{'four in a row':20} dropped {len(chain):5}  equal {1 - len(differ) / len(texts):.4%}  differ {len(differ)}"
    )
    # Ours identifies the language too, which datatrove's four filters do not: it is stated apart.
    rate = len(texts) / peer["cpu"]
    print(f"datatrove {rate:.1f} docs/CPU-s")
    for name, seconds in (("cold", cold), ("warm", warm)):
        bare = seconds - identify
        print(
            f"plait {name} {len(texts) / seconds:.0f} docs/CPU-s ({len(texts) / seconds / rate:.1f}x); "
            f"without language {len(texts) / bare:.0f} ({len(texts) / bare / rate:.1f}x)"
        )


def language_seconds(batches: Sequence[pa.RecordBatch]) -> float:
    from plait.filters.language import identify

    texts = [DocumentBatch.of(batch["nodes"]).by_document.texts for batch in batches]
    start = time.process_time()
    for part in texts:
        identify(part)
    return time.process_time() - start


def of_500_words(texts: Sequence[str], count: int) -> list[str]:
    """Documents of about 500 words: runs of lines of the given texts."""
    found: list[str] = []
    for text in texts:
        lines: list[str] = []
        words = 0
        for line in text.split("\n"):
            lines.append(line)
            words += len(line.split())
            if words >= 500:
                found.append("\n".join(lines))
                lines, words = [], 0
        if len(found) >= count:
            break
    return found[:count]


def recipes(texts: list[str], count: int, names: Sequence[str]) -> None:
    """Documents per CPU second of whole recipes.

    Cold: the first documents, with an empty memo of words. Steady: the last ones, after the memo has seen those between
    but not them. Warm: the last ones again.
    """
    cut = of_500_words(texts, 100_000)
    first, between, last = cut[:count], cut[count:-count], cut[-count:]
    size = np.mean([len(text.split()) for text in cut])
    print(f"{len(cut)} documents of {size:.0f} words, {np.mean([text.count(chr(10)) + 1 for text in cut]):.0f} nodes")
    beginning, end = pages(first, split=True), pages(last, split=True)
    lid176()
    run(beginning[:1], load_recipe("annotate"))
    for name in names:
        before = language_seconds(end)
        recipe = load_recipe(name)
        recipe = recipe.skipping(recipe.requirements())
        vocabulary.cache_clear()
        _, cold = run(beginning, recipe)
        for start in range(0, len(between), BATCH):
            vocabulary().words(utf8([line for text in between[start : start + BATCH] for line in text.split("\n")]))
        results, steady = run(end, recipe)
        _, warm = run(end, recipe)
        kept = sum(result.kept.num_rows for result in results)
        print(
            f"{name:14} docs/CPU-s cold {len(first) / cold:6.0f}  steady {len(last) / steady:6.0f}  "
            f"warm {len(last) / warm:6.0f}  kept {kept / len(last):.1%}  "
            f"language alone {len(last) / before:.0f} before, {len(last) / language_seconds(end):.0f} after"
        )


def language(folder: Path) -> None:
    import fasttext

    from plait.filters.language import identify

    bare = fasttext.load_model(str(lid176())).f
    same = {"nb": ("no", "nb"), "nn": ("nn", "no")}
    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    confused: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted((folder / "sentences").glob("*.txt")):
        sentences = path.read_text("utf-8").splitlines()
        joined = [" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5)]
        right = same.get(path.stem, (path.stem,))
        found = identify(joined).lang
        plain = [bare.predict(text + "\n", 1, 0.0, "strict")[0][1].removeprefix("__label__") for text in joined]
        ours[path.stem] = float(np.mean([lang in right for lang in found]))
        theirs[path.stem] = float(np.mean([lang in right for lang in plain]))
        confused[path.stem].update(lang for lang in found if lang not in right)
    mean, plain_mean = np.mean(list(ours.values())), np.mean(list(theirs.values()))
    print(f"{len(ours)} languages: plait {mean:.2%}, bare fastText {plain_mean:.2%}")
    print("100% by both:", " ".join(name for name, value in ours.items() if value == theirs[name] == 1))
    print("\n| language | plait | bare fastText | taken for |\n|---|---|---|---|")
    for name, value in sorted(ours.items(), key=lambda item: item[1]):
        if value < 1 or theirs[name] < 1:
            seen = ", ".join(f"{lang} {count}" for lang, count in confused[name].most_common(3))
            print(f"| `{name}` | {value:.0%} | {theirs[name]:.0%} | {seen} |")


def profile(texts: list[str]) -> None:
    batches = [TextBatch.of(texts[start : start + BATCH], ["en"] * BATCH) for start in range(0, len(texts), BATCH)]

    def timed(work: Callable[[TextBatch], object]) -> float:
        start = time.process_time()
        for batch in batches:
            work(batch)
        return (time.process_time() - start) / len(texts) * 1e6

    print(f"words                      {timed(lambda batch: batch.lines.words):8.1f} microseconds a document")
    costs = {}
    for name, score in SCORES.items():
        if score.text is not None and "document" in score.scopes:
            costs[name] = timed(score.text)
    for name, cost in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"{name:26} {cost:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["datatrove", "record", "recipes", "language", "profile"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--docs", type=int, default=2000)
    parser.add_argument("--recipe", action="append")
    parser.add_argument("--venv", type=Path, default=Path("build/bench-datatrove"))
    args = parser.parse_args()
    if args.what == "language":
        language(args.data or SHARED / "lid_lingua")
        return
    if args.what == "record":
        record(args.docs, args.venv)
        return
    texts = documents(args.data, 100_000 if args.what == "recipes" else args.docs)
    if args.what == "datatrove":
        datatrove(texts, args.venv)
    elif args.what == "recipes":
        recipes(texts, args.docs, args.recipe or RECIPES)
    else:
        profile(texts)


if __name__ == "__main__":
    main()
