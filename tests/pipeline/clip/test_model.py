"""Features and pixels beside open_clip's own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plait.filters.clip_settings import Clip
from plait.pipeline.clip import features
from plait.pipeline.clip.features import Picture, classifiers, embed, unpack
from plait.pipeline.clip.model import ClipModel, ClipRun, ClipSource, import_open_clip, model_digest
from plait.schemas.errors import ConfigError
from tests.tiny_clip.corpus import MODEL, scenes
from tests.tiny_clip.drawn import draw, encoded, sentence

pytestmark = pytest.mark.heavy
SOURCE = ClipSource.of(str(MODEL))


@pytest.fixture(scope="module")
def tiny() -> ClipModel:
    return ClipModel(SOURCE, ClipRun(batch=8, threads=1))


def _photo(width: int, height: int, seed: int, form: str = "JPEG") -> bytes:
    """A smooth picture with some detail, as photos have."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 6, (height, width, 3))
    image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    out = io.BytesIO()
    image.save(out, form, quality=85)
    return out.getvalue()


def _reference(name: str, weights: str | None, pictures: list[bytes], texts: list[str]) -> np.ndarray:
    """Cosines by open_clip's loop as its README has it: one picture, one text at a time, fp32."""
    open_clip = import_open_clip()
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(name, weights)
    model.eval()
    tokenizer = open_clip.get_tokenizer(name)
    with torch.no_grad():
        images = torch.cat(
            [model.encode_image(preprocess(Image.open(io.BytesIO(data)).convert("RGB"))[None]) for data in pictures]
        )
        words = torch.cat([model.encode_text(tokenizer([text])) for text in texts])
    images, words = (one / one.norm(dim=-1, keepdim=True) for one in (images, words))
    return (images @ words.T).numpy()


def _cosines(model: ClipModel, pictures: list[bytes], texts: list[str], *, fast: bool) -> np.ndarray:
    pixels = np.stack([model.preprocess.pixels(data, fast=fast) for data in pictures])
    return model.images(pixels) @ model.texts(texts)[0].T


SIZES = ((640, 480), (480, 640), (223, 500), (64, 64), (1200, 900), (301, 97))


def test_cosines_are_those_of_open_clip(tiny: ClipModel):
    pictures = [_photo(*size, seed=number) for number, size in enumerate(SIZES)]
    pictures += [encoded(one, 200, "PNG") for one in scenes(5, 8)]
    texts = ["Three red stars on a blue background.", "", "two letters " * 40, "ein Baum — 木"]
    wanted = _reference(SOURCE.model, None, pictures, texts)
    assert np.abs(_cosines(tiny, pictures, texts, fast=False) - wanted).max() < 1e-5


def test_the_fast_path_stays_near_open_clips_own_pixels(tiny: ClipModel):
    pictures = [_photo(1200, 900, seed=number) for number in range(6)] + [encoded(one, 800) for one in scenes(10, 8)]
    slow = np.stack([tiny.preprocess.pixels(data, fast=False) for data in pictures])
    fast = np.stack([tiny.preprocess.pixels(data) for data in pictures])
    assert np.abs(slow.astype(int) - fast).mean() < 1.0  # of 255
    assert (tiny.images(slow) * tiny.images(fast)).sum(1).min() > 0.999


@pytest.mark.slow
def test_cosines_of_a_vit_b_32_are_those_of_open_clip(tmp_path: Path):
    open_clip = import_open_clip()
    import torch

    torch.manual_seed(3)
    weights = tmp_path / "random.pt"
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), weights)
    pictures = [_photo(*size, seed=number) for number, size in enumerate(SIZES[:3])]
    texts = ["A dog on a beach.", "word " * 200, "東京"]
    wanted = _reference("ViT-B-32", str(weights), pictures, texts)
    model = ClipModel(ClipSource.of("ViT-B-32", str(weights)), ClipRun(batch=4, threads=2))
    assert np.abs(_cosines(model, pictures, texts, fast=False) - wanted).max() < 1e-3
    assert np.abs(_cosines(model, pictures, texts, fast=True) - wanted).max() < 5e-3
    assert model.texts(texts)[1].tolist() == [0, 125, 0]


