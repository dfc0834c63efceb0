"""Train the tiny open_clip model of the tests: drawn pictures, true sentences, a few minutes of one core.

    python -m tests.tiny_clip.train

Writes model/open_clip_model.safetensors (float16) beside this file; README.md says what came out.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch

from plait.pipeline.clip.model import import_open_clip
from tests.tiny_clip.drawn import COLOURS, PLACES, SCRIPTS, SHAPES, Scene, draw, held_out, scene, sentence

FOLDER = Path(__file__).parent / "model"
BATCH, POOL, SIDE = 128, 8000, 64
RATE = 2e-3
GUESS = 0.5  # weight of reading off what is shown
BOUNDARY, SCALE = 0.2, 20.0  # cosine that separates true from false, and how steeply


def pool(count: int, seed: int, test: bool):
    """Scenes with their pixels, uint8 of (count, 64, 64, 3)."""
    rng = random.Random(seed)
    scenes = []
    while len(scenes) < count:
        one = scene(rng)
        if held_out(one) == test:
            scenes.append(one)
    pixels = np.stack([np.asarray(draw(one, SIDE)) for one in scenes])
    return scenes, pixels


def tensors(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def table(scenes: list[Scene], said: list[Scene]) -> np.ndarray:
    """`true_of` of every scene (rows) and sentence (columns)."""

    def column(of: list[Scene], *names: str) -> np.ndarray:
        return np.array(["|".join(str(getattr(one, name)) for name in names) for one in of])

    core = ("kind", "what", "colour", "count")
    found = column(scenes, *core)[:, None] == column(said, *core)[None]
    for name in ("place", "ground"):
        told = column(said, name)[None]
        found &= (told == "") | (told == column(scenes, name)[:, None])
    return found


LABELS = {
    "kind": ("shapes", "word", "logo"), "what": (*SHAPES, *SCRIPTS), "colour": tuple(COLOURS), "count": (1, 2, 3, 4),
    "place": PLACES, "ground": tuple(COLOURS),
}  # fmt: skip


def labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """Numbers of what each scene shows, -100 (not counted) where a sentence leaves it unsaid."""
    return {
        name: torch.tensor([known.index(getattr(one, name)) if getattr(one, name) in known else -100 for one in scenes])
        for name, known in LABELS.items()
    }


def guess_loss(heads: torch.nn.ModuleDict, features: torch.Tensor, wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the scene shows, read off a feature by heads that pictures and sentences share; they are thrown away."""
    cross = torch.nn.functional.cross_entropy
    return sum((cross(heads[name](features), wanted[name]) for name in wanted), torch.zeros(()))


def loss_of(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """CLIP's softmax with several true sentences, and a sigmoid that puts the boundary at a cosine of 0.2."""
    cosine = image @ text.T
    logits = scale * cosine
    rows = torch.sum(-truth / truth.sum(1, keepdim=True) * logits.log_softmax(1), 1).mean()
    columns = torch.sum(-truth / truth.sum(0, keepdim=True) * logits.log_softmax(0), 0).mean()
    signed = (2 * truth - 1) * SCALE * (cosine - BOUNDARY)
    each = -torch.nn.functional.logsigmoid(signed)
    apart = (each * truth).sum() / truth.sum() + (each * (1 - truth)).sum() / len(truth)
    return (rows + columns) / 2 + 0.5 * apart


def evaluate(model, tokenizer, scenes, pixels) -> dict[str, float]:
    """How often a true sentence beats 63 of other scenes, and cosines of true and false pairs."""
    rng = random.Random(5)
    said = [sentence(one, rng) for one in scenes]
    with torch.no_grad():
        image = model.encode_image(tensors(pixels), normalize=True)
        text = model.encode_text(tokenizer([line for line, _ in said]), normalize=True)
    cosine = (image @ text.T).numpy()
    truth = table(scenes, [what for _, what in said])
    wins = []
    for row in range(len(scenes)):
        false = np.flatnonzero(~truth[row])
        wins.append(cosine[row, row] > cosine[row, rng.sample(list(false), 63)].max())
    own = np.diag(cosine)
    return {
        "best of 64": float(np.mean(wins)), "true, 5th percentile": float(np.quantile(own, 0.05)),
        "true, median": float(np.median(own)), "false, median": float(np.median(cosine[~truth])),
        "false, 99th percentile": float(np.quantile(cosine[~truth], 0.99)),
        "false over 0.15": float(np.mean(cosine[~truth] > 0.15)), "true under 0.15": float(np.mean(own < 0.15)),
    }  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--steps", type=int, default=1200)
    ask.add_argument("--seconds", type=float, default=1e9, help="stop then; the same command with --state goes on")
    ask.add_argument("--state", type=Path, help="file that keeps what is needed to go on")
    given = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    open_clip = import_open_clip()
    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CLIP(**config)
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    began = time.monotonic()
    scenes, pixels = pool(POOL, 1, test=False)
    print(f"drawn in {time.monotonic() - began:.0f} s", flush=True)
    width = config["embed_dim"]
    heads = torch.nn.ModuleDict({name: torch.nn.Linear(width, len(known)) for name, known in LABELS.items()})
    optimiser = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=RATE, weight_decay=0.02, betas=(0.9, 0.98)
    )
    first, last = 0, 0.0
    if given.state is not None and given.state.exists():
        kept = torch.load(given.state)
        model.load_state_dict(kept["model"])
        heads.load_state_dict(kept["heads"])
        optimiser.load_state_dict(kept["optimiser"])
        first = kept["step"]
    for step in range(first, given.steps):
        if time.monotonic() - began > given.seconds:
            break
        first = step + 1
        rng = random.Random(step)
        for group in optimiser.param_groups:
            group["lr"] = float(
                RATE * min(1, (step + 1) / 40) * (0.5 * (1 + np.cos(np.pi * step / given.steps)) + 0.01)
            )
        picked = rng.sample(range(POOL), BATCH)
        said = [sentence(scenes[k], rng) for k in picked]
        image = model.encode_image(tensors(pixels[picked]), normalize=True)
        text = model.encode_text(tokenizer([line for line, _ in said]), normalize=True)
        truth = table([scenes[k] for k in picked], [what for _, what in said])
        loss = loss_of(image, text, model.logit_scale.exp().clamp(max=50), torch.from_numpy(truth).float())
        loss = loss + GUESS * guess_loss(heads, 8 * image, labels([scenes[k] for k in picked]))
        loss = loss + GUESS * guess_loss(heads, 8 * text, labels([what for _, what in said]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = float(loss.detach()) if not last else 0.95 * last + 0.05 * float(loss.detach())
        if step % 50 == 0:
            print(f"{time.monotonic() - began:5.0f} s  step {step}  loss {last:.3f}", flush=True)
    if given.state is not None:
        kept = {"model": model.state_dict(), "heads": heads.state_dict(), "optimiser": optimiser.state_dict()}
        torch.save(kept | {"step": first}, given.state)
    from safetensors.torch import save_file

    weights = {name: value.half().contiguous() for name, value in model.state_dict().items() if name != "attn_mask"}
    save_file(weights, FOLDER / "open_clip_model.safetensors")
    print(f"after {first} of {given.steps} steps")
    for name, value in evaluate(model.eval(), tokenizer, *pool(600, 3, test=True)).items():
        print(f"{name:24} {value:.3f}")


if __name__ == "__main__":
    main()
