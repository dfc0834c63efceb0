from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.extract import decode_html, extract_html
from plait.pipeline.extract.charset import codec_of, detect, utf8_html

CHINESE = "港口在一九零一年的风暴之后重建，因为旧的木制码头已经被海水冲走，这个城市用了十一年的时间才还清了债务，现在人们可以在那里散步。"
JAPANESE = "港は1901年の嵐のあとに再建されました。古い木の桟橋は海に流され、町は石の代金を払うのに11年かかりました。"
KOREAN = "항구는 1901년의 폭풍이 지나간 뒤에 다시 지어졌으며, 오래된 나무 부두는 바다로 떠내려갔습니다. 도시는 돈을 갚았습니다."
RUSSIAN = "Гавань была построена заново после бури 1901 года, когда старые деревянные причалы унесло в море, и город платил за камень."
GREEK = "Το λιμάνι ξαναχτίστηκε μετά την καταιγίδα του 1901, όταν οι παλιές ξύλινες αποβάθρες παρασύρθηκαν στη θάλασσα."
FRENCH = "Le port a été reconstruit après la tempête de 1901, lorsque les vieilles jetées en bois ont été emportées."
THAI = "ท่าเรือถูกสร้างขึ้นใหม่หลังจากพายุในปี 1901 เมื่อท่าเรือไม้เก่าถูกพัดออกไปในทะเล"
CASES = [
    ("gb18030", CHINESE), ("big5hkscs", "港口在風暴之後重建，因為舊的木製碼頭已經被海水沖走，這個城市用了十一年的時間才還清債務，現在人們可以在那裡散步。"),
    ("cp932", JAPANESE), ("euc_jp", JAPANESE), ("cp949", KOREAN), ("cp1251", RUSSIAN), ("koi8_r", RUSSIAN),
    ("cp1253", GREEK), ("cp1252", FRENCH), ("cp874", THAI), ("utf-8", CHINESE),
]  # fmt: skip


def page(text: str, meta: str = "") -> str:
    return f"<html><head>{meta}</head><body><h1>{text[:12]}</h1><p>{text}</p><p>{text}</p></body></html>"


@pytest.mark.parametrize(("codec", "text"), CASES, ids=[c for c, _ in CASES])
def test_undeclared_charset_is_detected(codec: str, text: str) -> None:
    assert text in decode_html(page(text).encode(codec), None)


@pytest.mark.parametrize(("codec", "text"), CASES, ids=[c for c, _ in CASES])
def test_header_and_meta_decide(codec: str, text: str) -> None:
    assert text in decode_html(page(text).encode(codec), codec)
    label = {"cp949": "euc-kr", "cp932": "Shift_JIS", "big5hkscs": "big5", "cp874": "tis-620", "gb18030": "gb2312"}.get(
        codec, codec
    )
    label = label.replace("cp12", "windows-12").replace("euc_jp", "euc-jp").replace("koi8_r", "koi8-r")
    assert text in decode_html(page(text, f'<meta charset="{label}">').encode(codec), None)
    assert text in decode_html(
        page(text, f"<meta http-equiv=content-type content='text/html; charset={label}'>").encode(codec), None
    )


def test_header_wins_over_meta() -> None:
    assert RUSSIAN in decode_html(page(RUSSIAN, "<meta charset=koi8-r>").encode("cp1251"), "windows-1251")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be"])
def test_byte_order_mark_wins_over_everything(codec: str) -> None:
    bom = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[codec]
    assert decode_html(bom + page(FRENCH).encode(codec), "koi8-r") == page(FRENCH)


def test_utf8_declared_as_latin1_is_read_as_utf8() -> None:
    assert FRENCH in decode_html(page(FRENCH).encode(), "iso-8859-1")


def test_latin1_means_windows_1252() -> None:
    assert "“quoted” – dash" in decode_html(b"<p>\x93quoted\x94 \x96 dash</p>", "ISO-8859-1")


def test_wrong_utf8_declaration_gives_way_to_detection() -> None:
    assert RUSSIAN in decode_html(page(RUSSIAN).encode("cp1251"), "utf-8")


def test_few_broken_bytes_do_not_change_the_charset() -> None:
    data = page(CHINESE).encode() + b"\xff"
    assert CHINESE in decode_html(data, "utf-8")


@pytest.mark.parametrize("label", ["", "nonsense", "rot13", "zip", "idna", "undefined", "utf-7", "base64", None])
def test_unusable_labels_are_ignored(label: str | None) -> None:
    assert codec_of(label) is None
    assert "é" in decode_html("<p>é</p>".encode(), label)


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "gbk", "utf-16", "x", "shift_jis"]))
def test_any_bytes_decode(data: bytes, charset: str | None) -> None:
    assert isinstance(decode_html(data, charset), str)


def test_charset_reaches_the_nodes() -> None:
    found = extract_html(page(JAPANESE).encode("euc_jp"), "http://a.example/")
    assert any(n.text == JAPANESE for n in found.nodes)


def test_detection_of_plain_ascii_is_utf8() -> None:
    assert detect(b"<p>plain</p>") == "utf-8"


@pytest.mark.parametrize("misread", ["latin-1", "cp1252"])
def test_what_was_encoded_twice_is_decoded_twice(misread: str) -> None:
    text = "Earth’s café – at night"
    twice = page(text).encode().decode(misread)
    assert decode_html(twice.encode(), "utf-8") == page(text)
    assert decode_html((twice + "“CAFÉ” łódź à\xa0»").encode(), None).endswith("“CAFÉ” łódź à\xa0»")
    assert "Earth’s" in decode_html((twice + "łódź").encode(), None)


@pytest.mark.parametrize(
    "text", [FRENCH, CHINESE, "“CAFÉ” à\xa0» NÃO Â\xa0©", "ISO says \x85 is a line end; â€ is two"]
)
def test_text_that_could_be_bytes_is_left_alone(text: str) -> None:
    assert decode_html(text.encode(), "utf-8") == text


@given(
    data=st.lists(st.sampled_from([b"a", b"<p>", b"\xc3", b"\xa9", b"\xe2", b"\x80", b"\x94", b"\xed", "é".encode()]))
)
def test_bytes_that_are_parsed_as_they_are_are_the_text_in_utf8(data: list[bytes]) -> None:
    html = b"".join(data)
    assert utf8_html(html, "utf-8") == decode_html(html, "utf-8").encode()
