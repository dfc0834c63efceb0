"""A loaded open_clip model: any architecture and checkpoint that open_clip opens, SigLIP among them.

The extra ``plait[clip]``. Batches have a fixed size, the last one filled up, and the number of threads is fixed: so a
picture's feature depends on the model, the device and the instruction set, and on nothing else.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from plait.pipeline.clip.pixels import Preprocess
from plait.schemas.errors import ConfigError

if TYPE_CHECKING:
    import torch

F32: TypeAlias = npt.NDArray[np.float32]
U8: TypeAlias = npt.NDArray[np.uint8]
Ints: TypeAlias = npt.NDArray[np.int64]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

LOCAL, HUB = "local-dir:", "hf-hub:"
WAYS = (
    "a CLIP model is given in three ways: a name and a checkpoint of open_clip (--clip-model ViT-L-14 --clip-weights "
    "openai, or the path of a checkpoint file), a repository of the Hugging Face hub (--clip-model hf-hub:ORG/NAME), "
    "or a folder with open_clip_config.json and weights (--clip-model FOLDER); a recipe names them under [clip]"
)
_EXTRA = 'CLIP needs an extra: pip install "plait[clip]"'
_NO_OPERATOR = "operator torchvision::"
_DECLARED: list[object] = []  # torch drops a library's operators when the library is collected


@dataclass(frozen=True)
class ClipSource:
    """Where a model is.

    Attributes:
        model: open_clip's name of an architecture, ``hf-hub:ORG/NAME``, or ``local-dir:FOLDER``.
        weights: for a name: open_clip's tag of a checkpoint, or a checkpoint file's path; else "".
    """

    model: str
    weights: str = ""

    @classmethod
    def of(cls, model: str, weights: str = "") -> ClipSource:
        """The source that a user means: a folder may be given without ``local-dir:``."""
        if not model.startswith((LOCAL, HUB)) and Path(model).is_dir():
            model = LOCAL + model
        return cls(model, weights)


@dataclass(frozen=True)
class ClipRun:
    """How a model runs; with the weights' digest this decides its scores.

    Attributes:
        batch: pictures or texts of one run, always filled up to this.
        threads: of one run on the CPU; on a GPU as many decode pictures for it.
        precision: of weights and activations.
        device: "cpu" or "cuda".
    """

    batch: int = 32
    threads: int = 2
    precision: Precision = "fp32"
    device: str = "cpu"


def require_open_clip() -> None:
    """That open_clip is there; importing it takes seconds, which a driver has no use for.

    Raises:
        ConfigError: the extra is not installed.
    """
    if not all(find_spec(name) for name in ("open_clip", "torch")):
        raise ConfigError(_EXTRA)


def import_open_clip() -> ModuleType:
    """open_clip, without its talk.

    PyPI's torchvision brings compiled operators that need CUDA's libraries; beside a torch without CUDA it then fails
    to import, since it describes two operators that nothing has declared. CLIP uses no compiled operator of
    torchvision, only its transforms in Python: so the two are declared here, where they are missing, and stay
    unusable.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        import torch

        try:
            import torchvision  # noqa: F401
        except RuntimeError as error:
            if _NO_OPERATOR not in str(error):
                raise
            missing = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                missing.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _DECLARED.append(missing)
        import open_clip
    except ImportError as error:
        raise ConfigError(f"{_EXTRA} ({error})") from error
    logging.getLogger("open_clip").setLevel(logging.ERROR)
    module: ModuleType = open_clip
    return module


def weights_file(source: ClipSource) -> Path:
    """The checkpoint's file, or the folder of a local model; downloads what open_clip would download.

    Raises:
        ConfigError: there is no such model or checkpoint, or it cannot be had.
    """
    if source.model.startswith(LOCAL):
        folder = Path(source.model.removeprefix(LOCAL))
        if not (folder / "open_clip_config.json").is_file():
            raise ConfigError(f"there is no open_clip_config.json in {folder}; {WAYS}")
        return folder
    open_clip = import_open_clip()
    if source.model.startswith(HUB):
        from open_clip.pretrained import download_pretrained_from_hf

        try:
            return Path(download_pretrained_from_hf(source.model.removeprefix(HUB)))
        except Exception as error:  # the hub's library raises whatever a network raises
            raise ConfigError(f"{source.model} cannot be had from the hub: {error}") from error
    name = source.model.replace("/", "-")
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip has no model {source.model!r}, and there is no such folder; {WAYS}")
    if Path(source.weights).is_file():
        return Path(source.weights)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if source.weights not in tags:
        raise ConfigError(
            f"{source.model} has no checkpoint {source.weights!r} and there is no such file "
            f"(open_clip's tags: {', '.join(tags) or 'none'}); {WAYS}"
        )
    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, source.weights)))
    except Exception as error:  # as above
        raise ConfigError(f"the checkpoint {source.weights} of {source.model} cannot be had: {error}") from error


