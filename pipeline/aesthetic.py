"""An aesthetic score from CLIP features: LAION's head, whose weights somebody brings as a file.

Version 1 is one linear layer (aesthetics of 2022, the one that OmniCorpus names); version 2 is five linear layers with
nothing between them but dropout, which does nothing when a score is taken. Both are a chain of matrices and biases.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plait.schemas.errors import ConfigError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_LAYER = re.compile(r"^(?:.*?(\d+)\.)?(weight|bias)$")


class AestheticHead:
    """A loaded head.

    Args:
        layers: (weight of shape (out, in), bias of shape (out,)) of each layer, first layer first; the last has one
            output.

    Attributes:
        features: length of the feature that it takes: 768 of CLIP ViT-L/14, 512 of ViT-B/32.
    """

    def __init__(self, layers: list[tuple[F64, F64]]) -> None:
        self._layers = layers
        self.features = int(layers[0][0].shape[1])

    def scores(self, features: F32) -> F32:
        """The score of each picture, about 1 to 10; NaN where a feature is all zeros or not finite.

        Features are brought to length 1 first, as LAION trained. Each row is computed alike whatever rows stand beside
        it: products are summed in float64, and what is left of the order of summation goes with the rounding to
        float32.

        Args:
            features: shape (pictures, `features`), as the model's image tower gives them.

        Raises:
            ConfigError: the features are of another model.
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise ConfigError(
                f"the aesthetic head takes features of length {self.features}, and the CLIP model gives "
                f"{features.shape[-1]}: use the head that was trained on that model"
            )
        now = features.astype(np.float64)
        length = np.linalg.norm(now, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            now = np.where(np.isfinite(length) & (length > 0), now / length, np.nan)
        for weight, bias in self._layers:
            now = now @ weight.T + bias
        return now[:, 0].astype(np.float32)


def read_aesthetic_head(path: str) -> AestheticHead:
    """A head from its file: ``.npz``, ``.safetensors``, or torch's ``.pth`` and ``.pt`` (weights alone are read).

    Raises:
        ConfigError: there is no such file, its kind is none of these, or its layers do not fit each other.
    """
    if not Path(path).is_file():
        raise ConfigError(f"there is no aesthetic head at {path}")
    try:
        tensors = _tensors(path)
    except ImportError as error:
        raise ConfigError(f"reading {path} needs a package that is not installed: {error.name}") from error
    except Exception as error:  # zip, pickle and header errors of three libraries
        raise ConfigError(f"{path} cannot be read as an aesthetic head: {error}") from error
    found: dict[int, dict[str, F64]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.match(name)
        if match:
            found.setdefault(int(match[1] or 0), {})[match[2]] = np.asarray(tensor, dtype=np.float64)
    layers = [(layer["weight"], layer["bias"]) for _, layer in sorted(found.items()) if len(layer) == 2]
    sizes = [weight.shape for weight, _ in layers]
    chained = all(len(size) == 2 for size in sizes) and all(a[0] == b[1] for a, b in itertools.pairwise(sizes))
    if not layers or not chained or sizes[-1][0] != 1 or any(len(bias) != len(weight) for weight, bias in layers):
        raise ConfigError(f"{path} is no chain of linear layers that ends in one number (found {sizes})")
    return AestheticHead(layers)


def _tensors(path: str) -> Mapping[str, npt.NDArray[np.float64]]:
    if path.endswith(".npz"):
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    if path.endswith(".safetensors"):
        from safetensors.numpy import load_file

        return dict(load_file(path))
    if path.endswith((".pth", ".pt")):
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: tensor.double().numpy() for name, tensor in state.items()}
    raise ValueError("its name ends in none of .npz, .safetensors, .pth, .pt")
