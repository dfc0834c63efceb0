"""Run by the readers' Python: `mds_reader.py FOLDER` prints what MosaicML Streaming reads, a line a sample."""

import hashlib
import json
import sys

import torchvision_standin  # noqa: F401
from streaming import StreamingDataset

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
