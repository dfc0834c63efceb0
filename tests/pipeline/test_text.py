"""The text kernel: edits, drops, books, samples, columns."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from plait.filters.recipe import Recipe, load_recipe
from plait.pipeline.text import apply_text, score_types
from plait.schemas.documents import PAGE, document_schema
from plait.schemas.ledger import DROP, NODE_SAMPLE

Node = dict[str, object]


def text(words: str, tag: str = "p") -> Node:
    return {"kind": "text", "tag": tag, "text": words}


def image(url: str = "http://x.test/photo.jpg", **declared: object) -> Node:
    return {"kind": "image", "image_url": url, **declared}


def pages(*documents: Sequence[Node], urls: Sequence[str] = ()) -> pa.RecordBatch:
    rows = []
    for number, nodes in enumerate(documents):
        row: dict[str, object] = dict.fromkeys(PAGE.names)
        row["doc_id"] = hashlib.sha256(b"%d" % number).digest()[:16]
        row["order_key"] = number
        row["url"] = urls[number] if urls else f"http://site.test/{number}"
        row["nodes"] = list(nodes)
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, schema=PAGE)


PROSE = "The quick brown fox is one of the animals that have to be seen with patience and care in the woods."
FILLER = " ".join(f"Sentence number {n} says that the thing called {chr(97 + n)}{n} exists." for n in range(12))


ENGLISH = [
    "On the first morning of the season we walked to the lighthouse, and the wind that had kept us awake was gone.",
    "My grandfather had told us about the keeper of the place, who could read the weather in the sea.",
    "He was right about the storms, which came in from the north, but never said that the stairs had no railing.",
    "At the top there is a room with eight windows, and in the middle stands the lamp, taller than a grown person.",
    "Visitors are asked to keep their hands off the glass because the oil of the skin leaves marks.",
    "We stayed until noon, ate bread with cheese on the rocks, and watched two boats race for the harbour.",
    "When the tide turned, my sister found a crab, gave it a name, and put it back under the stone where it had been.",
    "It is a long way home, although nobody complained, since the path follows the cliff with its views.",
]
CHINESE = [
    "清晨的雾气还没有散去，我们就沿着石板路向山顶走去，路旁的茶园里已经有人在采摘嫩芽。",
    "导游告诉大家，这座古寺建于唐代，曾经三次毁于战火，现存的大殿是清朝重新修建的。",
    "大殿前的两棵银杏树据说有八百多年的历史，每到深秋，金黄的叶子铺满整个院子，非常好看。",
    "寺庙的厨房对外开放，素面只要十块钱一碗，汤里放了香菇和笋干，味道比想象中好得多。",
    "下午天气转晴，站在观景台上可以看见远处的水库，几只白鹭贴着水面慢慢地飞过去。",
    "如果打算自己开车前往，建议提前一天预订停车位，因为周末的时候山脚下常常会堵车。",
]


def recipe(tmp_path: Path, *rules: str, head: str = "") -> Recipe:
    path = tmp_path / "mine.toml"
    body = "".join(f"[[rule]]\n{rule}\nsource = 'test'\n" for rule in rules)
    path.write_text(f"name = 'mine'\ndescription = 'a test'\n{head}\n{body}", "utf-8")
    return load_recipe(str(path))


def rule(name: str, scope: str, keep: str) -> str:
    return f'name = "{name}"\nscope = "{scope}"\nkeep = "{keep}"'


def nodes_of(batch: pa.RecordBatch, row: int = 0) -> list[str | None]:
    return [node["text"] or node["image_url"] for node in batch.column("nodes")[row].as_py()]


def test_annotate_scores_everything_and_drops_only_documents_without_an_image():
    batch = pages([text(PROSE), image()], [text(PROSE)], [image("http://x.test/logo.png")], [])
    result = apply_text(batch, load_recipe("annotate"))
    assert result.kept.num_rows == 2
    assert result.dropped.column("reason").to_pylist() == ["no_image_url"] * 2
    assert result.kept.schema.equals(document_schema(score_types(load_recipe("annotate"))))
    assert result.kept.column("words")[0].as_py() == 21
    assert result.kept.column("mean_word_length")[1].as_py() is None, "no words, no mean"
    assert result.image_node_counts == {}


def test_schemas_are_the_declared_ones_for_an_empty_batch_too():
    for name in ("annotate", "default", "omnicorpus", "moscar", "obelics"):
        found = load_recipe(name)
        found = found.skipping(found.requirements())
        result = apply_text(pages(), found)
        assert result.kept.schema.equals(document_schema(score_types(found)))
        assert result.dropped_documents.schema.equals(result.kept.schema)
        assert result.dropped.schema.equals(DROP)
        assert result.node_samples.schema.equals(NODE_SAMPLE)


def test_first_failing_rule_is_the_reason_with_value_and_condition(tmp_path: Path):
    found = recipe(
        tmp_path, rule("short", "document", "words >= 5"), rule("foreign", "document", "lang in ['de']"),
        rule("digits", "document", "digit_ratio <= 0.1"),
    )  # fmt: skip
    result = apply_text(pages([text("one two")], [text(PROSE)], [text("12 34")]), found)
    rows = result.dropped.to_pylist()
    assert [row["reason"] for row in rows] == ["short", "foreign", "short"]
    assert rows[0]["value"] == 2
    assert rows[0]["threshold"] == "words >= 5"
    assert rows[1]["detail"] == "en"
    assert rows[1]["value"] is None
    assert rows[1]["url"] == "http://site.test/1"
    assert result.alone == {"short": 2, "foreign": 3, "digits": 1}


def test_node_rules_edit_and_scores_are_computed_again(tmp_path: Path):
    found = recipe(
        tmp_path, rule("long_enough", "document", "words >= 10"), rule("menu", "node", "words >= 4"),
        rule("still_long", "document", "words >= 12"),
    )  # fmt: skip
    batch = pages([text("Home Page Menu"), image(), text("one two three four five six seven eight")])
    result = apply_text(batch, found)
    assert result.dropped.column("reason").to_pylist() == ["still_long"]
    assert result.dropped.column("value").to_pylist() == [8]
    assert nodes_of(result.dropped_documents) == ["http://x.test/photo.jpg", "one two three four five six seven eight"]
    assert result.node_counts == {"menu": 1}
    assert result.image_node_counts == {"document_dropped": 1}


def test_a_column_holds_what_the_last_rule_saw(tmp_path: Path):
    found = recipe(
        tmp_path, rule("long", "document", "words >= 3"), rule("menu", "node", "words >= 2"), head='scores = ["chars"]'
    )
    result = apply_text(pages([text("Home"), text("one two three")]), found)
    assert result.kept.column("words")[0].as_py() == 4
    assert result.kept.column("chars")[0].as_py() == len("one two three")


def test_line_rules_cut_lines_inside_a_node(tmp_path: Path):
    found = recipe(tmp_path, rule("no_js", "line", "not javascript"), head='scores = ["lines", "chars"]')
    batch = pages([text("first\nEnable JavaScript\n\nlast", "code"), text("javascript"), text("end")])
    result = apply_text(batch, found)
    assert nodes_of(result.kept) == ["first\nlast", "end"]
    assert result.kept.column("lines")[0].as_py() == 3
    assert result.kept.column("chars")[0].as_py() == len("first\nlast\nend")
    assert result.node_counts == {"no_js": 2}


def test_passes_repeat_a_run_of_node_rules(tmp_path: Path):
    rules = [rule("last_label", "node", "words >= 2 or nodes_after >= 1")]
    once, twice = recipe(tmp_path, *rules), recipe(tmp_path, *rules, head="passes = 2")
    batch = pages([text("a b c"), text("x"), text("y")])
    assert nodes_of(apply_text(batch, once).kept) == ["a b c", "x"]
    assert nodes_of(apply_text(batch, twice).kept) == ["a b c"]


def test_edits_change_text_and_are_counted(tmp_path: Path):
    edit = 'name = "links"\nscope = "node"\nedit = "remove_urls"'
    found = recipe(tmp_path, rule("start", "document", "words >= 1"), edit, head='scores = ["chars", "tokens"]')
    result = apply_text(
        pages([text("see http://a.test/b now"), image(), text("https://only.test/")], [text("plain")]), found
    )
    assert nodes_of(result.kept) == ["see  now", "http://x.test/photo.jpg"]
    assert result.edit_counts == {"links": 2}
    assert result.kept.column("chars").to_pylist() == [8, 5]
    assert result.kept.column("tokens").to_pylist() == [2, 1]


def test_image_rules_that_the_page_decides(tmp_path: Path):
    found = recipe(
        tmp_path, rule("word", "image", "image_url_word == ''"), rule("tiny", "image", "declared_side >= 50"),
    )  # fmt: skip
    nodes = [
        text(PROSE), image("http://logo.test/a.jpg"), image("http://x.test/img/site-logo.png"),
        image(width=20, height=600), image(width=None, height=None), image("http://x.test/logotype.png"),
    ]  # fmt: skip
    result = apply_text(pages(nodes), found)
    assert result.image_node_counts == {"word": 1, "tiny": 1}
    assert nodes_of(result.kept)[1:] == [
        "http://logo.test/a.jpg",
        "http://x.test/photo.jpg",
        "http://x.test/logotype.png",
    ]


def test_image_books_balance():
    nodes = [text(PROSE), image(), image("http://x.test/icon.gif"), image(width=10, height=10)]
    batch = pages(nodes, [*nodes, text(FILLER)], [image()], [text(FILLER), image(), image()])
    result = apply_text(batch, load_recipe("default"))
    total = sum(node["kind"] == "image" for row in batch.column("nodes").to_pylist() for node in row)
    left = sum(node["kind"] == "image" for row in result.kept.column("nodes").to_pylist() for node in row)
    assert total == left + sum(result.image_node_counts.values())
    assert result.kept.num_rows + result.dropped.num_rows == batch.num_rows


def test_nothing_depends_on_batch_boundaries():
    documents = [
        [text(f"{PROSE} {FILLER} {n}"), image(), text("Read more"), text(f"By author {n}"), text("Home")]
        for n in range(40)
    ] + [[text("短い文章です。写真があります。" * n), image()] for n in range(1, 8)]
    found = load_recipe("omnicorpus")
    for chosen in (found.skipping(found.requirements()), load_recipe("annotate"), load_recipe("default")):
        batch = pages(*documents)
        whole = apply_text(batch, chosen)
        parts = [apply_text(batch.slice(start, 5), chosen) for start in range(0, batch.num_rows, 5)]
        for name in ("kept", "dropped", "dropped_documents", "node_samples"):
            together = pa.Table.from_batches([getattr(whole, name)])
            cut = pa.Table.from_batches([getattr(part, name) for part in parts])
            assert cut.combine_chunks().equals(together.combine_chunks()), name
        for counts in ("node_counts", "edit_counts", "image_node_counts", "alone"):
            summed: dict[str, int] = {}
            for part in parts:
                for key, value in getattr(part, counts).items():
                    summed[key] = summed.get(key, 0) + value
            assert {k: v for k, v in summed.items() if v} == {k: v for k, v in getattr(whole, counts).items() if v}


def test_personal_data_is_masked_in_text_ledger_and_sample(tmp_path: Path):
    found = recipe(tmp_path, rule("contact", "node", "not phone_number"), head="mask_pii = true")
    line = "Call 212-555-0187 or write to jane.doe@example.org from 93.184.216.34"
    batch = pages(
        *[[text(line), text(f"Mail ann@example.org {n}"), image(alt="by bob@example.org")] for n in range(64)]
    )
    result = apply_text(batch, found)
    assert result.node_counts == {"contact": 64}
    everything = str([result.kept.to_pylist(), result.dropped.to_pylist(), result.node_samples.to_pylist()])
    for secret in ("212-555-0187", "jane.doe", "93.184", "ann@", "bob@"):
        assert secret not in everything
    assert 0 < result.node_samples.num_rows < 32, "one in 32 is expected"
    assert "[PHONE]" in result.node_samples.column("text")[0].as_py()
    assert result.edit_counts == {"pii_masked": 64 * 3}


def test_blocked_and_flagged_addresses(tmp_path: Path):
    (tmp_path / "block.txt").write_text("# ours\nbad.com\n", "utf-8")
    found = recipe(
        tmp_path, rule("blocked", "document", "not blocked_domain"), rule("own", "document", "domain != 'other.com'"),
        rule("flagged", "document", "url_flagged_words == 0"), head='[resources]\nblocked_domains = "block.txt"',
    )  # fmt: skip
    urls = ["http://www.bad.com/a", "http://good.com/a", "http://x.com/xxx-porn", "http://sub.other.com/"]
    batch = pages(*[[text(PROSE)]] * 4, urls=urls)
    column = pa.array(["bad.com", "good.com", "x.com", "other.com"])
    batch = batch.set_column(batch.schema.get_field_index("domain"), "domain", column)
    result = apply_text(batch, found)
    assert result.dropped.column("reason").to_pylist() == ["blocked", "flagged", "own"]


def test_omnicorpus_image_text_ratio_fires_as_written():
    body = [text(f"{PROSE} {FILLER}")]
    few, many = (
        body + [image(f"http://x.test/{n}.jpg") for n in range(2)],
        body + [image(f"http://x.test/{n}.jpg") for n in range(9)],
    )
    found = load_recipe("omnicorpus")
    result = apply_text(pages(few, many), found.skipping(found.requirements()))
    assert result.dropped.column("reason").to_pylist() == ["words_per_image_nodes"]


@pytest.mark.parametrize("name", ["omnicorpus", "omnicorpus-zh", "obelics", "mmc4", "mint1t", "moscar", "fineweb"])
def test_published_recipes_keep_good_pages_and_drop_menus(name: str):
    written = CHINESE if name == "omnicorpus-zh" else ENGLISH
    good = [*map(text, written[:2]), image(), *map(text, written[2:])]
    menu = [text(word, "li") for word in ("Home", "Products", "Contact", "Sign in", "Subscribe")] + [image()]
    found = load_recipe(name)
    result = apply_text(pages(good, menu), found.skipping(found.requirements()))
    assert result.kept.num_rows == 1, result.dropped.to_pylist()
    assert len(nodes_of(result.kept)) == len(written) + 1


def test_node_language_and_rules_for_some_languages(tmp_path: Path):
    german = "Das ist ein ganz gewöhnlicher deutscher Satz, der mitten in einer englischen Seite steht."
    node = 'name = "foreign"\nscope = "node"\nkeep = "lang == \'en\' or chars < 20"'
    some = 'name = "short_de"\nscope = "node"\nkeep = "words >= 30"\nlanguages = ["de"]'
    english = [text(sentence) for sentence in ENGLISH]
    batch = pages([*english, text(german)], [text(german), text(german)])
    assert nodes_of(apply_text(batch, recipe(tmp_path, node)).kept) == ENGLISH
    both = apply_text(batch, recipe(tmp_path, some)).kept
    assert nodes_of(both) == [*ENGLISH, german]
    assert nodes_of(both, 1) == []


def test_hostile_text_costs_no_more_than_its_length():
    chunk = "a.b-c:d/" * 30_000
    batch = pages(
        [text(chunk), image()], [text("(" * 100_000)], [text("x " * 50_000)], [text("\n" * 100_000 + "end")],
        [text("é" * 100_000)], [text("名" * 50_000)], [text(f"w{n}") for n in range(5_000)], [text("@" * 50_000 + ".")],
    )  # fmt: skip
    found = load_recipe("omnicorpus")
    start = time.process_time()
    for chosen in (load_recipe("annotate"), found.skipping(found.requirements()), load_recipe("default")):
        result = apply_text(batch, chosen)
        assert result.kept.num_rows + result.dropped.num_rows == 8
    assert time.process_time() - start < 60
