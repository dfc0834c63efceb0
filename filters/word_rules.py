"""How one whitespace-free chunk of text falls into words: the conventions of English tokenisers.

The conventions are spaCy's for English (brackets, quotes and stops come off the ends, contractions split before their
clitic, hyphens between letters split, addresses stay whole), because the published thresholds of Gopher's and
FineWeb's rules were applied to such words (datatrove tokenises with spaCy). Implemented from their description, with
the common emoticons, because `):` and `[:` are frequent in prose and in manuals.

Characters of scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan) are words of
their own, unless the caller asks for English conventions throughout.
"""

from __future__ import annotations

import functools
import re
from itertools import pairwise

ENDS = frozenset(",:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪…'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧—–")
_OPENING = ENDS | frozenset("§%=$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿")
_QUOTES = frozenset("'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧")
_BEFORE_STOP = ENDS - frozenset("—–") | frozenset("%²-+")
_CURRENCY = re.compile(r"(?<=[0-9])(?:US\$|C\$|A\$|[$£€¥฿₽﷼₴₠-₿])$")
_UNIT = re.compile(
    r"(?<=[0-9])(?:km[²³]?|m[²³]?|dm[²³]?|cm[²³]?|mm[²³]?|ha|µm|nm|yd|in|ft|kg|g|mg|µg|t|lb|oz|m/s|km/h|kmh|mph|[hk]?Pa"
    r"|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%|км[²³]?|м[²³]?|дм[²³]?|см[²³]?|мм[²³]?|нм|кг|г|мг|м/с|км/ч|[КкМмГгТт][Бб])$"
)
_URL = re.compile(
    r"(?:[\w+\-.]{2,}://)?"
    r"(?:(?:\d{1,3}\.){3}\d{1,3}"
    r"|(?:(?:[A-Za-z0-9¡-\uffff][A-Za-z0-9¡-\uffff_-]{0,62})?[A-Za-z0-9¡-\uffff]\.)+([^\W\d_]{2,63}))"
    r"(?::\d{2,5})?(?:[/?#]\S*)?"
)
_UNIT_ENDS = frozenset("m²³amdntgbzshaBTGMKкмгсчаБб%$£€¥฿₽﷼") | frozenset(map(chr, range(0x20A0, 0x20C0)))
_NO_ENDS = frozenset("cefijklopqruvwxyCDEFHIJLNOPQRUVWXYZ0123456789")  # never come off the end of a chunk
_LONGEST_ADDRESS = 2048  # characters
_HYPHENS = re.compile(r"---|--|-|——|–|—|~")
_HYPHEN = re.compile("[-–—~]")
_HYPHEN_BETWEEN = re.compile("(-)")
_INSIDE = re.compile("[.…+*^,–—~:<>=/\\-¦©®°℀-➿⬀-⯿\U0001f000-\U0001faff]")

# An ordinary word, hyphens in it, an 's after it, at most one mark before and after.
_ORDINARY = re.compile(r"([(\[\"“]?)([A-Za-z]+(?:-[A-Za-z]+)*)((?:['’]s)?)([,.;:!?)\]\"”]?)")
# A number with marks between its digits, a dollar sign before it, a per cent sign and a mark after it.
_NUMBER = re.compile(r"(\$?)([0-9]+(?:[.,][0-9]+)*)(%?)([,.]?)")

