"""Opt-out signals that an archive recorded."""

from __future__ import annotations

import pytest

from plait.pipeline.consent import check_page, refuses_images, tokens
from plait.schemas.errors import RecordError


@pytest.mark.parametrize(
    ("header", "reservation"),
    [("noai", None), ("index, NoAI", None), ("otherbot: noml", None), (None, "1"), ("noindex", " 1 ")],
)
def test_page_that_asks_to_be_left_out_is(header: str | None, reservation: str | None) -> None:
    with pytest.raises(RecordError) as caught:
        check_page(tokens(header, reservation))
    assert caught.value.reason == "opted_out"


@pytest.mark.parametrize("header", [None, "", "noindex, nofollow", "noimageai", "all"])
def test_page_that_does_not_ask_stays(header: str | None) -> None:
    check_page(tokens(header, "0"))


def test_images_have_a_signal_of_their_own() -> None:
    assert refuses_images(tokens("noimageai")) == "noimageai"
    assert refuses_images(tokens("noai")) == "noai"
    assert refuses_images(tokens("noindex")) is None
