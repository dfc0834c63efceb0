"""CLIP on this machine: the bare loop of the model, our whole path beside it, and the fast path's distance.

    python benchmarks/clip.py [--model ViT-B-32] [--pictures 128] [--precision bf16] [--threads 2] [--rounds 9]

Weights are random where no checkpoint is given: speed does not depend on them. Bare loop and whole path run by turns;
a round's share is that of the whole path between the two bare loops beside it, and the median over rounds is printed
with its quartiles, so that other work on the machine weighs on both alike.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
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
    ask.add_argument("--pictures", type=int, default=128)
    ask.add_argument("--batch", type=int, default=32)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--precision", default="bf16")
    ask.add_argument("--device", default="cpu")
    ask.add_argument("--rounds", type=int, default=9)
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = load(given, Path(folder))
    data = photos(given.pictures)
    pixels = np.stack([model.preprocess.pixels(one) for one in data[: given.batch]])
    ready = np.concatenate([pixels] * (-(-given.pictures // given.batch)))[: given.pictures]
    model.images(pixels)

    def rate(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        return given.pictures / (time.perf_counter() - start)

    def whole_path() -> None:
        pictures = (Picture(number, number.to_bytes(4, "big"), one) for number, one in enumerate(data))
        for _batch in embed(pictures, model):
            pass

    bare, whole = [rate(lambda: model.images(ready))], []
    for _ in range(given.rounds):
        whole.append(rate(whole_path))
        bare.append(rate(lambda: model.images(ready)))
    shares = [2 * rate / (bare[place] + bare[place + 1]) for place, rate in enumerate(whole)]
    low, share, high = statistics.quantiles(shares, n=4)
    print(f"{given.model} {given.precision}, batch {given.batch}, {given.threads} threads, {given.device}")
    print(f"model over ready pixels     {statistics.median(bare):7.1f} img/s")
    beside = f"{share:.2f} of it ({low:.2f} to {high:.2f})"
    print(f"bytes to features           {statistics.median(whole):7.1f} img/s   {beside}")
    for name, fast in (("open_clip's pixels", False), ("fast path", True)):
        spent = []
        for one in data[:64]:
            start = time.thread_time()
            model.preprocess.pixels(one, fast=fast)
            spent.append(time.thread_time() - start)
        print(f"{name:27} {1e3 * statistics.median(spent):7.1f} ms of CPU a picture")
    big = photos(32, 2400, 1600)
    slow = np.stack([model.preprocess.pixels(one, fast=False) for one in big])
    fast_pixels = np.stack([model.preprocess.pixels(one) for one in big])
    apart = np.abs(slow.astype(int) - fast_pixels)
    cosine = (model.images(slow) * model.images(fast_pixels)).sum(1)
    print(f"fast path at 2400 x 1600: {apart.mean():.2f} of 255 on average, cosine at least {cosine.min():.4f}")


if __name__ == "__main__":
    main()