_NOT = "ai are could dare did does do had has have is may might must need ought should was were would ca sha wo"
_NOT_HAVE = "ca could did does do had may might must need ought sha should wo would"
_SUBJECTS = {
    "i": "ll d ve m",
    "you": "ll d ve re",
    "he": "ll d s",
    "she": "ll d s",
    "it": "ll d s",
    "we": "ll d ve re",
    "they": "ll d ve re",
    "who": "ll d ve re s",
    "what": "ll d ve re s",
    "when": "ll d ve re s",
    "where": "ll d ve re s",
    "why": "ll d ve re s",
    "how": "ll d ve re s",
    "there": "ll d ve re s",
    "that": "ll d s",
    "this": "ll d s",
    "these": "ll d ve re",
    "those": "ll d ve re",
    "could": "ve",
    "might": "ve",
    "must": "ve",
    "should": "ve",
    "would": "ve",
    "not": "ve",
}
# Without its apostrophe a contraction may be another word; these stay whole.
_OTHER_WORDS = "ill hell shed shell its well were whore"
_WHOLE = (
    "a.m. p.m. e.g. i.e. E.g. E.G. I.e. I.E. v.s. vs. co. Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. "
    "Co. Colo. Conn. Corp. D.C. Dec. Del. Dr. Feb. Fla. Ga. Gen. Gov. Ia. Id. Ill. Inc. Ind. Jan. Jr. "
    "Jul. Jun. Kan. Kans. Ky. La. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. "
    "Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. "
    "S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis. C++ and/or w/o o'clock o’clock ma'am Ma'am ma’am Ma’am "
    "'s 'S ’s ’S ‘s ‘S 'd ’d 'll ’ll 're ’re 'em ’em 'cause 'Cause ’cause ’Cause 'bout ’bout 'nuff ’nuff "
    "ä. ö. ü."
)
_EMOTICONS = (
    ":) :( :-) :-( ;) ;-) :D :P :/ :p xD XD ): '' ’’ (= :)) =) <3 ^_^ -_- o.O O.o 8) :| :O :o :0 :1 :3 :x "
    ":X :* :(( (: (; ;D ;-D =( =/ =| =D =3 =[ [= =] ]= [: :] [-: :-] 8D 8-) 0_0 o_o </3 <33 >.< >:( ._. "
    "-__- O_O v_v :-D :-P :-/ :-| :-o :-O :-* ^__^ :} :-} (-: )-: :> :->"
)


@functools.cache
def exceptions() -> dict[str, tuple[str, ...]]:
    """Chunks that split (or stay whole) by heart: contractions, abbreviations, clock times. About 1,400."""
    found: dict[str, tuple[str, ...]] = {}
    other_words = frozenset(_OTHER_WORDS.split())

    def contraction(stem: str, *clitics: str) -> None:
        for first in (stem, stem.capitalize()):
            for mark in ("'", "’", ""):
                parts = tuple(c.replace("'", mark) if "'" in c else c for c in clitics)
                if mark or (first + "".join(parts)).lower() not in other_words:
                    found[first + "".join(parts)] = (first, *parts)

    for stem in _NOT.split():
        contraction(stem, "n't")
        if stem in _NOT_HAVE.split():
            contraction(stem, "n't", "'ve")
    for stem, clitics in _SUBJECTS.items():
        for clitic in clitics.split():
            contraction(stem, f"'{clitic}")
            if clitic in ("ll", "d"):
                contraction(stem, f"'{clitic}", "'ve")
    contraction("i", "'m", "a")
    for first, second in (("can", "not"), ("gon", "na"), ("got", "ta")):
        for stem in (first, first.capitalize()):
            found[stem + second] = (stem, second)
    for mark in ("'", "’"):
        found[f"y{mark}all"] = (f"y{mark}", "all")
        for stem in ("let", "Let"):
            found[f"{stem}{mark}s"] = (stem, f"{mark}s")
        for word in ["doin", "goin", "havin", "lovin", "nothin", "nuthin", "ol", "somethin"]:
            for stem in (word, word.capitalize()):
                found[stem + mark] = (stem + mark,)
        for stem in ("c", "C"):
            found[f"{stem}{mark}mon"] = (f"{stem}{mark}m", "on")
    found["yall"] = ("y", "all")
    for hour in range(1, 13):
        for half in ("am", "pm", "a.m.", "p.m."):
            found[f"{hour}{half}"] = (str(hour), half)
    for scale in "CFKcfk":
        found[f"°{scale}."] = ("°", scale, ".")
    for letter in "abcdefghijklmnopqrstuvwxyz":
        found[f"{letter}."] = (f"{letter}.",)
    found.update((word, (word,)) for word in (_WHOLE + " " + _EMOTICONS).split())
    return found


def _is_lower(char: str) -> bool:
    return char.isalpha() and not char.isupper()


def _is_upper(char: str) -> bool:
    return char.isalpha() and not char.islower()


def _is_icon(char: str) -> bool:
    """Symbols and pictographs (general category So, approximately)."""
    return char in "¦©®°" or "℀" <= char <= "➿" or "⬀" <= char <= "⯿" or "\U0001f000" <= char <= "\U0001faff"


