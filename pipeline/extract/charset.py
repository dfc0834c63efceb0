"""Bytes of a page to text: byte order mark, HTTP header, meta, then detection, as browsers do."""

from __future__ import annotations

import codecs
import contextlib
import functools
import re
import unicodedata

import numpy as np

from plait.pipeline.extract.mojibake import encoded_once, may_be_encoded_twice

# WHATWG Encoding Standard: labels that mean more than Python's codec of that name decodes.
_LABELS = {
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "l1": "cp1252",
    "ascii": "cp1252", "us-ascii": "cp1252", "windows-1252": "cp1252", "cp1252": "cp1252", "x-cp1252": "cp1252",
    "iso-8859-9": "cp1254", "latin5": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "windows-874": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030", "gb2312-80": "gb18030",
    "chinese": "gb18030", "gb-2312": "gb18030",
    "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932",
    "ms_kanji": "cp932", "x-euc-jp": "euc_jp",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "euckr": "cp949", "korean": "cp949", "windows-949": "cp949",
    "big5": "big5hkscs", "big5-hkscs": "big5hkscs", "x-x-big5": "big5hkscs",
    "utf8": "utf-8", "utf-8": "utf-8", "unicode": "utf-16-le", "utf-16": "utf-16-le", "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman", "x-mac-roman": "mac_roman", "iso-8859-8-i": "iso8859_8", "koi8-u": "koi8_u",
}  # fmt: skip
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9_:.\-]+)", re.IGNORECASE)
_PRESCAN = 8192  # bytes; the standard asks for 1,024, browsers read on, and so do real pages
_SAMPLE = 65536  # bytes that detection looks at
# In the order of the web's legacy encodings; a tie goes to the first.
_CANDIDATES = (
    "gb18030", "cp932", "euc_jp", "cp949", "big5hkscs", "cp1251", "koi8_r", "cp1256", "cp1255", "cp874", "cp1253",
    "cp1252", "cp1250", "cp1254",
)  # fmt: skip
_SCRIPTS = {
    "gb18030": "CJK", "cp932": "JA", "euc_jp": "JA", "cp949": "HANGUL", "big5hkscs": "CJK", "cp1251": "CYRILLIC",
    "koi8_r": "CYRILLIC", "cp1256": "ARABIC", "cp1255": "HEBREW", "cp874": "THAI", "cp1253": "GREEK",
}  # fmt: skip
# The most frequent characters of running text: what a wrong multi-byte guess hardly ever hits.
_COMMON_HAN = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还"
    "發開會這個來時們為說對過後沒還國學與從應當經現"
)
_COMMON_HANGUL = frozenset(
    "이다는을의에가고하지도한기리사로은나인를자어대아시정서라부수보해주스전들게과원일그으었습니있것년후"
)
_THAI_MARKS = frozenset("ัิีึืฺุู็่้๊๋์ํ")
_LOWER_CYRILLIC = frozenset("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэ")


@functools.lru_cache(maxsize=256)
def codec_of(label: str | None) -> str | None:
    """Python codec for a charset label as the web means it, or None if nobody knows it."""
    if not label:
        return None
    name = label.strip().strip("\"'").lower()
    name = _LABELS.get(name, name)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    # codecs such as "rot13", "zip" or "idna" are no charsets
    if info.name in {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "undefined"}:
        return None
    return name if getattr(info, "_is_text_encoding", True) else None


def _declared(html: bytes) -> str | None:
    head = html[:_PRESCAN]
    match = _META.search(head) or _XML.search(head)
    codec = codec_of(match[1].decode("ascii")) if match else None
    # A meta that could be read as ASCII cannot stand in UTF-16 (WHATWG: take UTF-8).
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _utf8_error(data: bytes) -> UnicodeDecodeError | None:
    """What keeps some bytes from being UTF-8, if anything does."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error
    return None


def _valid_utf8(html: bytes) -> bool:
    error = _utf8_error(html)
    # a multi-byte character cut by the end of a truncated page is no proof against UTF-8
    return error is None or (error.end >= len(html) - 3 and error.start > len(html) - 4)


def _plausibility(text: str, codec: str) -> float:
    """Mean score of the non-ASCII characters of a decoding: 1 is ordinary text of the codec's script, below 0 junk."""
    want = _SCRIPTS.get(codec)
    total = count = 0.0
    previous_upper = previous_latin = False
    previous = following = ""
    for char in text:
        previous, following = following, char
        if char < "\x80":
            previous_upper = False
            previous_latin = char.isalpha()
            continue
        count += 1
        if char == "�" or "\x80" <= char <= "\x9f" or "" <= char <= "":
            total -= 3
            continue
        name = unicodedata.name(char, "")
        if want and want not in ("CJK", "JA") and previous_latin and name.startswith(want):
            total -= 1  # a word of two scripts
        if want == "CYRILLIC":
            upper = char.isupper()
            total += (
                (1 if char in _LOWER_CYRILLIC else 0.5 if upper and not previous_upper else -0.5)
                if name.startswith(want)
                else -0.2
            )
            previous_upper = upper
        elif want == "HANGUL":
            total += 1 if char in _COMMON_HANGUL else 0.3 if name.startswith("HANGUL SYLLABLE") else -0.3
        elif want == "THAI":
            stray = char in _THAI_MARKS and not "\u0e01" <= previous <= "\u0e4e"
            double = char in _THAI_MARKS and previous == char
            total += -1.5 if stray or double else 0.7 if name.startswith("THAI CHARACTER") else -0.5
        elif want == "JA":
            total += 1 if name.startswith(("HIRAGANA", "KATAKANA LETTER")) else 0.4 if name.startswith("CJK") else -0.3
        elif want == "CJK":
            total += (
                1
                if char in _COMMON_HAN
                else 0.3
                if name.startswith("CJK")
                else 0.4
                if char in "，。、：；？！（）“”《》"
                else -0.3
            )
        elif want:
            total += 0.9 if name.startswith(want) else -0.2
        else:
            total += 0.7 if name.startswith("LATIN SMALL") else 0.3 if unicodedata.category(char)[0] in "PS" else -0.1
    return total / count if count else 0.0


