"""Language: bare fastText's answers, mixed documents, where the model comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from plait.filters.batch import DocumentBatch
from plait.filters.language import UNKNOWN, WINDOW, identify, lang_share, sample
from plait.filters.models import LID176_BYTES, lid176
from plait.schemas.documents import NODE
from plait.schemas.errors import ConfigError


def test_sentences_by_five_are_as_good_as_bare_fasttext(shared_data: Path):
    import fasttext

    bare = fasttext.load_model(str(lid176())).f
    texts, right = [], []
    for path in sorted((shared_data / "lid_lingua" / "sentences").glob("*.txt")):
        sentences = path.read_text("utf-8").splitlines()[:100]
        texts += [" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5)]
        right += [path.stem] * ((len(sentences) + 4) // 5)
    ours = identify(texts).lang
    plain = [bare.predict(text + "\n", 1, 0.0, "strict")[0][1].removeprefix("__label__") for text in texts]
    truth = np.array(right)
    assert abs(np.mean(np.array(ours) == truth) - np.mean(np.array(plain) == truth)) <= 0.002
    for name in ("en", "de", "zh", "ja", "ko", "ar", "hi", "ru", "th", "he", "fa", "vi"):
        assert np.mean(np.array(ours)[truth == name] == name) == 1, name


def test_a_text_without_letters_has_no_language():
    found = identify(["", "123 456 !!", "\n\n", "Dies ist ein deutscher Satz."])
    assert found.lang == [UNKNOWN, UNKNOWN, UNKNOWN, "de"]
    assert found.score[0] == 0
    assert 0.9 < found.score[3] <= 1


def test_a_long_page_is_sampled_from_all_over():
    text = "a" * 5000 + "b" * 5000 + "c" * 5000
    seen = sample(text)
    assert len(seen) <= WINDOW + 2
    assert set(seen) == set("abc ")


def test_mixed_document_has_a_share_below_one():
    english = "The weather was fine and the people went to the sea to swim with their children."
    german = "Das Wetter war schön, und die Leute gingen mit ihren Kindern ans Meer, um zu schwimmen."
    documents = [[english] * 8, [english] * 4 + [german] * 4, ["12345"], []]
    rows = [[{"kind": "text", "tag": "p", "text": text} for text in texts] for texts in documents]
    batch = DocumentBatch.of(pa.array(rows, pa.list_(NODE)), ["en", "en", UNKNOWN, UNKNOWN])
    share = lang_share(batch).to_pylist()
    assert share[0] == 1
    assert 0.4 < share[1] < 0.6
    assert share[2:] == [None, None]


def test_model_is_found_by_its_variable_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = lid176()
    assert real.stat().st_size == LID176_BYTES
    monkeypatch.setenv("PLAIT_LID176", str(real))
    assert lid176(obtain=False) == real
    wrong = tmp_path / "lid.ftz"
    wrong.write_bytes(b"something else")
    monkeypatch.setenv("PLAIT_LID176", str(wrong))
    with pytest.raises(ConfigError, match="SHA-256"):
        lid176()
    monkeypatch.setenv("PLAIT_LID176", str(tmp_path / "no"))
    with pytest.raises(ConfigError, match="no file"):
        lid176()


def test_a_missing_model_says_how_to_supply_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PLAIT_LID176", raising=False)
    monkeypatch.setenv("PLAIT_CACHE", str(tmp_path))
    with pytest.raises(ConfigError) as error:
        lid176(obtain=False)
    assert "PLAIT_LID176" in str(error.value)
    assert str(tmp_path) in str(error.value)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConfigError, match="could not be obtained"):
        lid176()
    assert not list(tmp_path.iterdir())
