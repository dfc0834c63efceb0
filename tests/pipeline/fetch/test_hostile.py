"""A server that does everything wrong: each wrong ends in its own reason, and delays nobody else."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from plait.schemas.reasons import REASONS
from tests.pipeline.fetch.servers import JPEG, LOOPBACK, Reply, files, gather, message, serving


async def slow_loris(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for letter in b"X-Slow: " + b"a" * 1000:
        writer.write(bytes([letter]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def drip(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(message(b"", Content_Length="1000"))
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


async def silent(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def never_ending(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


async def announces_more(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(message(JPEG, Content_Length=str(len(JPEG) + 100)))
    await writer.drain()
    writer.close()


async def reset(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(message(JPEG[:100], Content_Length=str(len(JPEG))))
    await writer.drain()
    writer.transport.abort()


async def nonsense(path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.site.test ESMTP ready\r\n\r\n")
    await writer.drain()
    writer.close()


PATIENCE_S = 2.5  # with the slowest; the others must be there well before, on a busy machine too
BOMB = gzip.compress(bytes(8 << 20))
HOSTILE: dict[str, tuple[Reply, str]] = {
    "slow_loris": (slow_loris, "fetch_timeout"),
    "drip": (drip, "fetch_timeout"),
    "silent": (silent, "fetch_timeout"),
    "never_ending": (never_ending, "fetch_too_large"),
    "announces_too_much": (files({"/": message(b"", Content_Length=str(1 << 40))}), "fetch_too_large"),
    "announces_more": (announces_more, "fetch_incomplete"),
    "reset": (reset, "fetch_incomplete"),
    "gzip_bomb": (files({"/": message(BOMB, Content_Encoding="gzip")}), "fetch_bomb"),
    "twice_gzip_bomb": (files({"/": message(gzip.compress(BOMB), Content_Encoding="gzip, gzip")}), "fetch_bomb"),
    "broken_gzip": (files({"/": message(gzip.compress(JPEG)[:-20], Content_Encoding="gzip")}), "fetch_incomplete"),
    "redirect_loop": (files({"/": message(b"", "302 Found", Location="/")}), "fetch_redirects"),
    "redirect_chain": (
        files({f"/{'a' * n}": message(b"", "302 Found", Location=f"/{'a' * (n + 1)}") for n in range(20)}),
        "fetch_redirects",
    ),
    "redirect_to_loopback": (
        files({"/": message(b"", "302 Found", Location="http://127.0.0.1:8009/")}), "fetch_refused_address",
    ),
    "redirect_to_metadata": (
        files({"/": message(b"", "302 Found", Location="http://169.254.169.254/latest/meta-data/")}),
        "fetch_refused_address",
    ),
    "redirect_to_private_name": (
        files({"/": message(b"", "302 Found", Location="http://router.test/")}), "fetch_refused_address",
    ),
    "redirect_to_file": (files({"/": message(b"", "302 Found", Location="file:///etc/passwd")}), "fetch_url_invalid"),
    "redirect_to_mail": (
        files({"/": message(b"", "302 Found", Location=f"http://{LOOPBACK}:25/")}), "fetch_url_invalid",
    ),
    "redirect_nowhere": (files({"/": message(b"", "302 Found")}), "fetch_status"),
    "html_as_html": (files({"/": message(b"<html>gone</html>", kind="text/html")}), "fetch_content_type"),
    "html_as_jpeg": (files({"/": message(b"<html>gone</html>")}), "fetch_not_image"),
    "video": (files({"/": message(JPEG, kind="video/mp4")}), "fetch_content_type"),
    "gone": (files({}), "fetch_status"),
    "too_many": (files({"/": message(b"", "429 Too Many Requests", Retry_After="3600")}), "fetch_status"),
    "empty": (files({"/": message(b"")}), "fetch_empty"),
    "no_content": (files({"/": message(b"", "204 No Content")}), "fetch_status"),
    "nonsense": (nonsense, "fetch_protocol"),
}  # fmt: skip


def test_each_wrong_ends_in_its_own_reason_and_delays_nobody() -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            urls = {}
            for name, (reply, _) in HOSTILE.items():
                urls[name] = f"{(await stack.enter_async_context(serving(reply))).url}/"
            good = await stack.enter_async_context(serving(files({f"/{n}": message(JPEG) for n in range(200)})))
            wanted = [f"{good.url}/{n}" for n in range(200)]
            began, ends = time.monotonic(), []

            def asked() -> list[str]:
                return [*urls.values(), *wanted]

            found = await gather(asked(), names={"router.test": ["192.168.1.1"]}, read_s=0.6, total_s=PATIENCE_S)
            took = time.monotonic() - began
            for name, (_, reason) in HOSTILE.items():
                answer = found[urls[name]]
                assert answer.reason == reason, (name, answer)
                assert answer.reason in REASONS
                assert answer.body == b""
                assert answer.total_s < PATIENCE_S + 1, name
            for url in wanted:
                assert found[url].reason is None
                assert found[url].body == JPEG
                ends.append(found[url].asked_us / 1e6 + found[url].total_s)
            assert took < 4 * PATIENCE_S
            first = min(answer.asked_us for answer in found.values()) / 1e6
            assert max(ends) - first < PATIENCE_S  # all good ones were there before the slow ones gave up

    asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/", "fetch_refused_address"),
        ("http://[::1]/", "fetch_refused_address"),
        ("http://[::ffff:127.0.0.1]/", "fetch_refused_address"),
        ("http://169.254.169.254/latest/meta-data/", "fetch_refused_address"),
        ("http://10.1.2.3/", "fetch_refused_address"),
        ("http://private.test/", "fetch_refused_address"),
        ("http://mixed-private.test/", "fetch_refused_address"),
        ("http://unknown.test/", "fetch_dns"),
        ("http://2130706433/", "fetch_url_invalid"),  # 127.0.0.1 as a number
        ("http://127.1/", "fetch_url_invalid"),
        ("ftp://site.test/a.jpg", "fetch_url_invalid"),
        ("javascript:alert(1)", "fetch_url_invalid"),
        ("//site.test/a.jpg", "fetch_url_invalid"),
        ("http://", "fetch_url_invalid"),
        ("http://site.test:99999/", "fetch_url_invalid"),
        ("http://site.test:22/", "fetch_url_invalid"),
        ("", "fetch_url_invalid"),
    ],
)
def test_addresses_and_urls_that_are_never_asked(url: str, reason: str) -> None:
    names = {"private.test": ["10.0.0.7"], "mixed-private.test": ["fe80::1", "192.168.0.1"], "site.test": ["10.0.0.1"]}
    answer = asyncio.run(gather([url], names=names))[url]
    assert answer.reason == reason, answer


def test_a_name_is_asked_only_at_its_public_addresses() -> None:
    async def run() -> None:
        async with serving(files({"/": message(JPEG)})) as server:
            url = f"http://mixed.test:{server.port}/"
            found = await gather([url], names={"mixed.test": ["10.0.0.1", LOOPBACK, "169.254.169.254"]})
            assert found[url].reason is None

    asyncio.run(run())


def test_a_certificate_that_cannot_be_verified_is_refused(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:site.test", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def run() -> None:
        async with serving(files({"/": message(JPEG)}), context) as server:
            names = {"site.test": [LOOPBACK], "other.test": [LOOPBACK]}
            good, other = f"https://site.test:{server.port}/", f"https://other.test:{server.port}/"
            found = await gather([good], names=names)
            assert found[good].reason == "fetch_tls"  # nobody vouches for it
            trusting = await gather([good, other], names=names, ca_file=str(certificate))
            assert trusting[good].reason is None
            assert trusting[other].reason == "fetch_tls"  # it is the certificate of somebody else

    asyncio.run(run())