def _run(chunk: str, start: int, end: int, step: int) -> int:
    """Length of the run of full stops from ``start`` towards ``end``."""
    place = start
    while place != end and chunk[place] == ".":
        place += step
    return abs(place - start)


def _prefix(chunk: str, start: int, end: int) -> int:
    char = chunk[start]
    if "a" <= char <= "z" or "D" <= char <= "T" or "0" <= char <= "9":
        return 0
    if char in _OPENING or _is_icon(char):
        return 1
    if char == ".":
        dots = _run(chunk, start, end, 1)
        return dots if dots > 1 else 0
    if char == "+":
        return 0 if start + 1 < end and chunk[start + 1].isdigit() else 1
    if char in "UCA" and "$" in chunk[start : start + 3]:
        return 3 if chunk.startswith("US$", start) else 2 if chunk[start + 1] == "$" else 0
    return 0


def _suffix(chunk: str, start: int, end: int) -> int:
    char = chunk[end - 1]
    if char in _NO_ENDS:
        return 0
    if char in ENDS or _is_icon(char):
        if char in "sS":
            return 0
        return 1
    if char in "sS":
        if end - start >= 2 and chunk[end - 2] in "'’":
            return 2
        return 0
    if char == ".":
        dots = _run(chunk, end - 1, start - 1, -1)
        if dots > 1:
            return dots
        before = chunk[end - 2] if end - start >= 2 else " "
        if before in _BEFORE_STOP or before.isdigit() or _is_lower(before) or before in _QUOTES:
            return 1
        if end - start >= 3 and _is_upper(before) and _is_upper(chunk[end - 3]):
            return 1
        return 1 if end - start >= 3 and chunk[end - 3] == "°" and before in "FfCcKk" else 0
    if char == "+":
        return 1 if end - start >= 2 and chunk[end - 2].isdigit() else 0
    if char not in _UNIT_ENDS:
        return 0
    tail = chunk[max(start, end - 6) : end]
    if not tail.isalpha() and any(map(str.isdigit, tail)):
        match = _UNIT.search(tail) or _CURRENCY.search(tail)
        if match is not None:
            return len(match[0])
    return 0


def _letter_or_digit(char: str) -> bool:
    return char.isalpha() or "0" <= char <= "9"


def _infix(chunk: str, place: int) -> int:
    """Length of the mark at a place inside a chunk that parts two words, 0 where nothing does."""
    char, before = chunk[place], chunk[place - 1]
    after = chunk[place + 1] if place + 1 < len(chunk) else " "
    if char == ".":
        if after == ".":
            return _run(chunk, place, len(chunk), 1)
        return int((_is_lower(before) or before in _QUOTES) and (_is_upper(after) or after in _QUOTES))
    if char == ",":
        return int(before.isalpha() and after.isalpha())
    if char in ":<>=/":
        return int(_letter_or_digit(before) and after.isalpha())
    if char in "+-*^" and before.isdigit() and (after.isdigit() or after == "-"):
        return 1
    if char in "-–—~":
        if _letter_or_digit(before):
            for pattern in (_HYPHENS, _HYPHEN):
                match = pattern.match(chunk, place)
                if match is not None and match.end() < len(chunk) and chunk[match.end()].isalpha():
                    return match.end() - place
        return 0
    return 0 if char in "+*^" else 1  # "…" and pictographs always part


def _infixes(chunk: str) -> list[str]:
    """The middle of a chunk, split at marks between letters or numbers."""
    match = _INSIDE.search(chunk, 1)
    if match is None:
        return [chunk]
    found: list[str] = []
    start = 0
    while match is not None:
        place = match.start()
        length = _infix(chunk, place)
        if length:
            if place > start:
                found.append(chunk[start:place])
            found.append(chunk[place : place + length])
            start = place + length
        match = _INSIDE.search(chunk, max(place + 1, start + 1 if length else 0))
    if start < len(chunk):
        found.append(chunk[start:])
    return found


@functools.cache
def _wholes() -> frozenset[str]:
    """Exceptions that stay whole and have a mark in them: abbreviations and emoticons."""
    return frozenset(word for word, parts in exceptions().items() if len(parts) == 1 and not word.isalnum())


