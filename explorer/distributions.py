"""The report's distributions: languages, domains, licences, and every score with its thresholds."""

from __future__ import annotations

from collections import Counter
from html import escape

import numpy as np
import pyarrow as pa

from plait.explorer import charts
from plait.explorer.gather import Gathered
from plait.explorer.markup import figure, share
from plait.explorer.series import Floats, floats, picture_numbers, picture_rows, thresholds
from plait.schemas.manifest import Manifest

TOP = 20


def languages_section(manifest: Manifest, found: Gathered) -> str:
    """Documents by language, domain and licence."""
    figures = []
    ranked = sorted(manifest.totals.languages.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    if ranked:
        whole = manifest.totals.documents
        notes = [f"{count:,} ({share(count, whole)})" for _, count in ranked]
        labels = [name or "not identified" for name, _ in ranked]
        chart = charts.bars("Documents by language", labels, [count for _, count in ranked], notes)
        figures.append(figure(chart, "Documents by language."))
    if found.rows is not None:
        counted = Counter(name for name in found.rows.column("domain").to_pylist() if name).most_common(TOP)
        if counted:
            chart = charts.bars("Documents by domain", [name for name, _ in counted], [count for _, count in counted])
            figures.append(figure(chart, f"Domains, {sample_note(manifest, found)}."))
    if manifest.totals.licences:
        top = list(manifest.totals.licences.items())[:TOP]
        chart = charts.bars("Documents by licence", [name for name, _ in top], [count for _, count in top])
        figures.append(figure(chart, "Licences that pages state."))
    return f'<h2 id="languages">Languages, domains, licences</h2><div class="grid">{"".join(figures)}</div>'


def distributions_section(manifest: Manifest, found: Gathered) -> str:
    """Every score and the pictures' sizes as histograms, thresholds drawn."""
    if found.rows is None:
        return '<h2 id="scores">Distributions</h2><p>There are no Parquet shards to take a sample from.</p>'
    figures = []
    for name, values in _series(found.rows, manifest):
        if not np.isfinite(values).any():
            continue
        drawn_at = sorted(
            {limit for rule in manifest.recipe.rules for score, limit in thresholds(rule.keep) if score == name}
        )
        drawn = f" Thresholds of rules: {', '.join(f'{limit:g}' for limit in drawn_at)}." if drawn_at else ""
        middle = float(np.nanmedian(values))
        figures.append(
            figure(charts.histogram(name, values, drawn_at), f"<b>{escape(name)}</b>, median {middle:.4g}.{drawn}")
        )
    note = f"Of what was kept, {sample_note(manifest, found)}."
    return f'<h2 id="scores">Distributions</h2><p class="faint">{note}</p><div class="grid">{"".join(figures)}</div>'


def _series(rows: pa.Table, manifest: Manifest) -> list[tuple[str, Floats]]:
    """What distributions are shown of: images, then score columns."""
    pictures, document_of, _ = picture_rows(rows)
    found: list[tuple[str, Floats]] = [
        ("images", np.bincount(document_of, minlength=rows.num_rows).astype(np.float64)),
    ]
    columns = picture_numbers(pictures)
    found += [(name, columns.column(name).to_numpy()) for name in ("side", "aspect", "bytes")]
    for name, kind in sorted({**manifest.scores, "lang_score": "float"}.items()):
        if name in rows.column_names and kind in ("double", "float", "int64", "int32"):
            found.append((name, floats(rows.column(name).combine_chunks())))
    return found


def sample_note(manifest: Manifest, found: Gathered) -> str:
    """Says whether figures are of a sample."""
    if found.sampled < manifest.totals.documents:
        return f"a random sample of {found.sampled:,} of {manifest.totals.documents:,} documents"
    return f"all {found.sampled:,} documents"
