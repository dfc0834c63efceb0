"""report.html: a corpus at a glance, one file that opens from disk, without scripts and without the network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from plait.explorer import charts
from plait.explorer.gather import Example, Gathered, Shown, gather
from plait.explorer.published import OBELICS, OMNICORPUS, PublishedStage, left_overall
from plait.filters.conditions import Compare, ConditionError, Constant, Name, leaves, parse
from plait.schemas.manifest import Manifest, RuleRecord, StageBooks
from plait.schemas.reasons import REASONS

TOP = 20

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report(path: str, manifest: Manifest) -> str:
    """The report of a corpus as HTML.

    Args:
        path: the corpus' folder or URL: ledger and shards are read, the manifest need not be written yet.
        manifest: its manifest.

    Cost: reads columns without pictures of at most 20,000 documents, ten documents with pictures, and the ledger's
    first two million rows.
    """
    found = gather(path, manifest)
    parts = [_head(manifest), _funnel(manifest.funnel), _languages(manifest, found), _distributions(manifest, found)]
    parts += [_documents(found.documents), _examples(manifest, found), _recipe(manifest), _cost(manifest)]
    css = resources.files("plait.explorer").joinpath("report.css").read_text("utf-8")
    title = escape(f"{manifest.recipe.name}: report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{css}</style></head><body>" + "\n".join(parts) + "</body></html>\n"
    )


def _head(manifest: Manifest) -> str:
    totals = manifest.totals
    figures = [
        ("documents", f"{totals.documents:,}"),
        ("images", f"{totals.images:,}"),
        ("image URLs without bytes", f"{totals.image_urls:,}"),
        ("text nodes", f"{totals.texts:,}"),
        ("characters", f"{totals.text_chars:,}"),
        ("image bytes", _bytes(totals.image_bytes)),
        ("languages", f"{len([name for name in totals.languages if name]):,}"),
        ("shards", f"{manifest.shards:,}"),
    ]
    cells = "".join(f"<div><b>{value}</b><small>{name}</small></div>" for name, value in figures if value != "0")
    partial = ""
    if manifest.recipe.partial:
        names = ", ".join(f"<code>{escape(name)}</code>" for name in manifest.recipe.missing)
        partial = (
            f'<p class="partial"><b>Partial recipe.</b> The build ran without {names}; '
            "rules that need them were not applied.</p>"
        )
    links = [("funnel", "Funnel"), ("languages", "Languages"), ("scores", "Distributions"), ("documents", "Documents")]
    links += [("dropped", "What was dropped"), ("recipe", "Recipe"), ("cost", "Cost")]
    nav = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in links)
    return (
        f"<header><h1>{escape(manifest.recipe.name)}</h1><p>{escape(manifest.recipe.description)}</p>"
        f'<p class="faint">plait {escape(manifest.plait_version)}, generation {manifest.generation}, '
        f"fingerprint <code>{manifest.fingerprint[:16]}…</code></p><nav>{nav}</nav></header>"
        f'{partial}<div class="figures">{cells}</div>'
    )


def _funnel(funnel: Sequence[StageBooks]) -> str:
    rows = []
    for books in funnel:
        reasons = "".join(
            f'<li><code title="{escape(REASONS.get(reason, ""))}">{escape(reason)}</code> {count:,} '
            f"<small>{_share(count, books.entered)}</small></li>"
            for reason, count in sorted(books.dropped.items(), key=lambda item: (-item[1], item[0]))
            if count
        )
        cells = [("stage", f"<b>{escape(books.stage)}</b>"), ("of", f"{books.scope}s")]
        row = "".join(f'<td data-name="{name}">{text}</td>' for name, text in cells)
        numbers = [
            ("in", f"{books.entered:,}"),
            ("out", f"{books.left:,}"),
            ("kept", _share(books.left, books.entered)),
        ]
        row += "".join(f'<td class="n" data-name="{name}">{text}</td>' for name, text in numbers)
        rows.append(f"<tr>{row}<td><ul>{reasons}</ul></td></tr>")
    table = (
        '<div class="table"><table class="stack"><thead><tr><th>stage</th><th>of</th><th class="n">in</th>'
        '<th class="n">out</th><th class="n">kept</th><th>dropped, by reason</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return f'<h2 id="funnel">Funnel</h2>{_funnel_charts(funnel)}{table}{_beside(funnel)}'


def _funnel_charts(funnel: Sequence[StageBooks]) -> str:
    documents = [books for books in funnel if books.scope == "document" and books.entered]
    figures = []
    if documents:
        # A stage of retries takes in what an earlier one left undecided: only the first count is the whole.
        first = documents[0].entered
        left, kept = first, []
        for books in documents:
            left -= sum(books.dropped.values())
            kept.append(max(left, 0) / first)
        chart = charts.shares(
            "Documents left after each stage", ["all", *[books.stage for books in documents]], [1, *kept]
        )
        figures.append(_figure(chart, "Documents left after each stage, as a share of all (logarithmic)."))
    for scope in ("document", "image"):
        dropped: Counter[str] = Counter()
        for books in funnel:
            if books.scope == scope:
                dropped.update(books.dropped)
        top = [(reason, count) for reason, count in dropped.most_common(TOP) if count]
        if top:
            chart = charts.bars(f"Dropped {scope}s by reason", [name for name, _ in top], [count for _, count in top])
            figures.append(_figure(chart, f"{scope.capitalize()}s dropped, by reason."))
    return f'<div class="grid">{"".join(figures)}</div>'


def _beside(funnel: Sequence[StageBooks]) -> str:
    """Published shares of other corpora."""
    documents = [books for books in funnel if books.scope == "document" and books.entered]
    lines = []
    for corpus, stages, source in (
        ("OmniCorpus", OMNICORPUS, "arXiv 2406.08418"),
        ("OBELICS", OBELICS, "arXiv 2306.16527"),
    ):
        rows = "".join(
            f"<tr><td>{escape(stage.name)}<br><small>{escape(stage.note)}</small></td>"
            f'<td class="n">{stage.left:.1%}</td><td class="n">{_ours(stage, documents)}</td></tr>'
            for stage in stages
        )
        total = (
            f'<tr><td><b>overall</b></td><td class="n">{left_overall(stages):.2%}</td>'
            f'<td class="n">{_overall(documents)}</td></tr>'
        )
        lines.append(
            f'<div class="card"><h3>{corpus} <small>{source}</small></h3><table><thead><tr><th>stage</th>'
            f'<th class="n">kept there</th><th class="n">kept here</th></tr></thead>'
            f"<tbody>{rows}{total}</tbody></table></div>"
        )
    note = "They started from Common Crawl, and stages are cut differently: a guide, no target."
    return f'<h3>Beside published corpora</h3><p class="faint">{note}</p><div class="grid">{"".join(lines)}</div>'


def _ours(stage: PublishedStage, documents: Sequence[StageBooks]) -> str:
    """Share kept by those of our stages that do about the same."""
    mine = [books for books in documents if any(books.stage.startswith(name) for name in stage.stages)]
    if not mine:
        return "–"
    share = 1.0
    for books in mine:
        share *= books.left / books.entered
    return f"{share:.1%}"


def _overall(documents: Sequence[StageBooks]) -> str:
    if not documents:
        return "–"
    lost = sum(sum(books.dropped.values()) for books in documents)
    return _share(documents[0].entered - lost, documents[0].entered)


def _languages(manifest: Manifest, found: Gathered) -> str:
    figures = []
    ranked = sorted(manifest.totals.languages.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    if ranked:
        whole = manifest.totals.documents
        notes = [f"{count:,} ({_share(count, whole)})" for _, count in ranked]
        labels = [name or "not identified" for name, _ in ranked]
        chart = charts.bars("Documents by language", labels, [count for _, count in ranked], notes)
        figures.append(_figure(chart, "Documents by language."))
    if found.rows is not None:
        counted = Counter(name for name in found.rows.column("domain").to_pylist() if name).most_common(TOP)
        if counted:
            chart = charts.bars("Documents by domain", [name for name, _ in counted], [count for _, count in counted])
            figures.append(_figure(chart, f"Domains, {_sample_note(manifest, found)}."))
    if manifest.totals.licences:
        top = list(manifest.totals.licences.items())[:TOP]
        chart = charts.bars("Documents by licence", [name for name, _ in top], [count for _, count in top])
        figures.append(_figure(chart, "Licences that pages state."))
    return f'<h2 id="languages">Languages, domains, licences</h2><div class="grid">{"".join(figures)}</div>'


def _distributions(manifest: Manifest, found: Gathered) -> str:
    if found.rows is None:
        return '<h2 id="scores">Distributions</h2><p>There are no Parquet shards to take a sample from.</p>'
    figures = []
    for name, values in _series(found.rows, manifest):
        if not np.isfinite(values).any():
            continue
        thresholds = sorted({limit for rule in manifest.recipe.rules for limit in _limits(rule, name)})
        drawn = f" Thresholds of rules: {', '.join(f'{limit:g}' for limit in thresholds)}." if thresholds else ""
        middle = float(np.nanmedian(values))
        figures.append(
            _figure(charts.histogram(name, values, thresholds), f"<b>{escape(name)}</b>, median {middle:.4g}.{drawn}")
        )
    note = f"Of what was kept, {_sample_note(manifest, found)}."
    return f'<h2 id="scores">Distributions</h2><p class="faint">{note}</p><div class="grid">{"".join(figures)}</div>'


def _series(rows: pa.Table, manifest: Manifest) -> list[tuple[str, npt.NDArray[np.float64]]]:
    """What distributions are shown of: images, then score columns."""
    infos = rows.column("image_info").combine_chunks()
    flat = infos.flatten()
    per_document = np.asarray(pc.list_value_length(infos)).astype(float)
    valid = np.asarray(flat.is_valid()).astype(np.int64)
    ends = np.cumsum(np.concatenate([[0], per_document.astype(np.int64)]))
    running = np.concatenate([[0], np.cumsum(valid)])
    found: list[tuple[str, npt.NDArray[np.float64]]] = [
        ("images", (running[ends[1:]] - running[ends[:-1]]).astype(float))
    ]
    width, height, size = (_floats(flat.field(name)) for name in ("width", "height", "bytes"))
    found.append(("side", np.fmin(width, height)))
    with np.errstate(divide="ignore", invalid="ignore"):
        found.append(("aspect", width / height))
    found.append(("bytes", size))
    for name, kind in sorted({**manifest.scores, "lang_score": "float"}.items()):
        if name in rows.column_names and kind in ("double", "float", "int64", "int32"):
            found.append((name, _floats(rows.column(name).combine_chunks())))
    return found


def _floats(column: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return values


def _limits(rule: RuleRecord, score: str) -> list[float]:
    """The numbers that a rule compares a score with."""
    try:
        tree = parse(rule.keep)
    except ConditionError:  # an edit has a name in the condition's place
        return []
    limits = []
    for leaf in leaves(tree):
        if isinstance(leaf, Compare):
            for one, other in ((leaf.left, leaf.right), (leaf.right, leaf.left)):
                if isinstance(one, Name) and one.name == score and isinstance(other, Constant):
                    limits += [float(other.value)] if isinstance(other.value, (int, float)) else []
    return limits


def _documents(documents: Sequence[Shown]) -> str:
    cards = []
    for document in documents:
        lines = "".join(_line(kind, text) for kind, text in document.nodes)
        cards.append(
            f'<div class="card doc"><b>{escape(document.title) or "untitled"}</b><br>'
            f"<small>{escape(document.url)}<br>{escape(document.about)}</small>{lines}</div>"
        )
    note = "The first documents of the global shuffle, their beginnings; personal data masked, pictures made small."
    return f'<h2 id="documents">Documents</h2><p class="faint">{note}</p><div class="grid">{"".join(cards)}</div>'


def _line(kind: str, text: str) -> str:
    if kind == "img":
        return (
            f'<img src="{text}" alt="picture at this place of the document">'
            if text
            else "<p><small>a picture</small></p>"
        )
    if kind == "url":
        return f"<p><small>image URL: {escape(text)}</small></p>"
    return f'<p class="{kind}">{escape(text)}</p>'


def _examples(manifest: Manifest, found: Gathered) -> str:
    conditions = {rule.name: rule for rule in manifest.recipe.rules}
    blocks = []
    for (stage, scope, reason), examples in found.examples.items():
        rule = conditions.get(reason)
        what = (
            f"keeps where <code>{escape(rule.keep)}</code> ({escape(rule.source)})"
            if rule
            else escape(REASONS.get(reason, ""))
        )
        items = "".join(_example(example) for example in examples)
        blocks.append(
            f"<details><summary><code>{escape(reason)}</code> "
            f"<small>{escape(scope)}s at {escape(stage)}</small></summary>"
            f"<p>{what}</p><ul>{items}</ul></details>"
        )
    for (stage, reason), examples in found.nodes.items():
        items = "".join(_example(example) for example in examples)
        blocks.append(
            f"<details><summary><code>{escape(reason)}</code> <small>nodes removed at {escape(stage)}</small></summary>"
            f"<ul>{items}</ul></details>"
        )
    if not blocks:
        blocks = ["<p>Nothing was dropped.</p>"]
    note = (
        "A few of each, from the ledger, with the value that decided; personal data masked. "
        "What safety rules dropped is counted only."
    )
    return f'<h2 id="dropped">What was dropped</h2><p class="faint">{note}</p>{"".join(blocks)}'


def _example(example: Example) -> str:
    parts = [escape(example.url or ""), escape(example.detail or "")]
    if example.value is not None:
        parts.append(f"<small>value {example.value:g}</small>")
    return f"<li>{' · '.join(part for part in parts if part) or '<small>(no more is known)</small>'}</li>"


def _recipe(manifest: Manifest) -> str:
    rows = "".join(
        f'<tr><td data-name="rule"><code>{escape(rule.name)}</code></td><td data-name="of">{escape(rule.scope)}</td>'
        f'<td data-name="keeps where"><code>{escape(rule.keep)}</code></td>'
        f'<td data-name="source">{escape(rule.source)}</td></tr>'
        for rule in manifest.recipe.rules
    )
    try:
        text = json.dumps(json.loads(manifest.recipe.text), indent=1, ensure_ascii=False)
    except json.JSONDecodeError:
        text = manifest.recipe.text
    options = "".join(
        f"<li><code>{escape(k)}</code>: {escape(str(v))}</li>" for k, v in sorted(manifest.options.items())
    )
    return (
        '<h2 id="recipe">Recipe</h2><div class="table"><table class="stack"><thead><tr><th>rule</th><th>of</th>'
        f"<th>keeps where</th><th>source</th></tr></thead><tbody>{rows}</tbody></table></div><ul>{options}</ul>"
        f"<details><summary>as the build used it</summary><pre>{escape(text)}</pre></details>"
    )


def _cost(manifest: Manifest) -> str:
    cost = manifest.cost
    stages = {
        name.removeprefix("cpu_s."): float(value or 0) for name, value in cost.items() if name.startswith("cpu_s.")
    }
    figure = ""
    if stages:
        ranked = sorted(stages.items(), key=lambda item: -item[1])
        labels, seconds = [name for name, _ in ranked], [value for _, value in ranked]
        chart = charts.bars("CPU seconds by stage", labels, seconds, [f"{value:,.1f} s" for value in seconds])
        figure = f'<div class="grid">{_figure(chart, "CPU seconds by stage.")}</div>'
    whole = float(cost.get("cpu_s") or 0)
    entered = next((books.entered for books in manifest.funnel if books.scope == "document"), 0)
    lines = [
        f"{name}: {value:,}"
        for name, value in cost.items()
        if not name.startswith("cpu_s.") and isinstance(value, (int, float))
    ]
    if whole:
        lines.append(f"documents read per CPU second: {entered / whole:,.1f}")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2 id="cost">Cost</h2>{figure}<ul>{items}</ul>'


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _sample_note(manifest: Manifest, found: Gathered) -> str:
    if found.sampled < manifest.totals.documents:
        return f"a random sample of {found.sampled:,} of {manifest.totals.documents:,} documents"
    return f"all {found.sampled:,} documents"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _bytes(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"
