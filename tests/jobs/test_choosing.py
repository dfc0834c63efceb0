"""What helps to choose a recipe: the numbers of each rule, two corpora side by side, a classifier of one's own."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plait.jobs import Options, build
from plait.jobs.cli import app
from plait.jobs.comparing import ABSENT, compare
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import Manifest
from tests.archives import WarcBuilder, html
from tests.jobs.corpora import prose

RECIPE = """name = "{name}"
description = "Rules that overlap."
extends = "annotate"

[[rule]]
name = "words"
scope = "document"
keep = "words >= {words}"
source = "test"

[[rule]]
name = "letters"
scope = "document"
keep = "chars >= {chars}"
source = "test"
"""


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two recipes over twelve pages of 60 to 390 words, and a third over half of them."""
    folder = tmp_path_factory.mktemp("choosing")
    archives = []
    for part in range(2):
        archive = WarcBuilder()
        for number in range(part, 12, 2):
            text = prose(number, 60 + 30 * number)
            body = f"<article><h1>Story {number}</h1><p>{text}</p><p>Write to jo@site.test.</p></article>"
            archive.response(f"http://site.test/{number}", html(body, title=f"Story {number}"))
        archives.append(str(archive.save(folder / f"{part}.warc.gz")))
    made = []
    settings = (("loose", archives, 80, 10), ("strict", archives, 200, 1800), ("half", archives[:1], 1, 1))
    for name, inputs, words, chars in settings:
        recipe = folder / f"{name}.toml"
        recipe.write_text(RECIPE.format(name=name, words=words, chars=chars))
        build(inputs, str(folder / name), recipe=str(recipe), workers=1, options=Options(images="none", shard_docs=4))
        made.append(folder / name)
    return made[0], made[1], made[2]


def test_every_rule_says_how_many_documents_it_alone_would_have_dropped(corpora: tuple[Path, Path, Path]) -> None:
    manifest = Manifest.from_json((corpora[1] / "manifest.json").read_text())
    [line] = [line for line in manifest.funnel if (line.stage, line.scope) == ("extract", "document")]
    assert line.dropped["words"] == line.alone["words"]  # the first rule has all that it would drop
    assert line.alone["letters"] > 0
    assert line.dropped.get("letters", 0) < line.alone["letters"]
    assert line.alone["words"] + line.alone["letters"] > line.entered - line.left


def test_compare_counts_by_the_reasons_of_the_other_and_shows_examples(corpora: tuple[Path, Path, Path]) -> None:
    loose, strict, half = (str(path) for path in corpora)
    found = compare(loose, strict, examples=2)
    first, second = found.sides
    assert second.only == 0
    assert second.documents == found.shared
    assert first.only == first.documents - second.documents == sum(reason.documents for reason in first.reasons)
    assert found.edited == 0
    assert first.shared_chars == second.shared_chars > 0
    reason = next(reason for reason in first.reasons if reason.reason == "words")
    assert reason.stage == "extract"
    assert len(reason.examples) == 2
    for shown in reason.examples:
        assert shown.value < 200
        assert shown.threshold == "words >= 200"
        assert shown.title.startswith("Story")
        assert "The " in shown.text
        assert "jo@site.test" not in shown.text
    assert compare(loose, strict, examples=2) == found
    assert found.pictures.only == (0, 0)
    assert found.pictures.shared == 0  # these corpora were built without pictures
    turned = compare(strict, loose, examples=2)
    assert turned.sides == (second, first)
    missing = compare(loose, half)
    assert [(r.reason, r.stage) for r in missing.sides[0].reasons] == [(ABSENT, "")]
    with pytest.raises(ConfigError, match="manifest"):
        compare(loose, str(corpora[0].parent))


def test_compare_says_which_corpus_cannot_be_read(corpora: tuple[Path, Path, Path], tmp_path: Path) -> None:
    loose, other = str(corpora[0]), tmp_path / "other"
    shutil.copytree(corpora[1], other)
    for shard in (other / "data").iterdir():
        shard.unlink()
    with pytest.raises(CorpusError, match=r"shard-00000.*cannot be read"):
        compare(loose, str(other))
    manifest = Manifest.from_json((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(dataclasses.replace(manifest, formats=("webdataset",)).to_json())
    with pytest.raises(ConfigError, match="no Parquet shards"):
        compare(loose, str(other))


def test_compare_on_the_command_line(corpora: tuple[Path, Path, Path]) -> None:
    loose, strict, _ = (str(path) for path in corpora)
    said = CliRunner().invoke(app, ["compare", loose, strict, "--examples", "1"])
    assert said.exit_code == 0
    assert "words" in said.output
    raw = CliRunner().invoke(app, ["compare", loose, strict, "--json"])
    assert json.loads(raw.output)["sides"][0]["recipe"] == "loose"
    assert CliRunner().invoke(app, ["compare", loose, "nowhere"]).exit_code == 2


def test_a_classifier_is_trained_and_used_by_a_rule(tmp_path: Path) -> None:
    said = {
        "good": "The harbour was quiet and the letters were read. ",
        "bad": "Buy cheap pills now, the best offer of all. ",
    }
    archive = WarcBuilder()
    for name, words in said.items():
        archive.response(f"http://a.test/{name}", html(f"<article><p>{words * 9}</p></article>"))
        lines = [json.dumps({"text": f"{words} {number} " * 8}) for number in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    model = tmp_path / "quality.bin"
    command = ["quality", "train", "--good", str(tmp_path / "good.jsonl"), "--bad", str(tmp_path / "bad.jsonl")]
    done = CliRunner().invoke(app, [*command, "--out", str(model), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["auc"] > 0.9
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'name = "mine"\ndescription = "Good pages."\nextends = "annotate"\n\n[resources]\n'
        'quality_model = "quality.bin"\n\n'
        '[[rule]]\nname = "poor"\nscope = "document"\nkeep = "quality >= 0.5"\nsource = "test"\n'
    )
    done = build(
        [str(archive.save(tmp_path / "a.warc.gz"))], str(tmp_path / "out"), recipe=str(recipe), workers=1,
        options=Options(images="none"),
    )  # fmt: skip
    assert done.totals.documents == 1
    assert done.scores["quality"] == "double"
    for wrong in (["--out", "nowhere/x.bin"], ["--out", str(model), "--epochs", "0"]):
        refused = CliRunner().invoke(app, [*command, *wrong])
        assert refused.exit_code == 2
        assert "--" in refused.output
