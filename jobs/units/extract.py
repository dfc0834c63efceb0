"""Read, extract, text: one archive → documents, keys for deduplication, locators of images."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, urlsafe_b64decode
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.context import Context
from plait.jobs.listings import opt_out_at
from plait.jobs.picking import ranges_of
from plait.jobs.settings import archive_of, extract_options, load_recipe_param, read_limits, spool_folder
from plait.jobs.suppression import suppression_of
from plait.jobs.units.text import TextRuns
from plait.jobs.work import Unit
from plait.pipeline import consent
from plait.pipeline.extract import Node, Page, extract_html
from plait.pipeline.occurrences import image_key
from plait.pipeline.pages import Capture, pages_batch
from plait.pipeline.policies import POLICY, policy_rows
from plait.pipeline.read.archive import read_archive, read_payload
from plait.pipeline.read.inputs import Archive
from plait.pipeline.read.picked import read_picked
from plait.pipeline.read.records import Loss, Record, Tally
from plait.pipeline.revisits import ANSWER, RESOLVED_PAGE, Row, batch_of, digest_key, visit_key
from plait.schemas.errors import RecordError, UnitError
from plait.schemas.images import LOCATOR

BATCH_BYTES = 16 << 20  # of text in one batch of pages
BATCH_PAGES = 512
LIST_ROWS = 4096
VISITED = re.compile(r"html|^image/|octet-stream")  # declared types that may hide a page or an image


class _Rows:
    """A table whose rows come one at a time."""

    def __init__(self, ctx: Context, stack: ExitStack, name: str, schema: pa.Schema):
        self._table = stack.enter_context(ctx.table(name, schema))
        self._rows: list[Row] = []
        stack.callback(self.flush)

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= LIST_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._table.write(batch_of(self._rows, self._table.schema))
            self._rows = []


class _Documents:
    """Pages on their way into the text stage, a batch of bounded bytes at a time."""

    def __init__(self, ctx: Context):
        self._runs = TextRuns(ctx)
        self._seed = load_recipe_param(ctx).order_seed
        self._pages: list[Capture] = []
        self._page_bytes = 0

    def add(self, capture: Capture) -> None:
        self._pages.append(capture)
        self._page_bytes += sum(len(node.text or "") + 200 for node in capture.page.nodes)
        if self._page_bytes >= BATCH_BYTES or len(self._pages) >= BATCH_PAGES:
            self._score()

    def _score(self) -> None:
        if self._pages:
            self._runs.score(pages_batch(self._pages, self._seed))
            self._pages, self._page_bytes = [], 0

    def close(self) -> None:
        """Write what is left."""
        self._score()
        self._runs.close()


class _Unit:
    """Everything that one unit writes."""

    def __init__(self, ctx: Context, stack: ExitStack):
        self.ctx = ctx
        self.options = extract_options(load_recipe_param(ctx))
        self.limits = read_limits(load_recipe_param(ctx))
        self.suppressed = suppression_of(ctx)
        listed = ctx.params.get("opt_out")
        self.opted_out = opt_out_at(ctx.store.root, None if listed is None else str(listed))
        self.documents = _Documents(ctx)
        self.locators = _Rows(ctx, stack, "locators", LOCATOR)
        self.redirects = _Rows(ctx, stack, "redirects", LOCATOR)
        self.hops = _Rows(ctx, stack, "hops", LOCATOR)
        self.answers = _Rows(ctx, stack, "answers", ANSWER)
        self.revisits = _Rows(ctx, stack, "revisits", ANSWER)
        self.policies = _Rows(ctx, stack, "policies", POLICY)
        self.moved_policies = _Rows(ctx, stack, "moved_policies", POLICY)

    def lost(self, loss: Loss, archive: Archive) -> None:
        """A record that could not be read."""
        self.ctx.drop_one(
            "record", loss.reason, url=loss.url, archive=archive.name, offset=loss.offset, detail=loss.detail or None,
            value=loss.value, threshold=None if loss.threshold is None else f"<= {loss.threshold:g}",
        )  # fmt: skip

    def record(self, record: Record, archive: Archive) -> None:
        """Any record of an archive."""
        if record.kind == "redirect":
            self._redirect(record, archive)
        elif record.kind == "revisit":
            self._revisit(record, archive)
        elif record.kind == "policy":
            self._policy(record, archive)
        else:
            self._answer(record, archive)
            if record.kind == "image":
                self._image(record, archive)
            else:
                self.page(record, archive, record.url, record.captured)

    def _locator(self, record: Record, archive: Archive, kind: str) -> Row:
        return {
            "key": image_key(record.url), "image_url": record.url, "captured": record.captured,
            "archive_id": archive.id, "archive": archive.name, "offset": record.offset, "length": record.length,
            "kind": kind, "digest": record.digest, "target": record.target, "target_captured": record.target_captured,
        }  # fmt: skip

    def _image(self, record: Record, archive: Archive) -> None:
        refused = consent.refuses_images(consent.tokens(record.robots, record.tdm_reservation))
        listed = self.opted_out.lists(record.url)
        self.locators.add(self._locator(record, archive, "opted_out" if refused or listed else "payload"))

    def _redirect(self, record: Record, archive: Archive) -> None:
        if not record.target:
            return
        row = self._locator(record, archive, "redirect")
        self.hops.add(row)
        self.redirects.add({**row, "key": image_key(record.target)})

    def _policy(self, record: Record, archive: Archive) -> None:
        rows, moved = policy_rows(record, archive.id)
        for row in rows:
            self.policies.add(row)
        if moved is not None:
            self.moved_policies.add(moved)

    def _answer_row(self, record: Record, archive: Archive, key: int, side: int) -> Row:
        return {
            "key": key, "side": side, "kind": record.kind, "url": record.url, "captured": record.captured,
            "archive_id": archive.id, "archive": archive.name, "offset": record.offset, "length": record.length,
            "digest": record.digest,
        }  # fmt: skip

    def _answer(self, record: Record, archive: Archive) -> None:
        if record.digest:
            self.answers.add(self._answer_row(record, archive, digest_key(record.digest), 0))
        self.answers.add(self._answer_row(record, archive, visit_key(record.url, record.captured), 0))

    def _revisit(self, record: Record, archive: Archive) -> None:
        if record.mime and not VISITED.search(record.mime):
            self.ctx.seen({"revisit_of_other_type": 1})  # of a script or a style sheet, say
            return
        if record.digest:
            key = digest_key(record.digest)
        else:
            when = record.captured if record.target_captured is None else record.target_captured
            key = visit_key(record.target or record.url, when)
        self.revisits.add(self._answer_row(record, archive, key, 1))

    def page(self, record: Record, archive: Archive, url: str, captured: int | None) -> None:
        """A page: extracted under the guard, then to the documents; or a drop."""
        payload, sha256 = record.payload, record.sha256
        if payload is None or sha256 is None:
            raise UnitError(f"a page without a payload: {url}")
        if self.suppressed.lists_url(url):
            self._suppress()
            return
        name = f"{record.offset:016x}"
        found: frozenset[str] = consent.tokens(record.robots, record.tdm_reservation)
        try:
            self._check_listed(url)
            page = self.ctx.guard.call(
                name, "parser", extract_html, payload, url, options=self.options, charset=record.charset
            )
            found |= set(page.robots)
            consent.check_page(found)
            self._check_listed(page.canonical)
        except RecordError as error:
            self.ctx.count(documents_in=1)
            self.ctx.drop_one(
                "document", error.reason, url=url, archive=archive.name, offset=record.offset,
                detail=error.detail or None, value=error.value,
                threshold=None if error.threshold is None else f"<= {error.threshold:g}",
            )  # fmt: skip
            return
        if self.suppressed.lists_url(page.canonical):
            self._suppress()
            return
        self.ctx.removed(Counter(node.reason for node in page.removed))
        page = self._without_suppressed(self._without_refused(page, consent.refuses_images(found)))
        page = self._without_inline(page, record, archive, url, captured)
        self.documents.add(Capture(page, url, captured, sha256, archive.name, archive.id, record.offset, record.length))

    def _check_listed(self, url: str | None) -> None:
        if self.opted_out.lists(url):
            raise RecordError("opted_out", "the opt-out list")

    def _without_refused(self, page: Page, refused: str | None) -> Page:
        """The page without its images where it asks for that, else without those whose URL or host is listed."""
        out = [node.kind == "image" and (bool(refused) or self.opted_out.lists(node.url)) for node in page.nodes]
        if not any(out):
            return page
        self.ctx.count(images_in=sum(out))
        self.ctx.drop_counts("image", {"opted_out": sum(out)})
        return replace(page, nodes=[node for node, gone in zip(page.nodes, out, strict=True) if not gone])

    def _suppress(self) -> None:
        """A page that was taken down elsewhere: counted, and named nowhere."""
        self.ctx.count(documents_in=1)
        self.ctx.drop_one("document", "suppressed")

    def _without_suppressed(self, page: Page) -> Page:
        """The page without images that were taken down elsewhere: counted, and named nowhere."""
        gone = [node.kind == "image" and self.suppressed.lists_url(node.url) for node in page.nodes]
        if not any(gone):
            return page
        self.ctx.count(images_in=sum(gone))
        self.ctx.drop_counts("image", {"suppressed": sum(gone)})
        return replace(page, nodes=[node for node, out in zip(page.nodes, gone, strict=True) if not out])

    def _without_inline(self, page: Page, record: Record, archive: Archive, url: str, captured: int | None) -> Page:
        """The page with its ``data:`` images named by their digest, and locators that lead back to this record."""
        if not any(node.kind == "image" and (node.url or "").startswith("data:") for node in page.nodes):
            return page
        nodes: list[Node] = []
        for node in page.nodes:
            if node.kind == "image" and (node.url or "").startswith("data:"):
                data = inline_bytes(node.url or "")
                digest = "sha256:" + hashlib.sha256(data).hexdigest()
                node = node._replace(url=f"data:{digest}")
                self.locators.add({
                    "key": image_key(node.url or ""), "image_url": node.url, "captured": captured,
                    "archive_id": archive.id, "archive": archive.name, "offset": record.offset,
                    "length": record.length, "kind": "inline", "digest": digest,
                })  # fmt: skip
            nodes.append(node)
        return replace(page, nodes=nodes)


def inline_bytes(url: str) -> bytes:
    """Bytes of a ``data:`` URI; empty where it cannot be decoded."""
    head, _, body = url.partition(",")
    raw = unquote_to_bytes(body)
    if not head.lower().rstrip().endswith(";base64"):
        return raw
    raw = b"".join(raw.split())
    raw += b"=" * (-len(raw) % 4)
    try:
        return urlsafe_b64decode(raw) if b"-" in raw or b"_" in raw else b64decode(raw)
    except ValueError:
        return b""


def extract_archive(unit: Unit, ctx: Context) -> None:
    """All pages and images of an archive, or those that an index picks."""
    archive = archive_of(unit)
    tally = Tally()
    with ExitStack() as stack:
        work = _Unit(ctx, stack)
        picked = ranges_of(unit, ctx)
        records = (
            read_archive(archive, work.limits, spool_dir=spool_folder(ctx), tally=tally)
            if picked is None
            else read_picked(archive, picked, work.limits, tally=tally)
        )
        for record in records:
            if isinstance(record, Loss):
                work.lost(record, archive)
            else:
                work.record(record, archive)
        work.documents.close()
    ctx.seen({f"read_{kind}": count for kind, count in tally.read.items()})
    ctx.seen({f"skipped_{kind}": count for kind, count in tally.skipped.items()})
    ctx.seen({"archive_bytes": archive.bytes})


def extract_revisits(unit: Unit, ctx: Context) -> None:
    """Pages that other records revisit: their payloads, read again from this archive, as captures of the revisits."""
    archive = archive_of(unit)
    paths = unit.payload["paths"]
    if not isinstance(paths, list):
        raise UnitError("the revisit unit has no list of files")
    with ExitStack() as stack:
        work = _Unit(ctx, stack)
        rows: list[Row] = []
        for path in paths:
            with ctx.store.open_read(str(path)) as file:
                table = pq.read_table(file, schema=RESOLVED_PAGE, filters=[("archive_id", "=", archive.id)])
            place = table.schema.get_field_index("captured")
            rows += table.set_column(place, "captured", table.column("captured").cast(pa.int64())).to_pylist()
        for row in sorted(rows, key=lambda row: (row["offset"], row["captured"] or 0, row["url"])):
            record = read_payload(
                archive, int(row["offset"] or 0), int(row["length"] or 0), work.limits, spool_dir=spool_folder(ctx)
            )
            captured = row["captured"]
            work.page(record, archive, str(row["url"]), captured if isinstance(captured, int) else None)
        work.documents.close()
