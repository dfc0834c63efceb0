"""The explorer's server: JSON for the page, pictures as pictures, archived pages without anything that acts."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Final

from plait.explorer.masking import clipped
from plait.explorer.safety import unshown
from plait.explorer.view.original import Original, sanitised
from plait.explorer.view.search import Query
from plait.explorer.view.session import Session
from plait.schemas.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
INERT: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASSETS: Final = {"view.js": "text/javascript", "view.css": "text/css"}
OWN: Final = "x-plait"
"""Header of requests that change something: another site's page cannot send it without asking first, and the answer
to that question is no."""

BLOCKS: Final = 2_000  # of an archived page that are shown
HTML_CHARS: Final = 2_000_000  # of an archived page


def make_app(session: Session, hosts: list[str]) -> Starlette:
    """The web application.

    Args:
        session: what is looked at.
        hosts: names that requests may give the server; others are refused, so that no foreign name can be made to
            point here.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    def asset(name: str, mime: str) -> Callable[[Request], Response]:
        text = resources.files("plait.explorer.view").joinpath(name).read_text("utf-8")
        return lambda request: Response(text, media_type=mime, headers={"Content-Security-Policy": POLICY})

    def about(request: Request) -> Response:
        return JSONResponse(session.about())

    def documents(request: Request) -> Response:
        asked = request.query_params
        plain_start = not any(value for name, value in asked.items() if name not in ("after", "state"))
        with session.lock:
            if not session.ready and plain_start and asked.get("state", "all") != "dropped" and not asked.get("after"):
                return JSONResponse(session.first())
            return JSONResponse(session.find(_query(asked), int(_number(asked, "after") or 0), asked.get("marked", "")))

    def document(request: Request) -> Response:
        place = _place(request, session)
        with session.lock:
            mark = str(session.card(place)["mark"])
            return JSONResponse(session.reader.document(place, mark))

    def image(request: Request) -> Response:
        with session.lock:
            found = session.reader.picture(_place(request, session), int(request.path_params["slot"]))
        if found is None:
            return PlainTextResponse("no picture", 404, headers={"Content-Security-Policy": INERT})
        return Response(found[0], media_type=found[1], headers={"Content-Security-Policy": INERT})

    def original(request: Request) -> Response:
        page = _original(session, _place(request, session))
        if page is None:
            return JSONResponse({"error": "the archive is not at hand: name it with --archives"}, 404)
        blocks = [
            {"kept": b.kept, "reason": b.reason, "kind": b.kind, "text": clipped(b.text, 2000), "url": b.url}
            for b in page.blocks[:BLOCKS]
        ]
        return JSONResponse({"blocks": blocks, "more": max(0, len(page.blocks) - BLOCKS), "fault": page.fault})

    def page(request: Request) -> Response:
        found = _original(session, _place(request, session))
        body = sanitised(found.html[:HTML_CHARS]) if found is not None else "The archive is not at hand."
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>archived page, its text and structure</title>'
            f"<body>{body}</body></html>"
        )
        return HTMLResponse(text, headers={"Content-Security-Policy": INERT})

    def sliders(request: Request) -> Response:
        with session.lock:
            return JSONResponse(session.sliders())

    async def thresholds(request: Request) -> Response:
        changes = _changes((await _own(request)).get("changes"))
        with session.lock:
            return JSONResponse(session.change(changes))

    async def mark(request: Request) -> Response:
        body = await _own(request)
        doc_id, given = body.get("id"), body.get("mark")
        if not isinstance(doc_id, str) or not isinstance(given, str) or not _is_id(doc_id):
            raise ConfigError("a mark needs the id of a document and a mark")
        with session.lock:
            session.marks.mark(doc_id, given)
        return JSONResponse({"mark": given})

    def marks(request: Request) -> Response:
        with session.lock:
            return JSONResponse(session.report())

    def download(request: Request) -> Response:
        name = request.path_params["name"]
        with session.lock:
            if name == "recipe.toml":
                given = json.loads(request.query_params.get("changes") or "{}")
                text, mime = session.thresholds.recipe_text(_changes(given), "moved"), "application/toml"
            elif name in ("good.jsonl", "bad.jsonl"):
                text, mime = session.export(name.removesuffix(".jsonl")), "application/jsonl"
            else:
                return PlainTextResponse("no such file", 404)
        return Response(text, media_type=mime, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def fault(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400 if isinstance(error, (ConfigError, ValueError)) else 500)

    routes = [
        Route("/", asset("index.html", "text/html")),
        *[Route(f"/{name}", asset(name, mime)) for name, mime in ASSETS.items()],
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Route("/api/about", about),
        Route("/api/documents", documents),
        Route("/api/document/{place:int}", document),
        Route("/api/original/{place:int}", original),
        Route("/api/sliders", sliders),
        Route("/api/thresholds", thresholds, methods=["POST"]),
        Route("/api/mark", mark, methods=["POST"]),
        Route("/api/marks", marks),
        Route("/image/{place:int}/{slot:int}", image),
        Route("/page/{place:int}", page),
        Route("/download/{name}", download),
    ]
    handlers = {ConfigError: fault, CorpusError: fault, ValueError: fault}

    async def guarded(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", INERT)
        return response

    return Starlette(
        routes=routes,
        exception_handlers=handlers,
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=guarded),
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
        ],
    )


def _is_id(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16
    except ValueError:
        return False


def _place(request: Request, session: Session) -> int:
    place = int(request.path_params["place"])
    if place >= len(session.index):
        raise ConfigError(f"there is no document {place}")
    return place


def _original(session: Session, place: int) -> Original | None:
    """The archived page of a document; None where its archive is not at hand, or it must not be shown."""
    row = session.index.row(place)
    offset, length = row["offset"], row["length"]
    if session.originals is None or not isinstance(offset, int) or (row["reason"] and unshown(str(row["reason"]))):
        return None
    archive_id = row["archive_id"]
    return session.originals.page(
        archive_id if isinstance(archive_id, str) else None, str(row["archive"]), offset,
        length if isinstance(length, int) else None, str(row["url"]),
    )  # fmt: skip


def _number(asked: Mapping[str, str], name: str) -> float | None:
    text = asked.get(name, "")
    if not text:
        return None
    value = float(text)
    if not math.isfinite(value):
        raise ConfigError(f"{name} must be a number, not {text!r}")
    return value


def _query(asked: Mapping[str, str]) -> Query:
    return Query(
        asked.get("state", "all"), asked.get("lang", ""), asked.get("domain", ""), asked.get("reason", ""),
        asked.get("score", ""), _number(asked, "low"), _number(asked, "high"), asked.get("text", ""),
    )  # fmt: skip


def _changes(given: object) -> dict[str, dict[int, float]]:
    """Moved thresholds: rule -> number in its condition -> value."""
    if not isinstance(given, dict):
        raise ConfigError("changes are an object of rules")
    try:
        return {str(rule): {int(n): float(v) for n, v in values.items()} for rule, values in given.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"changes cannot be read: {error}") from error


async def _own(request: Request) -> dict[str, object]:
    """The body of a request that changes something.

    Raises:
        ConfigError: it does not come from the explorer's page, or is no JSON object.
    """
    if OWN not in request.headers:
        raise ConfigError(f"the header {OWN} is missing")
    body = await request.json()
    if not isinstance(body, dict):
        raise ConfigError("a JSON object is expected")
    return body
