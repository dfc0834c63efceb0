"""The report's funnel: documents and images through the stages, beside what other corpora published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html import escape

from plait.explorer import charts
from plait.explorer.markup import figure, share
from plait.explorer.published import OBELICS, OMNICORPUS, PublishedStage, left_overall
from plait.schemas.manifest import StageBooks
from plait.schemas.reasons import REASONS

TOP = 20


def funnel_section(funnel: Sequence[StageBooks]) -> str:
    """Every stage with its counts and reasons, as charts and as a table."""
    rows = []
    for books in funnel:
        reasons = "".join(_reason(books, reason) for reason in _ranked(books))
        cells = [("stage", f"<b>{escape(books.stage)}</b>"), ("of", f"{books.scope}s")]
        row = "".join(f'<td data-name="{name}">{text}</td>' for name, text in cells)
        numbers = [
            ("in", f"{books.entered:,}"),
            ("out", f"{books.left:,}"),
            ("kept", share(books.left, books.entered)),
        ]
        row += "".join(f'<td class="n" data-name="{name}">{text}</td>' for name, text in numbers)
        rows.append(f"<tr>{row}<td><ul>{reasons}</ul></td></tr>")
    table = (
        '<div class="table"><table class="stack"><thead><tr><th>stage</th><th>of</th><th class="n">in</th>'
        '<th class="n">out</th><th class="n">kept</th><th>dropped, by reason</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    note = (
        '<p class="faint">A document counts for the first rule that drops it. <i>Alone</i> is how many '
        "of the documents that a stage judged a rule would have dropped without the others.</p>"
        if any(books.alone for books in funnel)
        else ""
    )
    return f'<h2 id="funnel">Funnel</h2>{_funnel_charts(funnel)}{note}{table}{_beside(funnel)}'


def _ranked(books: StageBooks) -> list[str]:
    """Reasons that dropped something, or would have dropped something alone: the most frequent first."""
    names = {name for counts in (books.dropped, books.alone) for name, count in counts.items() if count}
    return sorted(names, key=lambda name: (-books.dropped.get(name, 0), -books.alone.get(name, 0), name))


def _reason(books: StageBooks, reason: str) -> str:
    count = books.dropped.get(reason, 0)
    alone = f", alone {books.alone[reason]:,}" if reason in books.alone else ""
    return (
        f'<li><code title="{escape(REASONS.get(reason, ""))}">{escape(reason)}</code> {count:,} '
        f"<small>{share(count, books.entered)}{alone}</small></li>"
    )


def documents_through(funnel: Sequence[StageBooks]) -> list[StageBooks]:
    """Documents through the stages, those that read (of archives, of revisits) as one: so the first has all."""
    documents = [books for books in funnel if books.scope == "document" and books.entered]
    reading = [books for books in documents if books.stage.startswith(documents[0].stage)]
    if len(reading) < 2:
        return documents
    dropped = Counter[str]()
    for books in reading:
        dropped.update(books.dropped)
    whole = replace(
        reading[0], entered=sum(books.entered for books in reading), left=sum(books.left for books in reading),
        dropped=dict(dropped),
    )  # fmt: skip
    return [whole, *[books for books in documents if books not in reading]]


def _funnel_charts(funnel: Sequence[StageBooks]) -> str:
    documents = documents_through(funnel)
    figures = []
    if documents:
        first = documents[0].entered
        left, kept = first, []
        for books in documents:
            left -= sum(books.dropped.values())
            kept.append(max(left, 0) / first)
        chart = charts.shares(
            "Documents left after each stage", ["all", *[books.stage for books in documents]], [1, *kept]
        )
        figures.append(figure(chart, "Documents left after each stage, as a share of all (logarithmic)."))
    for scope in ("document", "image"):
        dropped: Counter[str] = Counter()
        for books in funnel:
            if books.scope == scope:
                dropped.update(books.dropped)
        top = [(reason, count) for reason, count in dropped.most_common(TOP) if count]
        if top:
            chart = charts.bars(f"Dropped {scope}s by reason", [name for name, _ in top], [count for _, count in top])
            figures.append(figure(chart, f"{scope.capitalize()}s dropped, by reason."))
    return f'<div class="grid">{"".join(figures)}</div>'


def _beside(funnel: Sequence[StageBooks]) -> str:
    """Published shares of other corpora."""
    documents = documents_through(funnel)
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
    return share(documents[0].entered - lost, documents[0].entered)
