"""Latent compression learning in the small: a tiny ViT and a tiny decoder on a corpus that plait built.

    python notebooks/latent_compression.py corpus run --steps 100

The losses are those of LCL (arXiv 2406.07543): cross entropy on text and start-of-image tokens, and at every start of
an image a contrast between what the decoder has read so far and the image that follows, over the images of the batch.
Each step prints a line of JSON; every ten steps a checkpoint of model, optimiser and data is put in the folder of the
run, and a run that finds one there goes on from it.
"""

from __future__ import annotations

import argparse
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from plait.loader import Batch, Corpus, ImageTokens, InterleavedDataset, Order, Pack, Resize, Source, lcl

WORDS, START, END, PATCH, EOS = 1024, 1024, 1025, 1026, 1027  # ids of words, then of the special tokens
SIDE, CUT, WIDTH, TOKENS = 64, 16, 96, 320  # pixels of an image and of a patch, width of the model, tokens of a pack
PATCHES = (SIDE // CUT) ** 2
BATCH, EVERY = 8, 10


def tokenize(text: str) -> list[int]:
    """Words by a hash: enough for captions of a few dozen words, and the same in every process."""
    return [zlib.crc32(word.encode()) % WORDS for word in text.lower().split()]


def dataset_of(corpus: str) -> InterleavedDataset:
    """Packs of one document each, by LCL's rules, in small."""
    samples, packs = lcl(tokenize, "crc32 of words", ImageTokens(PATCH, PATCHES, START, END), eos=EOS)
    order = Order((Source(Corpus(corpus)),), seed=1, window=16)
    return InterleavedDataset(
        order, replace(samples, pixels=Resize(SIDE, "crop")), pack=replace(packs, max_tokens=TOKENS)
    )


class Blocks(nn.Module):
    """Transformer blocks, pre-norm."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        one = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(one, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Batch x places x width to the same; ``mask`` is True where a place may not look."""
        return self.blocks(x, mask=mask)


class Model(nn.Module):
    """Images to patches to the decoder, in the places that their tokens keep for them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, CUT, CUT)
        self.where = nn.Parameter(torch.randn(PATCHES, WIDTH) * 0.02)
        self.vision = Blocks(2)
        self.words = nn.Embedding.from_pretrained(torch.randn(EOS + 1, WIDTH) * 0.05, freeze=False)
        self.place = nn.Embedding.from_pretrained(torch.randn(TOKENS, WIDTH) * 0.02, freeze=False)
        self.decoder = Blocks(2)
        self.norm = nn.LayerNorm(WIDTH)
        self.image_side, self.text_side = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def losses(self, packs: list[Pack]) -> tuple[Tensor, Tensor]:
        """Cross entropy of the next token, and the contrast at the starts of images."""
        images = torch.from_numpy(np.stack([image for pack in packs for image in pack.images]))
        pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        seen = self.vision(self.patches(pixels).flatten(2).transpose(1, 2) + self.where)
        longest = max(len(pack.tokens) for pack in packs)
        tokens = torch.zeros(len(packs), longest, dtype=torch.long)
        labels = torch.full((len(packs), longest), -100)
        places = torch.zeros(len(packs), longest, dtype=torch.long)
        hidden = torch.ones(len(packs), longest, longest, dtype=torch.bool)
        starts, contrasted = [], []  # (row, place of the start token), in the order of the images
        for row, pack in enumerate(packs):
            size = len(pack.tokens)
            tokens[row, :size], labels[row, :size] = torch.from_numpy(pack.tokens), torch.from_numpy(pack.labels)
            places[row, :size] = torch.from_numpy(pack.position_ids)
            hidden[row, :size, :size] = ~torch.from_numpy(pack.block_mask())
            starts += [(row, int(place) - 1) for place in pack.image_positions]
            contrasted += pack.contrastive.tolist()
        hidden[:, torch.arange(longest), torch.arange(longest)] = False  # padding looks at itself
        x = self.words(tokens)
        for number, (row, start) in enumerate(starts):
            x[row, start + 1 : start + 1 + PATCHES] = seen[number]
        x = self.norm(self.decoder(x + self.place(places), hidden.repeat_interleave(4, 0)))
        logits = x[:, :-1] @ self.words.weight.T
        text = functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        chosen = [number for number, counts in enumerate(contrasted) if counts]
        read = torch.stack([x[starts[number]] for number in chosen])
        left = functional.normalize(self.text_side(read), dim=1)
        right = functional.normalize(self.image_side(seen.mean(1))[chosen], dim=1)
        contrast = functional.cross_entropy(left @ right.T / 0.1, torch.arange(len(chosen)))
        return text, contrast


def train(corpus: str, run: Path, steps: int) -> None:
    """Trains up to ``steps`` steps from the run's checkpoint, or from the beginning."""
    torch.set_num_threads(1)  # sums in one order: the same losses to the last bit
    torch.manual_seed(0)
    model = Model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    dataset = dataset_of(corpus)
    step, kept = 0, run / "checkpoint.pt"
    if kept.exists():
        held = torch.load(kept, weights_only=True)
        model.load_state_dict(held["model"])
        optimiser.load_state_dict(held["optimiser"])
        dataset.load_state_dict(json.loads(held["data"]))
        step = held["step"]
    progress = dataset.progress()
    for epoch in range(dataset.epoch, steps):
        dataset.set_epoch(epoch)
        for packs in DataLoader(dataset, BATCH, num_workers=1, collate_fn=Batch):
            text, contrast = model.losses(packs)
            optimiser.zero_grad()
            (text + contrast).backward()
            optimiser.step()
            step += 1
            for pack in packs:
                progress.used(pack.positions)
            documents = [pack.doc_ids[0].hex() for pack in packs]
            line = {"step": step, "text": text.item(), "contrast": contrast.item(), "documents": documents}
            print(json.dumps(line), flush=True)
            if step % EVERY == 0:
                run.mkdir(parents=True, exist_ok=True)
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
                torch.save({**state, "data": json.dumps(progress.state_dict())}, kept.with_suffix(".part"))
                kept.with_suffix(".part").replace(kept)  # a checkpoint is whole or not there
            if step == steps:
                return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    train(given.corpus, given.run, given.steps)
