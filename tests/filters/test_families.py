"""Scores of the published recipes: boilerplate, context, word lists, Chinese, addresses, pictures, edits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from plait.filters.batch import DocumentBatch, TextBatch
from plait.filters.edits import join_broken_lines, remove_citations, remove_urls, split_underlines, trim_unfinished
from plait.filters.image_scores import assembled_columns, picture_columns, url_word_in
from plait.filters.page_scores import url_flags
from plait.filters.scores import SCORES, compute
from plait.schemas.documents import NODE


def score(name: str, texts: list[str], lang: str = "en") -> list[object]:
    function = SCORES[name].text
    assert function is not None
    return list(function(TextBatch.of(texts, [lang] * len(texts))).tolist())


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("link_notice", "For details on the tour click", "The tour was long."),
        ("credit_line", "Special thanks to Ann", "Thanks were special."),
        ("credit_line", "As shown before (Smith, 1999)", "As shown (Smith, 1999) before"),
        ("credit_line", "Story published by the Times", "The book was good."),
        ("social_counter", "3 likes", "He likes cats"),
        ("social_phrase", "Leave a comment :", "A comment was left there"),
        ("social_phrase", "For more info see us", "More infos"),
        ("call_to_action", "Please sign in", "a b c d e f g h i j k sign in"),
        ("site_furniture", "Contact Information", "contact information"),
        ("unfinished_teaser", "It began in May… Read more »", "I like to read more."),
        ("caption_boilerplate", "Getty Images", "The photo that he took on a rainy day in May"),
        ("advert_label", "ADVERTISEMENT", "An advertisement was shown"),
        ("things_to_do", "Things to do in Rome", "In Rome: things to do"),
        ("phone_number", "Call 212-555-0187 today", "Call us today"),
        ("phone_number", "Call [PHONE] today", "Call phone today"),
        ("time_or_date", "Posted at 12:30pm", "Posted by Ann"),
        ("time_or_date", "March 3, 2021", "March in Paris"),
        ("byline", "By Jane Doe", "Bygone days"),
        ("bracketed", "(This story is syndicated.)", "This (story) is"),
        ("reference_entry", "[12] A. Author, A title. 1999.", "See [12] for it."),
        ("sponsor_or_reference", "Sponsored by Acme", "Acme is big"),
        ("site_phrase", "© 2021 Acme", "Acme 2021"),
        ("social_label", "Facebook", "Facebook is a company"),
        ("any_curly_bracket", "a } b", "a b"),
        ("javascript", "Enable JavaScript", "Java script"),
        ("policy_phrase", "This site uses cookies", "She bakes cookies"),
        ("lorem_ipsum", "Lorem Ipsum dolor", "dolor sit amet"),
        ("zh_furniture", "责任编辑：王小明", "他是一名编辑。"),
        ("zh_contact", "请加微信：abc123", "我们用微信聊天。"),
        ("zh_advert", "全场包邮，立即购买", "他去邮局寄信。"),
    ],
)
def test_sign(name: str, yes: str, no: str):
    assert score(name, [yes, no]) == [True, False]


def test_numbers_of_mosca_nodes():
    assert score("dates", ["From 2021-03-04 to 5 May 2022", "in 2021"]) == [2, 0]
    assert score("angle_brackets", ["<a> b >", "x"]) == [3, 0]
    assert score("top_char_ratio", ["aaab", "abcd"]) == [0.75, 0.25]
    assert score("utf8_bytes", ["abc", "日本", "a\nb"]) == [3, 6, 3]
    assert score("letter_ratio", ["ab 12", "हिन्दी"]) == [0.5, 1.0]


def test_word_lists_by_language():
    assert score("stopword_ratio", ["the house of the king"])[0] == pytest.approx(3 / 5)
    assert score("stopword_ratio", ["das Haus und der König"], "de")[0] == pytest.approx(3 / 5)
    assert np.isnan(score("stopword_ratio", ["我们的国家"], "zh")[0])
    assert np.isnan(score("stopword_ratio", ["qo'"], "tlh")[0])
    assert score("flagged_word_ratio", ["porn is a word here", "no bad word here at all"])[0] == pytest.approx(1 / 5)
    assert score("flagged_distinct", ["porn porn porn", "porn and hentai", "nothing"]) == [1, 2, 0]
    assert score("flagged_word_ratio", ["这是做爱"], "zh")[0] > 0
    assert score("spam_word_ratio", ["casino casino bonus word"])[0] == pytest.approx(2 / 4)
    assert score("english_function_words", ["The cat is the king of cats"]) == [3]


def test_languages_of_one_batch_do_not_mix():
    function = SCORES["stopword_ratio"].text
    assert function is not None
    found = function(TextBatch.of(["the house and", "das Haus und", "the house and"], ["en", "de", "de"]))
    assert found.tolist() == pytest.approx([2 / 3, 2 / 3, 0.0])


def test_chinese_scripts_and_marks():
    assert score("traditional_ratio", ["國家學習電腦", "国家学习电脑", "上下中"])[:2] == [1.0, 0.0]
    assert np.isnan(score("traditional_ratio", ["上下中"])[0])
    assert score("zh_mark_ratio", ["我们走，他们来。"])[0] == pytest.approx(2 / 6)
    assert score("han_ratio", ["中文ab"]) == [0.5]
    assert score("unspaced_ratio", ["中文ab", "ภาษา", "word"])[1:] == [1.0, 0.0]


def nodes(*kinds: tuple[str, str]) -> DocumentBatch:
    row = [
        {"kind": "image", "image_url": text} if tag == "img" else {"kind": "text", "tag": tag, "text": text}
        for tag, text in kinds
    ]
    return DocumentBatch.of(pa.array([row, []], pa.list_(NODE)))


def test_context_of_nodes():
    batch = nodes(("h2", "A"), ("h2", "B"), ("p", "x"), ("img", "u"), ("p", "x"), ("h3", "C"))
    found = compute(
        ["empty_heading", "nodes_after", "image_distance", "repeated_node", "heading", "tag"], "node", batch
    )
    assert found["empty_heading"].to_pylist() == [True, False, False, False, False]
    assert found["nodes_after"].to_pylist() == [4, 3, 2, 1, 0]
    assert found["image_distance"].to_pylist() == [3, 2, 1, 1, 2]
    assert found["repeated_node"].to_pylist() == [False, False, False, True, False]
    assert found["heading"].to_pylist() == [True, True, False, False, True]
    assert compute(["image_distance"], "node", nodes(("p", "x")))["image_distance"].to_pylist() == [None]


def test_image_url_words_are_whole_words_outside_the_host():
    assert url_word_in("http://x.com/img/Logo_small.png") == "logo"
    assert url_word_in("http://logo.com/logotype.png") == ""
    assert url_word_in("http://x.com/a%2Dicon%2Db.png?x=1") == "icon"
    assert url_word_in("data:image/png;base64,logo") == ""


def test_address_flags():
    assert url_flags("http://site.com/recipes/bread") == (0, 0)
    assert url_flags("http://www.xxx-tube.com/a")[0] >= 1


def test_columns_at_assembly():
    info = pa.RecordBatch.from_pydict(
        {"width": pa.array([300, None, 10], pa.int32()), "height": pa.array([100, 5, 0], pa.int32())}
    )
    found = picture_columns(info)
    assert found["side"].to_pylist() == [100, None, 0]
    assert found["long_side"].to_pylist() == [300, None, 10]
    assert found["aspect"].to_pylist() == [3.0, None, None]
    documents = pa.RecordBatch.from_pydict({"words": pa.array([90, 10], pa.int64())})
    late = assembled_columns(documents, np.array([3, 0]))
    assert late["images"].to_pylist() == [3, 0]
    assert late["words_per_image"].to_pylist() == [30.0, None]


def test_edits():
    assert remove_citations("It rained.[3][citation needed]") == "It rained."
    assert remove_urls("see https://a.com/b?c=d, or www.x.org now") == "see  or  now" or "https" not in remove_urls(
        "https://a.com"
    )
    assert join_broken_lines("The long\nsentence ends.\nNext one") == "The long sentence ends.\nNext one"
    assert split_underlines("Name " + "_" * 20 + " Date") == "Name\nDate"
    trimmed = trim_unfinished(["Menu of things", "It began. Then it went", "Middle part", "It ended. And now the"])
    assert trimmed == ["", "It began. Then it went", "Middle part", "It ended."]
