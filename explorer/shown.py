"""The report's sections with examples: documents, what was dropped or nearly so, duplicates, quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from plait.explorer import charts
from plait.explorer.dropped import Dropped
from plait.explorer.gather import Gathered, Shown
from plait.explorer.markup import figure
from plait.explorer.near import Near
from plait.explorer.pictures import HIDDEN
from plait.explorer.recipes import alone_by
from plait.explorer.series import thresholds
from plait.explorer.sheets import Sheet, Twins
from plait.schemas.manifest import Manifest, RuleRecord
from plait.schemas.reasons import REASONS


def image(data: str, said: str) -> str:
    """A thumbnail, or what stands in its place."""
    if data == HIDDEN:
        return '<span class="hidden" role="img" aria-label="picture not shown">not shown</span>'
    if not data:
        return '<span class="gone" role="img" aria-label="picture not held">not held</span>'
    return f'<img src="{data}" alt="{escape(said)}">'


def documents_section(documents: Sequence[Shown]) -> str:
    """The first documents of the corpus."""
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
        return f"<p>{image(text, 'picture at this place of the document')}</p>"
    if kind == "url":
        return f"<p><small>image URL: {escape(text)}</small></p>"
    return f'<p class="{kind}">{escape(text)}</p>'


def dropped_section(manifest: Manifest, found: Gathered) -> str:
    """For every reason what it dropped, and for every rule what it nearly dropped."""
    rules = {rule.name: rule for rule in manifest.recipe.rules}
    alone = alone_by(manifest)
    shown: set[str] = set()
    blocks = []
    for (stage, scope, reason), examples in found.examples.items():
        near = found.near.get(reason, []) if reason not in shown else []
        shown.add(reason)
        blocks.append(_rule(reason, f"{scope}s at {stage}{_alone(alone, reason)}", rules.get(reason), examples, near))
    blocks += [
        _rule(rule.name, f"{rule.scope}s{_alone(alone, rule.name)}", rule, [], found.near[rule.name])
        for rule in manifest.recipe.rules
        if rule.name not in shown and rule.name in found.near
    ]
    blocks += [
        _rule(reason, f"nodes removed at {stage}", rules.get(reason), examples, [])
        for (stage, reason), examples in found.nodes.items()
    ]
    note = (
        "Five of each, as far as there are, from the ledger, with the value that decided; under them what was kept and "
        "lay nearest to the threshold. Personal data is masked. What safety rules and lists dropped is counted only."
    )
    body = "".join(blocks) or "<p>Nothing was dropped.</p>"
    return f'<h2 id="dropped">What was dropped, and what nearly</h2><p class="faint">{note}</p>{body}'


def _alone(counts: Mapping[str, int], reason: str) -> str:
    return f"; alone it would have dropped {counts[reason]:,}" if reason in counts else ""


def _rule(reason: str, where: str, rule: RuleRecord | None, dropped: Sequence[Dropped], near: Sequence[Near]) -> str:
    what = f"keeps where <code>{escape(rule.keep)}</code> ({escape(rule.source)})" if rule else ""
    what = what or escape(REASONS.get(reason, ""))
    parts = [f"<details><summary><code>{escape(reason)}</code> <small>{escape(where)}</small></summary><p>{what}</p>"]
    if dropped:
        parts.append(f'<h4>dropped</h4><ul class="examples">{"".join(_dropped(e) for e in dropped)}</ul>')
    if near:
        parts.append(f'<h4>kept, nearly dropped</h4><ul class="examples">{"".join(_near(e) for e in near)}</ul>')
    return "".join([*parts, "</details>"])


def _dropped(example: Dropped) -> str:
    parts = [escape(example.url or ""), escape(example.text), escape(example.detail or "")]
    if example.value is not None:
        parts.append(f"<small>value {example.value:g}</small>")
    said = "<br>".join(part for part in parts if part) or "<small>(no more is known)</small>"
    if example.what == "image":
        return f"<li>{image(example.picture, 'a dropped picture')}<div>{said}</div></li>"
    return f"<li><div>{said}</div></li>"


def _near(example: Near) -> str:
    head = f"<small>{escape(example.score)} {example.value:g}, threshold {example.limit:g}</small>"
    parts = [head, f"<b>{escape(example.title)}</b>" if example.title else "", escape(example.url)]
    parts.append(escape(example.text))
    shown = image(example.picture, "a picture of what was kept") if example.picture else ""
    return f"<li>{shown}<div>{'<br>'.join(part for part in parts if part)}</div></li>"


def duplicates_section(sheets: Sequence[Sheet], twins: Sequence[Twins]) -> str:
    """Contact sheets of equal pictures; documents of equal text."""
    cards = []
    for sheet in sheets:
        pictures = "".join(
            f"<div>{image(data, f'seen on {url}')}<small>{width}×{height}</small></div>"
            for data, width, height, url in sheet.pictures
        )
        pages = "<br>".join(dict.fromkeys(escape(url) for _, _, _, url in sheet.pictures[:3]))
        cards.append(
            f'<div class="card"><b>seen {sheet.seen:,} times</b>, {sheet.kept:,} kept in the sample'
            f'<div class="sheet">{pictures}</div><small>{pages}</small></div>'
        )
    for twin in twins:
        urls = "".join(f"<li>{escape(url)}</li>" for url in twin.urls)
        more = f"<li>and {twin.count - len(twin.urls):,} more</li>" if twin.count > len(twin.urls) else ""
        cards.append(
            f'<div class="card"><b>{twin.count:,} dropped as <code>{escape(twin.reason)}</code></b><br>'
            f"<small>kept: document {escape(twin.kept)}</small><ul>{urls}{more}</ul></div>"
        )
    body = f'<div class="grid">{"".join(cards)}</div>' if cards else "<p>No picture and no text occurs twice.</p>"
    note = "Pictures that occur most often (equal perceptual hashes), and documents dropped for one that was kept."
    return f'<h2 id="duplicates">Duplicates</h2><p class="faint">{note}</p>{body}'


def quantiles_section(manifest: Manifest, found: Gathered) -> str:
    """Pictures at the quantiles of similarity and aesthetic scores; nothing where there are none."""
    if not found.quantiles:
        return ""
    blocks = []
    for score in found.quantiles:
        limits = [
            limit for rule in manifest.recipe.rules for name, limit in thresholds(rule.keep) if name == score.score
        ]
        pictures = "".join(
            f"<div>{image(data, said)}<small>{quantile:.0%}: {value:.3f}<br>{escape(said)}</small></div>"
            for quantile, value, data, said in score.examples
        )
        chart = charts.histogram(f"{score.score} of pictures", score.values, limits)
        blocks.append(
            figure(chart, f"<b>{escape(score.score)}</b> of the sample's pictures")
            + f'<div class="card"><b>at its quantiles</b><div class="sheet wide">{pictures}</div></div>'
        )
    return f'<h2 id="quantiles">Pictures by score</h2><div class="grid">{"".join(blocks)}</div>'
