"""Text that was encoded twice: UTF-8 read as Latin-1 or windows-1252 and written as UTF-8 again ("donâ€™t").

A page of it is valid UTF-8, so its charset is not in doubt; what it says is wrong for every reader. Only what no author
writes is taken as proof: control characters U+0080 to U+009F within such a sequence, or "â€" before the third byte of a
dash, a quotation mark or an ellipsis.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

# What windows-1252 has in place of the control characters, back to the bytes that it stands for.
_BYTES = {
    bytes([byte]).decode("cp1252"): bytes([byte]) for byte in range(0x80, 0xA0) if byte not in b"\x81\x8d\x8f\x90\x9d"
}
_THIRD = "".join(_BYTES) + "\x80-\xbf"
_DASHES = "â€".encode()
_FEW = 64  # places looked at one by one
_SEQUENCE = re.compile(
    rf"[\xc2-\xdf][\x80-\x9f]|[\xe0-\xef](?:[\x80-\x9f][\x80-\xbf]|[\x80-\xbf][\x80-\x9f])|\xe2\u20ac[{_THIRD}]"
    r"|[\xf0-\xf4][\x80-\xbf]{3}"
)


def encoded_once(html: bytes, text: str) -> str:
    """The text with what was encoded twice decoded once more: all of it if that is possible, else what is proved.

    Args:
        html: the page's bytes, UTF-8 or not.
        text: what they were decoded to.
    """
    if not may_be_encoded_twice(html):
        return text
    firsts, ends = _runs_beyond_ascii(text)
    long = ends - firsts > 1
    if not any(map(_SEQUENCE.search, repeat(text), firsts[long].tolist(), ends[long].tolist())):
        return text
    # Between two runs stands ASCII, which neither step changes and no sequence crosses: a line feed does as well.
    runs = list(map(text.__getitem__, map(slice, firsts.tolist(), ends.tolist())))
    whole = _decoded("\n".join(runs))
    if whole is None:
        once = [_SEQUENCE.sub(lambda match: _decoded(match[0]) or match[0], run) for run in runs]
    else:
        once = whole.split("\n")
    between = map(text.__getitem__, map(slice, [0, *ends.tolist()], [*firsts.tolist(), len(text)]))
    return next(between) + "".join(chain.from_iterable(zip(once, between, strict=True)))


def _runs_beyond_ascii(text: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and past the last place of all that stands together beyond ASCII: a pattern over all text is slower."""
    data = text.encode("utf-16-le", "surrogatepass")
    if len(data) == 2 * len(text):
        at = np.flatnonzero(np.frombuffer(data, np.uint16) >= 0x80)
    else:  # with characters beyond U+FFFF, which take two
        at = np.flatnonzero(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32) >= 0x80)
    if not len(at):
        return at, at
    breaks = np.flatnonzero(np.diff(at) > 1)
    return at[np.append(0, breaks + 1)], at[np.append(breaks, len(at) - 1)] + 1


def may_be_encoded_twice(html: bytes) -> bool:
    """Does a page hold "â€" or a character from U+0080 to U+009F?

    Their rarest bytes are asked for first, which costs next to nothing on most pages.
    """
    if html.isascii():
        return False
    control = _stands(html, b"\xc2", lambda at: b"\x80" <= html[at + 1 : at + 2] < b"\xa0")
    dash = _stands(html, b"\x82", lambda at: html[at - 3 : at + 2] == _DASHES)
    if control is not None and dash is not None:
        return control or dash
    data = np.frombuffer(html, np.uint8)
    at = np.flatnonzero((data[:-1] & 0xFE) == 0xC2)
    lead, following = data[at], data[at + 1]
    if ((lead == 0xC2) & (following >= 0x80) & (following < 0xA0)).any():
        return True
    return bool(((lead == 0xC3) & (following == 0xA2)).any()) and _DASHES in html


def _stands(html: bytes, byte: bytes, proves: Callable[[int], bool]) -> bool | None:
    """Does a byte stand where it proves something? None if it stands in too many places to look at each."""
    at = html.find(byte)
    for _ in range(_FEW):
        if at < 0:
            return False
        if proves(at):
            return True
        at = html.find(byte, at + 1)
    return None


def _byte_of(error: UnicodeError) -> tuple[bytes, int]:
    """What windows-1252 has for characters that Latin-1 has not; raises where it has nothing either."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    byte = _BYTES.get(error.object[error.start])
    if byte is None:
        raise error
    return byte, error.start + 1


_WESTERN = (
    "plait.western"  # an error handler: it is called where Latin-1 ends, a table would be asked of every character
)
codecs.register_error(_WESTERN, _byte_of)


def _decoded(text: str) -> str | None:
    """The text with its characters taken as bytes of UTF-8, or None where they are none."""
    try:
        return text.encode("latin-1", _WESTERN).decode("utf-8")
    except UnicodeError:
        return None
