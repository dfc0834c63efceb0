"""The dataset card: README.md of a corpus, in the form that Hugging Face's hub reads too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plait.schemas.manifest import Manifest, StageBooks

SIZES: Final = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
"""The hub's names of dataset sizes, by their upper end in rows."""

SHOWN_LANGUAGES: Final = 30
SHOWN_LICENCES: Final = 20


def card(manifest: Manifest) -> str:
    """Markdown of the card; the same manifest gives the same text.

    It is made from the manifest alone, so it grows with rules and languages and never with documents.
    """
    sections = [_front_matter(manifest), _head(manifest), _contents(manifest), _loading(manifest), _funnel(manifest)]
    sections += [_recipe(manifest), _provenance(manifest), _care(manifest)]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _front_matter(manifest: Manifest) -> str:
    languages = [language for language in manifest.totals.languages if language]
    size = next((name for end, name in SIZES if manifest.totals.documents < end), "n>1B")
    lines = ["---", f"pretty_name: {_quoted(manifest.recipe.name)}", "license: other"]
    if languages:
        lines += ["language:", *[f"- {_quoted(language)}" for language in languages]]
    lines += ["size_categories:", f"- {size}", "tags:", "- interleaved", "- image-text", "- web"]
    if "parquet" in manifest.formats:
        lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train"]
        lines += ["    path: data/*.parquet"]
    return "\n".join([*lines, "---"])


def _head(manifest: Manifest) -> str:
    totals = manifest.totals
    pictures = f"{totals.images:,} images ({_bytes(totals.image_bytes)})"
    if totals.image_urls:
        pictures += f" and {totals.image_urls:,} image URLs without bytes"
    partial = ""
    if manifest.recipe.partial:
        partial = (
            "\n\n**Partial recipe.** The build ran without "
            + ", ".join(f"`{name}`" for name in manifest.recipe.missing)
            + "; the rules that need them were not applied."
        )
    return (
        f"# {manifest.recipe.name}: an interleaved image-text corpus\n\n"
        f"{totals.documents:,} documents with {totals.texts:,} text nodes ({totals.text_chars:,} characters) and "
        f"{pictures}, in reading order, from web archives. Generation {manifest.generation}, "
        f"built by plait {manifest.plait_version}.{partial}"
    )


def _contents(manifest: Manifest) -> str:
    totals = manifest.totals
    parts = ["## What is in it", ""]
    ranked = sorted(totals.languages.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        (f"`{name}`" if name else "not identified", f"{count:,}", _share(count, totals.documents))
        for name, count in ranked[:SHOWN_LANGUAGES]
    ]
    parts += _table(("language", "documents", "share"), shown)
    if len(ranked) > SHOWN_LANGUAGES:
        rest = sum(count for _, count in ranked[SHOWN_LANGUAGES:])
        parts += ["", f"{len(ranked) - SHOWN_LANGUAGES} more languages have {rest:,} documents."]
    parts += ["", "### Licences that pages state", ""]
    if totals.licences:
        licences = list(totals.licences.items())[:SHOWN_LICENCES]
        parts += _table(("licence", "documents"), [(_cell(name), f"{count:,}") for name, count in licences])
        parts += ["", "All other documents state none that plait recognises."]
    else:
        parts += ["No page states a licence that plait recognises."]
    parts += ["", "### Columns", "", _COLUMNS]
    if manifest.scores:
        names = ", ".join(f"`{name}` ({kind})" for name, kind in sorted(manifest.scores.items()))
        parts += ["", f"Scores, for filtering again: {names}."]
    return "\n".join(parts)


_COLUMNS: Final = """One row a document. `texts`, `tags`, `images` and `image_info` are parallel lists in reading order:
slot *i* is a text (`texts[i]` and `tags[i]` set) or an image (`images[i]`: `{bytes, path}`, `image_info[i]`: URL, alt
text, caption, size, hashes, duplicate counts, place in the archive). `doc_id`, `url`, `domain`, `captured`, `archive`,
`offset` and `length` say where a document comes from; `lang`, `title`, `licence`, `published`, `author` what it is."""


