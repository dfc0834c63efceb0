"""Run by the readers' Python: `mds_reader.py FOLDER` prints what MosaicML Streaming reads, a line a sample.

Its package imports torchvision for datasets that are not read here, and a build of torchvision that fits a CPU's torch
is in no registry; a stand-in takes its name where it cannot be imported.
"""

import hashlib
import json
import sys
import types

import torch  # noqa: F401
import transformers  # noqa: F401


class StandIn(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    for part in ("", ".datasets", ".transforms", ".transforms.functional"):
        sys.modules[f"torchvision{part}"] = StandIn(f"torchvision{part}")

from streaming import StreamingDataset  # noqa: E402

dataset = StreamingDataset(local=sys.argv[1], shuffle=False, batch_size=1, validate_hash="sha1")
shards = dataset.shards
for number in range(dataset.num_samples):
    sample = dataset[number]
    shard, place = dataset.spanner[number]
    columns = shards[shard].column_names
    encodings = shards[shard].column_encodings
    data = shards[shard].get_sample_data(place)
    shards[shard].column_encodings = [
        "bytes" if name == "images" else kind for name, kind in zip(columns, encodings, strict=True)
    ]
    payload = shards[shard].decode_sample(data)["images"]
    shards[shard].column_encodings = encodings
    row = {name: sample[name] for name in ("doc_id", "url", "texts", "slots")}
    pixels = [hashlib.sha256(image.convert("RGBA").tobytes()).hexdigest() for image in sample["images"]]
    sys.stdout.write(json.dumps({**row, "pixels": pixels, "payload": payload.hex()}) + "\n")
