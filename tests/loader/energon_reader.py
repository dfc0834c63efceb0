"""Run by the readers' Python: `energon_reader.py FOLDER` prints what Megatron Energon reads, a line a sample."""

import hashlib
import json
import sys

from megatron.energon import InterleavedSample, WorkerConfig, get_loader, get_val_dataset

dataset = get_val_dataset(
    sys.argv[1],
    split_part="train",
    worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
    batch_size=None,
    auto_decode=False,
)
for sample in get_loader(dataset):
    assert isinstance(sample, InterleavedSample), type(sample)
    nodes = [node if isinstance(node, str) else hashlib.sha256(node).hexdigest() for node in sample.sequence]
    sys.stdout.write(json.dumps([sample.__key__.split("/")[-1], nodes]) + "\n")