@functools.cache
def _beginnings() -> frozenset[str]:
    """How those begin: two characters or more of each, up to all."""
    return frozenset(word[:end] for word in _wholes() for end in range(2, len(word) + 1))


def _rejoined(found: list[str]) -> list[str]:
    """Words and marks, with neighbours put together that are an abbreviation or an emoticon (``word ) :``)."""
    beginnings = _beginnings()
    if not any(first + second in beginnings for first, second in pairwise(found)):
        return found
    wholes = _wholes()
    joined: list[str] = []
    place = 0
    while place < len(found):
        for count in (3, 2):
            whole = "".join(found[place : place + count])
            if place + count <= len(found) and len(whole) <= 8 and whole in wholes:
                joined.append(whole)
                place += count
                break
        else:
            joined.append(found[place])
            place += 1
    return joined


def _address(chunk: str) -> bool:
    """Whether a chunk is an e-mail address or a URL as a whole; linear in its length."""
    if "." not in chunk or len(chunk) > _LONGEST_ADDRESS:
        return False
    user, at, host = chunk.rpartition("@")
    if at and not user:
        return False
    match = _URL.fullmatch(host)
    return match is not None and (match[1] is None or all(_is_lower(char) for char in match[1]))


def english_words(chunk: str) -> list[str]:
    """The words of one chunk without whitespace, punctuation marks included, in order.

    Cost: 2-5 microseconds for an ordinary chunk; linear in the length of a run of punctuation.
    """
    known = exceptions()
    if chunk in known:
        return list(known[chunk])
    if chunk.isalpha():
        return [chunk]
    ordinary = _ORDINARY.fullmatch(chunk)
    if ordinary is not None:  # the most frequent case of what follows
        before, stem, clitic, after = ordinary.groups()
        inner = (stem, stem + clitic, chunk[1:], chunk[:-1], before + stem)
        stops = after != "." or bool(clitic) or (stem[-1] >= "a" and "-" not in stem)  # else it may be an abbreviation
        if stops and known.keys().isdisjoint(inner):
            parts = _HYPHEN_BETWEEN.split(stem) if "-" in stem else [stem]
            return [part for part in (before, *parts, clitic, after) if part]
    number = _NUMBER.fullmatch(chunk)
    if number is not None:
        return [part for part in number.groups() if part]
    if (
        chunk.isalnum()
        and not chunk[0].isdigit()
        and not (chunk[-1] in _UNIT_ENDS and any(map(str.isdigit, chunk[-6:])))
    ):
        return [chunk]
    start, end = 0, len(chunk)
    head: list[str] = []
    tail: list[str] = []
    while start < end:
        if end - start < 16 and chunk[start:end] in known:
            break
        before = _prefix(chunk, start, end)
        if before:
            rest = chunk[start + before : end] if end - start < 16 + before else ""
            if rest in known:
                head.append(chunk[start : start + before])
                start += before
                break
        after = _suffix(chunk, start, end)
        if after and end - start < 16 + after and chunk[start : end - after] in known:
            tail.append(chunk[end - after : end])
            end -= after
            break
        if before and before + after <= end - start:
            head.append(chunk[start : start + before])
            start += before
        if after and after <= end - start:
            tail.append(chunk[end - after : end])
            end -= after
        if not before and not after:
            break
    if start < end:
        middle = chunk[start:end]
        if middle in known:
            head.extend(known[middle])
        elif _address(middle):
            head.append(middle)
        else:
            head.extend(_infixes(middle))
    found = head + tail[::-1]
    return _rejoined(found) if len(found) > 1 else found


UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9d\U00020000-\U000323af]"
)
"""A character of a script without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""


def words(chunk: str) -> list[str]:
    """The words of a chunk; characters of scripts without spaces are words of their own."""
    if chunk.isascii() or UNSPACED.search(chunk) is None:
        return english_words(chunk)
    found: list[str] = []
    start = 0
    for match in UNSPACED.finditer(chunk):
        if match.start() > start:
            found.extend(english_words(chunk[start : match.start()]))
        found.append(match[0])
        start = match.end()
    if start < len(chunk):
        found.extend(english_words(chunk[start:]))
    return found
