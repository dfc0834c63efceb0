"""Small archives built in memory: every test that needs a WARC writes its records with this.

archive = WarcBuilder()
archive.response("http://site.test/", html("<p>Text</p><img src='a.jpg'>"))
archive.response("http://site.test/a.jpg", picture(320, 240), "image/jpeg")
path = archive.save(tmp_path / "site.warc.gz")
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

DATE = "2024-05-01T12:00:00Z"
Headers = Sequence[tuple[str, str]]


def html(body: str, title: str = "A page", head: str = "", lang: str = "en") -> bytes:
    """A complete HTML page in UTF-8."""
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title>{head}</head>'
        f"<body>{body}</body></html>"
    ).encode()


def picture(width: int, height: int, seed: int = 0, kind: str = "JPEG") -> bytes:
    """A drawn picture: a gradient with random rectangles and lines; another seed gives a picture unlike it."""
    draw_from = random.Random(seed)
    ends = [tuple(draw_from.randrange(256) for _ in range(3)) for _ in range(2)]
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image = Image.blend(image, Image.new("RGB", (width, height), ends[0]), 0.5)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = draw_from.randrange(width), draw_from.randrange(height)
        box = (x, y, x + draw_from.randrange(1, width), y + draw_from.randrange(1, height))
        colour = tuple(draw_from.randrange(256) for _ in range(3))
        if draw_from.random() < 0.5:
            draw.rectangle(box, fill=colour)
        else:
            draw.ellipse(box, fill=colour, outline=ends[1])
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def payload_digest(data: bytes) -> str:
    """The digest that writers state: SHA-1 in base 32."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


class WarcBuilder:
    """Records one after another; `data` is the archive.

    Args:
        compressed: one gzip member a record; else plain records.
        info: whether the archive starts with a warcinfo record.
    """

    def __init__(self, *, compressed: bool = True, info: bool = False) -> None:
        self._out = io.BytesIO()
        self._writer = WARCWriter(self._out, gzip=compressed)
        self.offsets: list[int] = []
        if info:
            self._write(self._writer.create_warcinfo_record("test.warc", {"software": "test"}))

    @property
    def data(self) -> bytes:
        """The archive's bytes."""
        return self._out.getvalue()

    def save(self, path: Path) -> Path:
        """Write the archive; gives the path back."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path

    def save_whole_gzip(self, path: Path) -> Path:
        """Write the (uncompressed) archive as one gzip member, which has no random access."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(self.data, mtime=0))
        return path

    def response(
        self,
        url: str,
        payload: bytes,
        mime: str = "text/html; charset=utf-8",
        *,
        date: str = DATE,
        status: str = "200 OK",
        headers: Headers = (),
        warc: Headers = (),
    ) -> None:
        """An HTTP response; `payload` is the body as stored, encodings included."""
        http = [("Content-Type", mime)] if mime else []
        self._record(url, "response", payload, StatusAndHeaders(status, [*http, *headers], "HTTP/1.1"), date, warc)

    def redirect(self, url: str, target: str, *, date: str = DATE, status: str = "301 Moved Permanently") -> None:
        """An HTTP redirect."""
        self.response(url, b"", "text/html", date=date, status=status, headers=[("Location", target)])

    def resource(self, url: str, payload: bytes, mime: str = "text/html", *, date: str = DATE) -> None:
        """A resource record: a payload without HTTP."""
        record = self._writer.create_warc_record(
            url, "resource", io.BytesIO(payload), len(payload), mime, warc_headers_dict={"WARC-Date": date}
        )
        self._write(record)

    def revisit(
        self,
        url: str,
        payload: bytes | None = None,
        *,
        date: str = DATE,
        target: str | None = None,
        target_date: str | None = None,
    ) -> None:
        """A revisit of an earlier payload: by its digest, by URL and time, or both."""
        digest = payload_digest(b"" if payload is None else payload)
        http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], "HTTP/1.1")
        record = self._writer.create_revisit_record(
            url, digest, target or url, target_date or DATE, http, {"WARC-Date": date}
        )
        if payload is None:
            record.rec_headers.remove_header("WARC-Payload-Digest")
        if target_date is None:
            record.rec_headers.remove_header("WARC-Refers-To-Date")
        self._write(record)

    def raw(self, data: bytes) -> None:
        """Any bytes between two records."""
        self._out.write(data)

    def _record(
        self, url: str, kind: str, payload: bytes, http: StatusAndHeaders, date: str, warc: Headers = ()
    ) -> None:
        record = self._writer.create_warc_record(
            url, kind, io.BytesIO(payload), len(payload), http_headers=http, warc_headers_dict={"WARC-Date": date}
        )
        for name, value in warc:
            record.rec_headers.replace_header(name, value)
        self._write(record)

    def _write(self, record: object) -> None:
        self.offsets.append(self._out.tell())
        self._writer.write_record(record)
