"""report.html: a corpus at a glance, one file that opens from disk, without scripts and without the network."""

from __future__ import annotations

from html import escape
from importlib import resources

from plait.explorer.background import cost_section, provenance_section, recipe_section
from plait.explorer.distributions import distributions_section, languages_section
from plait.explorer.dropped import DroppedPictures
from plait.explorer.funnel import funnel_section
from plait.explorer.gather import gather
from plait.explorer.markup import in_bytes
from plait.explorer.recipes import rules_of
from plait.explorer.shown import documents_section, dropped_section, duplicates_section, quantiles_section
from plait.schemas.manifest import Manifest

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report(path: str, manifest: Manifest, pictures: DroppedPictures | None = None) -> str:
    """The report of a corpus as HTML.

    Args:
        path: the corpus' folder or URL: ledger and shards are read, the manifest need not be written yet.
        manifest: its manifest.
        pictures: gives the bytes of dropped pictures, where a build still has them; without, they are not shown.

    Cost: reads columns without pictures of at most 20,000 documents, a few hundred documents with pictures, and the
    ledger's first two million rows.
    """
    found = gather(path, manifest, rules_of(manifest), pictures)
    parts = [
        _head(manifest, bool(found.quantiles)), funnel_section(manifest.funnel), languages_section(manifest, found),
        distributions_section(manifest, found), quantiles_section(manifest, found), documents_section(found.documents),
        duplicates_section(found.sheets, found.twins), dropped_section(manifest, found), recipe_section(manifest),
        cost_section(manifest), provenance_section(path, manifest),
    ]  # fmt: skip
    css = resources.files("plait.explorer").joinpath("report.css").read_text("utf-8")
    title = escape(f"{manifest.recipe.name}: report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{css}</style></head>"
        f"<body>{parts[0]}<main>{chr(10).join(parts[1:])}</main></body></html>\n"
    )


def _head(manifest: Manifest, quantiles: bool) -> str:
    totals = manifest.totals
    figures = [
        ("documents", f"{totals.documents:,}"),
        ("images", f"{totals.images:,}"),
        ("image URLs without bytes", f"{totals.image_urls:,}"),
        ("text nodes", f"{totals.texts:,}"),
        ("characters", f"{totals.text_chars:,}"),
        ("image bytes", in_bytes(totals.image_bytes)),
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
    links = [("funnel", "Funnel"), ("languages", "Languages"), ("scores", "Distributions")]
    links += [("quantiles", "Pictures by score")] if quantiles else []
    links += [("documents", "Documents"), ("duplicates", "Duplicates"), ("dropped", "What was dropped")]
    links += [("recipe", "Recipe"), ("cost", "Cost"), ("provenance", "Provenance")]
    nav = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in links)
    return (
        f"<header><h1>{escape(manifest.recipe.name)}</h1><p>{escape(manifest.recipe.description)}</p>"
        f'<p class="faint">plait {escape(manifest.plait_version)}, generation {manifest.generation}, '
        f"fingerprint <code>{manifest.fingerprint[:16]}…</code></p><nav>{nav}</nav>"
        f'{partial}<div class="figures">{cells}</div></header>'
    )
