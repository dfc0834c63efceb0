"""Personal data in text: e-mail addresses, telephone numbers and IP addresses are replaced by placeholders.

Patterns are ours, chosen so that dates, versions, prices and section numbers stay: a telephone number needs a country
code, an area code in brackets, North American groups, or the shape of a Chinese mobile number; an IP address needs to
be a public one (private, loopback and documentation ranges identify nobody).
"""

from __future__ import annotations

import ipaddress
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_IP_DIGITS = 7  # 3.2.1.4 is rather a section or a version; addresses of people have more digits
EMAIL, PHONE, IP = "[EMAIL]", "[PHONE]", "[IP]"

_EMAIL = re.compile(r"(?<![\w.+-])(?:mailto:)?[\w][\w.+-]{0,63}@(?:[\w](?:[\w-]{0,62})\.)+[^\W\d_]{2,24}(?![\w@])")
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}(?![\w:])")
_LONG_NUMBER = re.compile(r"\d[\d .\-/()\u00a0]{5,}\d")  # what every number of either kind has; cheap to rule out
_SUSPECT = r"@|\p{Nd}[\p{Nd} .\-/()\x{a0}]{5,}\p{Nd}|:[^:]*:"  # RE2: every text that `masked` changes matches it
_GAP = r"[ \u00a0.\-/]?"
_PHONE = re.compile(
    r"(?<![\w+/=.-])(?:"
    rf"(?:\+|00)[1-9]\d{{0,2}}{_GAP}(?:\(0?\d{{1,5}}\){_GAP})?\d{{1,5}}(?:{_GAP}\d{{2,5}}){{1,4}}"  # +49 30 1234567
    rf"|\(0?\d{{2,5}}\) ?\d{{3,4}}(?:{_GAP}\d{{2,4}}){{1,3}}"  # (030) 123 4567
    r"|(?:1[ .-])?[2-9]\d{2}([ .-])[2-9]\d{2}\1\d{4}"  # 212-555-0123
    r"|1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # 138 0013 8000
    r")(?![\w/]|[.-]\d)"
)


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _public(match: re.Match[str]) -> str:
    if "." in match[0] and _digits(match[0]) < _IP_DIGITS:
        return match[0]
    try:
        return IP if ipaddress.ip_address(match[0]).is_global else match[0]
    except ValueError:
        return match[0]


def _phone(match: re.Match[str]) -> str:
    return PHONE if 8 <= _digits(match[0]) <= 15 else match[0]  # E.164: at most 15 digits


def masked(text: str) -> str:
    """The text with personal data replaced by ``[EMAIL]``, ``[PHONE]`` and ``[IP]``; idempotent."""
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if _LONG_NUMBER.search(text) is not None:
        if text.count(".") >= 3:
            text = _IPV4.sub(_public, text)
        text = _PHONE.sub(_phone, text)
    if text.count(":") >= 2:
        text = _IPV6.sub(_public, text)
    return text


def masked_all(texts: pa.StringArray) -> tuple[pa.StringArray, int]:
    """Every text masked (null stays null), and how many of them that changed.

    One search over the batch finds the few texts that may hold any, and only those are looked at one by one.
    """
    if texts.null_count == len(texts):
        return texts, 0
    suspect = np.flatnonzero(pc.fill_null(pc.match_substring_regex(texts, _SUSPECT), False))
    places, fresh = [], []
    for place, text in zip(suspect.tolist(), texts.take(pa.array(suspect)).to_pylist(), strict=True):
        new = masked(text)
        if new != text:
            places.append(place)
            fresh.append(new)
    if not places:
        return texts, 0
    mask = np.zeros(len(texts), bool)
    mask[places] = True
    return pc.replace_with_mask(texts, pa.array(mask), pa.array(fresh, texts.type)), len(places)
