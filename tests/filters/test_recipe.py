"""Recipes: what is built in, and the one sentence that a wrong one gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.filters.models import available
from plait.filters.recipe import load_recipe, recipe_names
from plait.filters.scores import SCORES
from plait.schemas.documents import LANGUAGE_FIELDS, PAGE_FIELDS
from plait.schemas.errors import ConfigError
from plait.schemas.reasons import REASONS
from plait.schemas.shards import shard_schema

HEAD = 'name = "mine"\ndescription = "a test"\n'
RULE = '[[rule]]\nname = "short"\nscope = "document"\nkeep = "words >= 50"\nsource = "test"\n'


def write(tmp_path: Path, text: str, name: str = "mine.toml") -> str:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipe_loads_and_names_a_source_for_every_rule(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.rules
    for rule in recipe.rules:
        assert len(rule.source) > 3
        assert rule.name not in REASONS, "a rule may not take a stage's reason code"


def test_the_recipes_of_the_papers_are_there():
    assert {
        "annotate",
        "default",
        "fineweb",
        "omnicorpus",
        "omnicorpus-zh",
        "obelics",
        "mmc4",
        "mmc4-core",
        "mint1t",
        "moscar",
    } <= set(recipe_names())


def test_annotate_has_every_stored_score_and_drops_only_for_images():
    recipe = load_recipe("annotate")
    stored = {n for n, s in SCORES.items() if "document" in s.scopes and s.stage == "text" and s.stored}
    assert set(recipe.columns) == stored
    assert {name for rule in recipe.rules for name in rule.scores} == {"image_nodes", "side", "images"}


def test_score_columns_do_not_collide_with_document_columns():
    taken = {field.name for field in [*PAGE_FIELDS, *LANGUAGE_FIELDS]} | set(shard_schema({}).names)
    assert not taken & set(load_recipe("annotate").columns)


def test_every_score_is_documented():
    for name, score in SCORES.items():
        assert len(score.doc) > 10, name
        assert score.scopes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "passses = 2\n", ["passses", "did you mean 'passes'"]),
        (HEAD + "[limits]\npage_byte = 3\n", ["limits.page_byte", "did you mean 'page_bytes'"]),
        (HEAD + "[dedup.minhash]\nband = 3\n", ["did you mean 'bands'"]),
        (HEAD + RULE.replace("words", "wrods"), ["short", "wrods", "did you mean 'words'"]),
        (HEAD + RULE.replace(">= 50", ">>= 50"), ["short", "words >>= 50"]),
        (HEAD + RULE.replace(">= 50", ">= 'x'"), ["short", "number with a string"]),
        (HEAD + RULE.replace("words >= 50", "50 <= words <= 10"), ["short", "never", "words", "50", "10"]),
        (HEAD + RULE.replace("words >= 50", "lang_score > 0.5 and words < 9 and 10 < words"), ["never", "words", "9"]),
        (HEAD + RULE.replace('scope = "document"', 'scope = "documnt"'), ["scope of rule short", "documnt"]),
        (HEAD + RULE.replace('source = "test"\n', ""), ["source of rule short", "missing"]),
        (HEAD + RULE.replace("keep", "kep"), ["kep", "did you mean 'keep'"]),
        (HEAD + RULE.replace('keep = "words >= 50"\n', ""), ["short", "'keep'", "'edit'"]),
        (HEAD + RULE + RULE, ["two rules are named 'short'"]),
        (HEAD + 'passes = "three"\n', ["passes", "three"]),
        (HEAD + "passes = 0\n", ["passes", "greater than or equal to 1"]),
        (HEAD + RULE.replace("words >= 50", "tag == 'p'"), ["no score 'tag' of a document"]),
        (
            HEAD + RULE.replace('keep = "words >= 50"', 'edit = "remove_url"').replace("document", "node"),
            ["remove_urls"],
        ),
        (HEAD + RULE.replace('"short"', '"near_duplicate"'), ["near_duplicate", "choose another"]),
        ("name = 3", ["name"]),
        ("name = ", ["TOML"]),
        (HEAD + 'extends = "defalt"\n', ["did you mean 'default'"]),
        (HEAD + 'extends = "default"\nwithout = ["too_shrt"]\n', ["did you mean 'too_short'"]),
    ],
)
def test_a_wrong_recipe_is_one_sentence(tmp_path: Path, text: str, said: list[str]):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_recipe(path)
    message = str(error.value)
    assert "\n" not in message
    for part in said:
        assert part in message


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'omnicorpus'"):
        load_recipe("omnicorpsu")


def test_a_missing_file_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(str(tmp_path / "no.toml"))


def test_extending_replaces_in_place_and_adds_at_the_end(tmp_path: Path):
    text = (
        HEAD.replace('"a test"', '"a test"\nextends = "default"\nwithout = ["lorem_ipsum"]')
        + "[images]\ncap = 3\n"
        + '[[rule]]\nname = "too_short"\nscope = "document"\nkeep = "words >= 77"\nsource = "test"\n'
        + '[[rule]]\nname = "mine"\nscope = "document"\nkeep = "sentences >= 2"\nsource = "test"\n'
    )
    recipe, base = load_recipe(write(tmp_path, text)), load_recipe("default")
    names = [rule.name for rule in base.rules if rule.name != "lorem_ipsum"]
    assert [rule.name for rule in recipe.rules] == [*names, "mine"]
    assert next(rule for rule in recipe.rules if rule.name == "too_short").keep == "words >= 77"
    assert recipe.images.cap == 3
    assert recipe.images.hamming_radius == base.images.hamming_radius
    assert recipe.mask_pii


def test_circular_extension_is_refused(tmp_path: Path):
    write(tmp_path, HEAD + 'extends = "two.toml"\n', "one.toml")
    write(tmp_path, HEAD + 'extends = "one.toml"\n', "two.toml")
    with pytest.raises(ConfigError, match="circle"):
        load_recipe(str(tmp_path / "one.toml"))


def test_stage_of_a_rule_follows_its_scores():
    recipe = load_recipe("default")
    assert {rule.name for rule in recipe.rules_at("assemble", "document")} == {"no_usable_image", "too_many_images"}
    assert "image_too_small" in {rule.name for rule in recipe.rules_at("assemble", "image")}
    assert "image_url_word" in {rule.name for rule in recipe.rules_at("text", "image")}


def test_what_plait_cannot_bring_is_required_by_name_and_can_be_skipped():
    recipe = load_recipe("obelics")
    needs = recipe.requirements()
    assert needs["document_perplexity"] == ("kenlm",)
    assert not available("kenlm", recipe)
    partial = recipe.skipping(needs)
    assert not partial.requirements()
    assert len(partial.rules) == len(recipe.rules) - len(needs)


def test_resources_are_relative_to_the_recipe_and_must_exist(tmp_path: Path):
    text = HEAD + '[resources]\nblocked_domains = "block.txt"\n' + RULE.replace("words >= 50", "not blocked_domain")
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.resources.blocked_domains == str(tmp_path / "block.txt")
    with pytest.raises(ConfigError, match="is no file"):
        available("blocked_domains", recipe)
    (tmp_path / "block.txt").write_text("bad.test\n", "utf-8")
    assert available("blocked_domains", recipe)


def test_the_documentation_names_every_score_and_every_recipe():
    docs = Path(__file__).resolve().parents[2] / "docs"
    filters, recipes = (docs / "filters.md").read_text("utf-8"), (docs / "recipes.md").read_text("utf-8")
    for name, score in SCORES.items():
        assert f"| `{name}` | {', '.join(score.scopes)} |" in filters
    for name in recipe_names():
        assert f"| `{name}` | {load_recipe(name).description} {len(load_recipe(name).rules)} rules." in recipes
