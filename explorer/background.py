"""The report's last sections: the recipe, what it cost, where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Final

import fsspec
import pyarrow.parquet as pq

from plait.explorer import charts
from plait.explorer.markup import figure, in_bytes
from plait.explorer.recipes import alone_by, dropped_by
from plait.schemas.manifest import Manifest, RuleRecord

SHOWN_INPUTS: Final = 50


def recipe_section(manifest: Manifest) -> str:
    """Every rule with its condition and source, the build's options, and the recipe as it was used."""
    dropped, alone = dropped_by(manifest, "document"), alone_by(manifest)
    rows = "".join(
        f'<tr><td data-name="rule"><code>{escape(rule.name)}</code></td><td data-name="of">{escape(rule.scope)}</td>'
        f'<td data-name="keeps where"><code>{escape(rule.keep)}</code></td>'
        f'<td class="n" data-name="dropped">{_documents(dropped, rule, alone)}</td>'
        f'<td class="n" data-name="alone">{_documents(alone, rule, alone)}</td>'
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
        '<th>keeps where</th><th class="n">dropped</th><th class="n">alone</th><th>source</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div><ul>{options}</ul>"
        f"<details><summary>as the build used it</summary><pre>{escape(text)}</pre></details>"
    )


def _documents(counts: Mapping[str, int], rule: RuleRecord, applied: Mapping[str, int]) -> str:
    """Documents that a rule on documents dropped, or alone would have; a dash where it was not applied to them."""
    return f"{counts.get(rule.name, 0):,}" if rule.name in applied else "–"


def cost_section(manifest: Manifest) -> str:
    """What the build took, by stage, with the rates of what entered each."""
    cost = manifest.cost
    stages = {n.removeprefix("cpu_s."): float(value or 0) for n, value in cost.items() if n.startswith("cpu_s.")}
    shown = ""
    if stages:
        ranked = sorted(stages.items(), key=lambda item: -item[1])
        labels, seconds = [name for name, _ in ranked], [value for _, value in ranked]
        notes = [f"{value:,.1f} s{_rate(manifest, name, value)}" for name, value in ranked]
        chart = charts.bars("CPU seconds by stage", labels, seconds, notes)
        shown = f'<div class="grid">{figure(chart, "CPU seconds by stage, and what entered it per CPU second.")}</div>'
    whole = float(cost.get("cpu_s") or 0)
    entered = next((books.entered for books in manifest.funnel if books.scope == "document"), 0)
    lines = [f"CPU: {duration(whole)}", f"wall clock: {duration(float(cost.get('wall_s') or 0))}"] if cost else []
    if cost.get("peak_rss"):
        lines.append(f"memory: {in_bytes(int(float(cost['peak_rss'] or 0)))} at most in one process")
    if whole:
        lines.append(f"pages per CPU second, all stages: {entered / whole:,.1f}")
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2 id="cost">Cost</h2>{shown}<ul>{items}</ul>'


def _rate(manifest: Manifest, stage: str, seconds: float) -> str:
    """What entered a stage per CPU second; nothing for stages that keep no books or took next to nothing."""
    books = [line for line in manifest.funnel if line.stage == stage and line.entered]
    line = next((b for b in books if b.scope == "document"), next((b for b in books if b.scope == "image"), None))
    return f", {line.entered / seconds:,.0f} {line.scope}s/s" if line is not None and seconds >= 0.01 else ""


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def provenance_section(path: str, manifest: Manifest) -> str:
    """What the corpus was made from, and by what its identity can be checked."""
    rows, more = _inputs(path, manifest)
    cells = "".join(
        f'<tr><td data-name="archive">{escape(str(row["archive"]))}</td>'
        f'<td data-name="identity"><code>{escape(str(row["archive_id"]))}</code></td>'
        + "".join(f'<td class="n" data-name="{name}">{row[name] or 0:,}</td>' for name in _COUNTED)
        + "</tr>"
        for row in rows
    )
    table = (
        '<div class="table"><table class="stack"><thead><tr><th>archive</th><th>identity</th>'
        + "".join(f'<th class="n">{name}</th>' for name in _COUNTED)
        + f"</tr></thead><tbody>{cells}</tbody></table></div>"
        if rows
        else ""
    )
    facts = [
        ("plait", manifest.plait_version),
        ("generation", str(manifest.generation)),
        ("fingerprint", manifest.fingerprint),
        ("recipe", f"{manifest.recipe.name}, SHA-256 {manifest.recipe.digest}"),
        ("receipts", f"{manifest.receipts.count:,}, SHA-256 {manifest.receipts.digest}"),
    ]
    items = "".join(f"<li>{name}: <code>{escape(value)}</code></li>" for name, value in facts)
    left = f'<p class="faint">and {more:,} more archives (ledger/inputs.parquet)</p>' if more else ""
    return f'<h2 id="provenance">Provenance</h2><ul>{items}</ul>{table}{left}'


_COUNTED = ("bytes", "records", "pages", "images")


def _inputs(path: str, manifest: Manifest) -> tuple[list[dict[str, str | int | None]], int]:
    """The first archives, and how many more there are."""
    try:
        with fsspec.open(f"{path.rstrip('/')}/{manifest.lists.inputs}", "rb") as file:
            table = pq.read_table(file)
    except FileNotFoundError:
        return [], 0
    return table.slice(0, SHOWN_INPUTS).to_pylist(), max(table.num_rows - SHOWN_INPUTS, 0)