def _loading(manifest: Manifest) -> str:
    blocks = ["## How to load it", ""]
    blocks += _code(
        "plait",
        """from plait.loader import Corpus

for document in Corpus("PATH"):
    for node in document.nodes:  # texts and pictures in reading order
        print(node)""",
    )
    if "parquet" in manifest.formats:
        blocks += _code(
            "Hugging Face datasets",
            """from datasets import load_dataset

corpus = load_dataset("parquet", data_files="PATH/data/*.parquet", split="train")
corpus[0]["texts"], corpus[0]["images"]  # images are decoded""",
        )
        blocks += _code(
            "DuckDB, without reading a picture",
            """import duckdb

duckdb.sql("select lang, count(*) from 'PATH/data/*.parquet' group by lang")""",
        )
    if "webdataset" in manifest.formats:
        blocks += _code(
            "webdataset",
            """import glob, json, webdataset

for sample in webdataset.WebDataset(sorted(glob.glob("PATH/webdataset/*.tar")), shardshuffle=False):
    document = json.loads(sample["json"])
    pictures = [sample[field] for field in document["images"] if field is not None]""",
        )
        blocks += _code(
            "Megatron Energon",
            """from megatron.energon import WorkerConfig, get_train_dataset

dataset = get_train_dataset("PATH/webdataset", batch_size=1, shuffle_buffer_size=None, max_samples_per_sequence=None,
                            worker_config=WorkerConfig.default_worker_config())""",
        )
    return "\n".join(blocks)


def _funnel(manifest: Manifest) -> str:
    if not manifest.funnel:
        return ""
    rows = [
        (books.stage, f"{books.scope}s", f"{books.entered:,}", f"{books.left:,}", _reasons(books))
        for books in manifest.funnel
    ]
    note = "Every line adds up: in = out + dropped. `plait audit` checks it against the files; `ledger/` has each drop."
    header = ("stage", "of", "in", "out", "dropped, by reason")
    return "\n".join(["## What was dropped", "", *_table(header, rows), "", note])


def _reasons(books: StageBooks) -> str:
    ranked = sorted(books.dropped.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"`{reason}` {count:,}" for reason, count in ranked if count) or "none"


def _recipe(manifest: Manifest) -> str:
    recipe = manifest.recipe
    rows = [
        (f"`{rule.name}`", rule.scope, f"`{_cell(rule.keep)}`" if rule.keep else "", _cell(rule.source))
        for rule in recipe.rules
    ]
    lines = ["## The recipe, rule by rule", "", f"`{recipe.name}`: {recipe.description}".rstrip(": "), ""]
    if rows:
        lines += _table(("rule", "of", "keeps where", "source"), rows)
    else:
        lines += ["It has no rules."]
    return "\n".join([*lines, "", f"SHA-256 of the recipe: `{recipe.digest}`; its text is in `manifest.json`."])


def _provenance(manifest: Manifest) -> str:
    options = ", ".join(f"`{name}` = `{value}`" for name, value in sorted(manifest.options.items()))
    return f"""## Where it comes from

`{manifest.lists.inputs}` lists the archives by content; each document and each image names its archive, offset and
length there. The corpus' fingerprint is `{manifest.fingerprint}`: a build of the same archives with the same recipe
gives it again (`plait fingerprint`). {f"Options of the build: {options}." if options else ""}"""


def _care(manifest: Manifest) -> str:
    masked = '"mask_pii":true' in manifest.recipe.text
    private = (
        "E-mail addresses, telephone and IP numbers in the text were masked."
        if masked
        else "Personal data in the text was **not** masked by this recipe."
    )
    opted, disallowed, unknown = (
        sum(books.dropped.get(reason, 0) for books in manifest.funnel)
        for reason in ("opted_out", "robots_disallowed", "robots_unavailable")
    )
    return f"""## Consent and safety

The text and the pictures belong to those who made them; plait grants no rights to them. A page's licence is a column,
as far as the page states one, to filter by. Pages whose robots rules or meta tags ask not to be used for training are
left out as `opted_out`: {opted:,} here; so are pages and pictures that a robots.txt in the archives disallows or of
which they hold only errors: {disallowed + unknown:,} here. {private} No automatic filter finds everything: look before
you publish, and offer a way to have things removed."""


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *["| " + " | ".join(row) + " |" for row in rows]]


def _code(title: str, code: str) -> list[str]:
    return [f"**{title}**", "", "```python", code, "```", ""]


def _cell(text: str) -> str:
    """Text that can stand in a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def _quoted(text: str) -> str:
    """A YAML string: `no` is a language here, not a truth value."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _bytes(count: int) -> str:
    amount: float = count
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