def _siglip(folder: Path) -> ClipSource:
    """A small model of SigLIP's build with random weights: a timm tower, stretched pictures, a tokenizer of its own."""
    open_clip = import_open_clip()
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>", "<pad>", "</s>"])
    words.train_from_iterator(["a red star on a blue field", "two rings"], trainer)
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder)
    vision = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"}
    text = {
        "context_length": 8, "vocab_size": 32, "hf_tokenizer_name": str(folder), "width": 64, "heads": 2, "layers": 2,
        "tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
    }  # fmt: skip
    towers = {"embed_dim": 64, "init_logit_bias": -10, "vision_cfg": vision, "text_cfg": text}
    half = [0.5] * 3
    seen = {"mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "squash"}
    config = {"model_cfg": towers | {"custom_text": True}, "preprocess_cfg": seen}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(5)
    torch.save(open_clip.CustomTextCLIP(**towers).state_dict(), folder / "open_clip_pytorch_model.bin")
    return ClipSource.of(str(folder))


def test_a_siglip_model_gives_open_clips_cosines(tmp_path: Path):
    source = _siglip(tmp_path)
    model = ClipModel(source, ClipRun(batch=4, threads=1))
    assert (model.preprocess.mode, model.preprocess.size) == ("squash", (160, 160))
    pictures = [_photo(*size, seed=number) for number, size in enumerate(SIZES[:4])]
    texts = ["a red star", "A RED, star!", "two rings " * 10, ""]
    wanted = _reference(source.model, None, pictures, texts)
    found = _cosines(model, pictures, texts, fast=False)
    assert np.abs(found - wanted).max() < 1e-5
    assert np.array_equal(found[:, 0], found[:, 1])  # its tokenizer has no capitals and no punctuation
    assert len(np.unique(found)) > 8
    assert model.texts(texts)[1].tolist() == [0, 0, 20 + 1 - 8, 0]
    assert np.abs(_cosines(model, pictures, texts, fast=True) - wanted).max() < 5e-3


def test_what_the_context_cuts_off_is_counted(tiny: ClipModel):
    tokenizer = import_open_clip().get_tokenizer(SOURCE.model)
    texts = ["short", "two words " * 15, "two words " * 16, "two words " * 100]
    _, cut = tiny.texts(texts)
    assert cut.tolist() == [max(0, len(tokenizer.encode(text)) + 2 - 32) for text in texts]
    assert cut.tolist() == [0, 0, 2, 170]


def test_features_do_not_depend_on_what_else_is_in_the_batch(tiny: ClipModel):
    pictures = [Picture(number, bytes([number]), encoded(one)) for number, one in enumerate(scenes(19, 4))]
    together = unpack(_column(embed(pictures, tiny)), tiny.width)
    alone = np.concatenate([unpack(_column(embed([one], tiny)), tiny.width) for one in pictures])
    assert np.array_equal(together, alone)


def _column(batches) -> object:
    import pyarrow as pa

    return pa.Table.from_batches(list(batches)).column("feature").combine_chunks()


def test_a_damaged_picture_has_no_feature_and_spoils_no_other(tiny: ClipModel):
    good = [encoded(one) for one in scenes(3, 4)]
    pictures = [Picture(0, b"a", good[0]), Picture(1, b"b", good[1][:90]), Picture(2, b"c", good[2])]
    rows = [row for batch in embed(pictures, tiny, classifiers(tiny, Clip())) for row in batch.to_pylist()]
    assert [row["feature"] is None for row in rows] == [False, True, False]
    assert [row["clip_logo"] is None for row in rows] == [False, True, False]
    assert [row["image_id"] for row in rows] == [b"a", b"b", b"c"]


def test_pictures_are_read_no_further_ahead_than_memory_allows(tiny: ClipModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(features, "WAITING_BYTES", 1 << 20)
    data = encoded(scenes(1, 6)[0])
    large = data + bytes((400 << 10) - len(data))  # what stands behind a JPEG's end is not read
    decoded, ahead = [], []
    pixels = features._pixels
    monkeypatch.setattr(features, "_pixels", lambda *given: (decoded.append(1), pixels(*given))[1])

    def read() -> Iterator[Picture]:
        for number in range(40):
            ahead.append(number - len(decoded))
            yield Picture(number, bytes([number]), large)

    rows = [row for batch in embed(read(), tiny) for row in batch.to_pylist()]
    assert [row["key"] for row in rows] == list(range(40))
    assert {row["feature"] for row in rows} == {rows[0]["feature"]}
    assert rows[0]["feature"] is not None
    assert max(ahead) <= 4  # of 400 KB each; two more are with the decoders


def test_true_sentences_win_over_false_ones(tiny: ClipModel):
    import random

    rng = random.Random(9)
    shown = scenes(120, 77)
    texts = [sentence(one, rng)[0] for one in shown]
    pixels = np.stack([tiny.preprocess.of_image(draw(one, 256)) for one in shown])
    cosine = tiny.images(pixels) @ tiny.texts(texts)[0].T
    own = np.diag(cosine)
    place = (cosine >= own[:, None]).sum(1)  # a sentence may leave out what tells its scene from another
    assert np.mean(place <= 10) > 0.7
    assert np.median(own) > np.quantile(cosine, 0.95)


@pytest.mark.parametrize(
    ("model", "weights", "said"),
    [
        ("ViT-Nonsense", "", "no model 'ViT-Nonsense'"),
        ("ViT-B-32", "", "no checkpoint ''"),
        ("ViT-B-32", "no-such-tag", "laion2b_s34b_b79k"),
        ("local-dir:/nowhere", "", "no open_clip_config.json"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_clear_error(model: str, weights: str, said: str):
    with pytest.raises(ConfigError, match="three ways") as error:
        ClipModel(ClipSource.of(model, weights))
    assert said in str(error.value)


def test_a_models_digest_is_that_of_its_files(tmp_path: Path):
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (tmp_path / name).write_bytes((MODEL / name).read_bytes())
    assert model_digest(ClipSource.of(str(tmp_path))) == model_digest(SOURCE)
    config = json.loads((tmp_path / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.4, 0.5, 0.5]
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    assert model_digest(ClipSource.of(str(tmp_path))) != model_digest(SOURCE)
