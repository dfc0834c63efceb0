"""Packing with real tokenizers, trained here: Hugging Face's and sentencepiece's ids come back as the texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plait.loader import Corpus, ImageTokens, Order, PackRecipe, Resize, SampleRecipe, SequenceRecipe, Source
from plait.loader.packing import packs

pytestmark = pytest.mark.heavy
WORDS = 200  # of a vocabulary
PLACEHOLDER, EOS = WORDS, WORDS + 1


@pytest.fixture(scope="module")
def corpus(corpus_folder) -> Corpus:
    return Corpus(corpus_folder)


def said(corpus: Corpus, tokenize: Callable[[str], list[int]], decode: Callable[[list[int]], str]) -> dict[bytes, str]:
    """Each document's text, from the packs' tokens without the pictures' and the ends'."""
    recipe = PackRecipe(
        tokenize, "tiny", SequenceRecipe(ImageTokens(PLACEHOLDER, each=2), eos=EOS, separator=" "), max_tokens=400
    )
    order = Order((Source(corpus),), window=30)
    windows = ((window, 0) for window in range(order.windows))
    found: dict[bytes, str] = {}
    for pack in packs(order, SampleRecipe(pixels=Resize(8)), recipe, windows):
        for number, doc_id in enumerate(pack.doc_ids):
            ids = pack.tokens[pack.cu_seqlens[number] : pack.cu_seqlens[number + 1]].tolist()
            texts: list[list[int]] = [[]]
            for token in ids:
                if token < WORDS:
                    texts[-1].append(token)
                elif texts[-1]:
                    texts.append([])
            assert doc_id not in found  # none is longer than a pack here
            found[doc_id] = " ".join(decode(text) for text in texts if text)
    return found


def words(text: str) -> list[str]:
    return text.split()


def texts_of(corpus: Corpus) -> dict[bytes, str]:
    return {document.doc_id: " ".join(document.texts) for document in corpus}


def test_hugging_face_tokenizer(corpus):
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra clip")
    transformers = pytest.importorskip("transformers", reason="needs the extra clip")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    used = sorted({letter for text in texts_of(corpus).values() for letter in text if letter != " "} & set(alphabet))
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=WORDS, initial_alphabet=[*used, "Ġ"], special_tokens=["<s>"])
    made.train_from_iterator(texts_of(corpus).values(), trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")
    found = said(corpus, lambda text: tokenizer(text, add_special_tokens=False).input_ids, tokenizer.decode)
    assert {doc: words(text) for doc, text in found.items()} == {d: words(t) for d, t in texts_of(corpus).items()}


def test_sentencepiece(corpus, tmp_path: Path):
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs sentencepiece")
    with (tmp_path / "model").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts_of(corpus).values()), model_writer=model, vocab_size=WORDS, minloglevel=2,
            hard_vocab_limit=False, num_threads=1,
        )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "model"))
    found = said(corpus, processor.encode, processor.decode)
    assert {doc: words(text) for doc, text in found.items()} == {d: words(t) for d, t in texts_of(corpus).items()}