def model_digest(source: ClipSource) -> str:
    """SHA-256 of what decides a model: its architecture's name and its files, wherever they lie. Reads all of them."""
    place = weights_file(source)
    digest = hashlib.sha256()
    if place.is_dir():
        files = sorted(path for path in place.iterdir() if path.is_file())
    else:
        files = [place]
        digest.update(source.model.encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() if place.is_dir() else b"")
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def best_precision(device: str) -> Precision:
    """The fastest precision that a device computes in hardware; bf16 features have a cosine of 0.9999 to fp32's."""
    import torch

    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "fp32"
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"


class ClipModel:
    """A loaded model; one a process.

    Attributes:
        source: where it came from.
        run: how it runs.
        preprocess: what makes its pixels.
        width: numbers of a feature.
        scale: what cosines are multiplied with in zero-shot classification (the exponential of the logit scale).

    Args:
        source: where it is.
        run: how it runs.

    Raises:
        ConfigError: the extra is not installed, or the model cannot be had, or there is no such device.
    """

    def __init__(self, source: ClipSource, run: ClipRun | None = None):
        self.source, self.run = source, run or ClipRun()
        open_clip = import_open_clip()
        import torch

        if self.run.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError("--device cuda: torch finds no GPU here")
        torch.set_num_threads(1 if self.run.device.startswith("cuda") else self.run.threads)
        place = weights_file(source)
        pretrained = None if source.model.startswith((LOCAL, HUB)) else str(place)
        try:
            model = open_clip.create_model(source.model, pretrained, require_pretrained=True, device="cpu")
            tokenizer = open_clip.get_tokenizer(source.model)
        except ImportError as error:
            raise ConfigError(f"the model {source.model} needs a package: {error}") from error
        except (RuntimeError, ValueError, FileNotFoundError, OSError) as error:
            raise ConfigError(f"the model {source.model} cannot be loaded: {error}") from error
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.run.precision]
        self._model = model.to(device=self.run.device, dtype=self._dtype).eval()
        self._tokenizer = tokenizer
        config = open_clip.get_model_preprocess_cfg(model)
        self.preprocess = Preprocess.of(config)
        self.scale = float(model.logit_scale.detach().float().exp())
        self._mean = torch.tensor(self.preprocess.mean, device=self.run.device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.preprocess.std, device=self.run.device).view(1, 3, 1, 1)
        self.width = self.texts([""])[0].shape[1]

    def images(self, pixels: U8) -> F32:
        """Features of pictures.

        Args:
            pixels: (n, height, width, 3), from `preprocess`; n of any size.

        Returns:
            (n, `width`), rows of length 1.
        """
        import torch

        height, width = self.preprocess.size

        def encode(part: U8) -> torch.Tensor:
            tensor = torch.from_numpy(part).to(self.run.device).permute(0, 3, 1, 2)
            normal = (tensor.to(torch.float32) / 255 - self._mean) / self._std
            return self._model.encode_image(normal.to(self._dtype), normalize=False)

        return self._batched(pixels.reshape(-1, height, width, 3), encode)

    def texts(self, texts: Sequence[str]) -> tuple[F32, Ints]:
        """Features of texts, and how many tokens of each were cut off because the model's context is shorter."""
        import torch

        if not texts:
            return np.zeros((0, self.width), np.float32), np.zeros(0, np.int64)
        tokens = self._tokenizer(list(texts)).numpy()
        cut = np.zeros(len(texts), np.int64)
        for row in np.flatnonzero(tokens[:, -1]).tolist():
            cut[row] = max(0, self._length(texts[row]) - tokens.shape[1])

        def encode(part: npt.NDArray[np.int64]) -> torch.Tensor:
            return self._model.encode_text(torch.from_numpy(part).to(self.run.device), normalize=False)

        return self._batched(tokens, encode), cut

    def _length(self, text: str) -> int:
        """Tokens of a text with its marks at both ends, uncut."""
        if hasattr(self._tokenizer, "encode"):
            return len(self._tokenizer.encode(text)) + 2
        inner = self._tokenizer.tokenizer
        clean = getattr(self._tokenizer, "clean_fn", None)
        return len(inner(clean(text) if clean else text).input_ids)

    def _batched(self, rows: npt.NDArray[np.uint8] | npt.NDArray[np.int64], encode: object) -> F32:
        import torch

        size = self.run.batch
        out: F32 | None = None
        with torch.inference_mode():
            for low in range(0, len(rows), size):
                part = rows[low : low + size]
                full = np.zeros((size, *rows.shape[1:]), rows.dtype)
                full[: len(part)] = part
                features = encode(full).float()  # type: ignore[operator]
                features = torch.nn.functional.normalize(features, dim=-1)[: len(part)].cpu().numpy()
                if out is None:
                    out = np.empty((len(rows), features.shape[1]), np.float32)
                out[low : low + len(part)] = features
        return np.zeros((0, self.width), np.float32) if out is None else out
