"""CLIP on this machine: the bare loop of the model, our whole path beside it, and the fast path's distance.

    python benchmarks/clip.py [--model ViT-B-32] [--pictures 256] [--precision bf16] [--threads 2]

Weights are random where no checkpoint is given: speed does not depend on them. Every figure is the median of
``--repeats`` runs, bare loop and whole path by turns.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from plait.pipeline.clip.features import Picture, embed
from plait.pipeline.clip.model import ClipModel, ClipRun, ClipSource, import_open_clip


def photos(count: int, width: int = 800, height: int = 600) -> list[bytes]:
    """JPEGs of smooth colour with grain."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        grain = rng.normal(0, 8, (height, width, 1)).astype(np.float32)
        out = io.BytesIO()
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=80)
        found.append(out.getvalue())
    return found


def load(given: argparse.Namespace, folder: Path) -> ClipModel:
    """The model; one with random weights where none are given."""
    weights = given.weights
    if not weights and not Path(given.model).is_dir():
        import torch

        weights = str(folder / "random.pt")
        torch.manual_seed(0)
        torch.save(import_open_clip().create_model(given.model).state_dict(), weights)
    run = ClipRun(given.batch, given.threads, given.precision, given.device)
    return ClipModel(ClipSource.of(given.model, weights), run)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--model", default="ViT-B-32")
    ask.add_argument("--weights", default="")
    ask.add_argument("--pictures", type=int, default=256)
    ask.add_argument("--batch", type=int, default=32)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--precision", default="bf16")
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--repeats", type=int, default=3)
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = load(given, Path(folder))
    data = photos(given.pictures)
    pixels = np.stack([model.preprocess.pixels(one) for one in data[: given.batch]])
    ready = np.concatenate([pixels] * (-(-given.pictures // given.batch)))[: given.pictures]
    model.images(pixels)
    bare, whole = [], []
    for _ in range(given.repeats):
        start = time.perf_counter()
        model.images(ready)
        bare.append(given.pictures / (time.perf_counter() - start))
        start = time.perf_counter()
        pictures = (Picture(number, number.to_bytes(4, "big"), one) for number, one in enumerate(data))
        for _batch in embed(pictures, model):
            pass
        whole.append(given.pictures / (time.perf_counter() - start))
    loop, path = statistics.median(bare), statistics.median(whole)
    print(f"{given.model} {given.precision}, batch {given.batch}, {given.threads} threads, {given.device}")
    print(f"model over ready pixels     {loop:7.1f} img/s")
    print(f"bytes to features           {path:7.1f} img/s   {path / loop:.2f} of the loop")
    for name, fast in (("open_clip's pixels", False), ("fast path", True)):
        start = time.perf_counter()
        for one in data[:64]:
            model.preprocess.pixels(one, fast=fast)
        print(f"{name:27} {64 / (time.perf_counter() - start):7.1f} img/s on one thread")
    big = photos(32, 2400, 1600)
    slow = np.stack([model.preprocess.pixels(one, fast=False) for one in big])
    fast_pixels = np.stack([model.preprocess.pixels(one) for one in big])
    apart = np.abs(slow.astype(int) - fast_pixels)
    cosine = (model.images(slow) * model.images(fast_pixels)).sum(1)
    print(f"fast path at 2400 x 1600: {apart.mean():.2f} of 255 on average, cosine at least {cosine.min():.4f}")


if __name__ == "__main__":
    main()