def detect(html: bytes) -> str:
    """Guess the codec of bytes that declare nothing: valid UTF-8, else the most plausible legacy encoding.

    Cost: up to 14 decodings of the first 64 KiB of non-ASCII text; only undeclared or mis-declared pages pay it.
    """
    if _valid_utf8(html):
        return "utf-8"
    body = re.sub(rb"<(script|style)\b.*?</\1\s*>|<[^>]*>", b" ", html[: _SAMPLE * 4], flags=re.DOTALL | re.IGNORECASE)
    runs = re.findall(rb"[^\x00-\x7f][^<>\n]*", body)
    sample = b"\n".join(runs)[:_SAMPLE] or html[:_SAMPLE]
    best, best_score = "cp1252", -1.0
    for codec in _CANDIDATES:
        text = sample.decode(codec, "replace")[:4000]
        score = _plausibility(text, codec)
        if score > best_score + 1e-9:
            best, best_score = codec, score
    return best


def decode_html(html: bytes, charset: str | None) -> str:
    """Decode a page: byte order mark, then HTTP header, then meta, then detection; what was encoded twice, once more.

    A declared single-byte Western charset loses against bytes that are valid UTF-8 with multi-byte characters, and a
    declared charset that fails on more than 2% of the non-ASCII bytes loses against detection. Bytes that cannot be
    decoded become U+FFFD; nothing raises.

    Args:
        html: the page's bytes.
        charset: of the HTTP Content-Type header, or None.
    """
    return encoded_once(html, _decode(html, charset))


def utf8_html(html: bytes, charset: str | None) -> bytes:
    """The page in UTF-8, as `decode_html` reads it: its own bytes wherever they are that already, as most are.

    Args:
        html: as `decode_html`.
        charset: as `decode_html`.
    """
    marked = html.startswith(tuple(bom for bom, _ in _BOMS))
    if not marked and (codec_of(charset) or _declared(html)) == "utf-8":
        beyond = _beyond_ascii(html)
        if _utf8_error(beyond) is None and not may_be_encoded_twice(beyond):
            return html
    return decode_html(html, charset).encode("utf-8", "ignore")


def _beyond_ascii(html: bytes) -> bytes:
    """Eight bytes around each that is outside ASCII, and the eight after them.

    What is valid UTF-8 in a page is so in these, and no more: between two runs of them stands ASCII.
    """
    if html.isascii():
        return b""
    whole = len(html) - len(html) % 8
    data = np.frombuffer(html, np.uint64, whole // 8)
    look = np.append((data & 0x8080808080808080) != 0, False)
    look[1:] |= look[:-1]
    beyond: bytes = data[look[:-1]].tobytes()
    return beyond + html[whole:]


def _decode(html: bytes, charset: str | None) -> str:
    for bom, codec in _BOMS:
        if html.startswith(bom):
            return html[len(bom) :].decode(codec, "replace")
    declared = codec_of(charset) or _declared(html)
    if declared is None:
        return html.decode(detect(html), "replace")
    if (
        declared in {"cp1252", "cp1254", "latin_1", "iso8859_15", "iso-8859-15"}
        and not html.isascii()
        and _valid_utf8(html)
    ):
        return html.decode("utf-8", "replace")
    with contextlib.suppress(UnicodeDecodeError):  # nearly every page; counting replacements below costs as much again
        return html.decode(declared)
    text = html.decode(declared, "replace")
    broken = text.count("�")
    if broken > 8:
        non_ascii = sum(1 for _ in re.finditer(rb"[\x80-\xff]", html))
        if broken > 0.02 * non_ascii:
            guess = detect(html)
            other = html.decode(guess, "replace")
            if other.count("�") < broken / 2:
                return other
    return text
