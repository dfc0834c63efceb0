"""Decisions of Gopher, C4 and FineWeb on real texts, pinned to datatrove 0.10.1's.

`python benchmarks/text.py record` made the file of its decisions: for every gold text of wcxb four digits, 1 for kept,
by Gopher repetition, Gopher quality, C4 and FineWeb, each on the text as it came.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from plait.filters import batch as batch_module
from plait.filters.recipe import load_recipe
from plait.filters.vocabulary import Vocabulary
from plait.pipeline.text import apply_text
from plait.schemas.documents import PAGE

FAMILIES = (
    ("dup_paragraphs", "dup_10gram"),
    ("word_count", "stop_words"),
    ("c4_long_word", "c4_few_sentences"),
    ("few_terminal_lines", "list_like"),
)


def test_decisions_equal_datatroves(shared_data: Path, monkeypatch: pytest.MonkeyPatch):
    decisions: dict[str, str] = json.loads((Path(__file__).parent / "datatrove_decisions.json").read_text("utf-8"))
    memo = Vocabulary(english_only=True)
    monkeypatch.setattr(batch_module, "vocabulary", lambda: memo)
    rows = []
    for number, name in enumerate(decisions):
        gold = json.loads((shared_data / "wcxb" / "ground-truth" / f"{name}.json").read_text("utf-8"))
        row: dict[str, object] = dict.fromkeys(PAGE.names)
        node = {"kind": "text", "tag": "p", "text": gold["ground_truth"]["main_content"]}
        row.update(doc_id=number.to_bytes(16, "big"), order_key=0, url="http://site.test/", nodes=[node])
        rows.append(row)
    pages = pa.RecordBatch.from_pylist(rows, schema=PAGE)
    recipe = load_recipe("fineweb").skipping(["not_english"])
    names = [rule.name for rule in recipe.rules]
    wrong: list[tuple[str, int]] = []
    for place, (first, last) in enumerate(FAMILIES):
        rules = recipe.rules[names.index(first) : names.index(last) + 1]
        result = apply_text(pages, recipe.model_copy(update={"rules": rules, "columns": ()}))
        dropped = {int.from_bytes(doc, "big") for doc in result.dropped["doc_id"].to_pylist()}
        for number, (name, kept) in enumerate(decisions.items()):
            if (number not in dropped) != (kept[place] == "1"):
                wrong.append((name, place))
    assert len(wrong) <= 0.005 * len(decisions) * len(FAMILIES), wrong
    assert {kept[place] for kept in decisions.values() for place in range(4)} == {"0", "1"}
