"""The cache of remote shards, shared by real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from plait.loader import Corpus

PROCESSES = 4
READER = """
import json, os, sys
import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from plait.loader import Cache, Corpus
folder, cache, most, log, seed = sys.argv[1:]

class Counted(LocalFileSystem):
    protocol = "counted"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).replace("counted://", "file://"))

    def _open(self, path, mode="rb", **options):
        with open(log, "a") as file:
            file.write(os.path.basename(path) + "\\n")
        return super()._open(path, mode, **options)

fsspec.register_implementation("counted", Counted, clobber=True)

def held():
    found = 0
    for entry in os.scandir(cache):
        try:
            found += entry.stat().st_size
        except FileNotFoundError:  # another process removed it
            pass
    return found

corpus = Corpus(f"counted://{folder}", cache=Cache(__import__("pathlib").Path(cache), int(most)), verify=True)
digests, highest = {}, 0
for row in np.random.default_rng(int(seed)).permutation(len(corpus)):
    document = corpus[int(row)]
    digests[document.doc_id.hex()] = sum(sum(picture.data) for picture in document.images if picture.data)
    highest = max(highest, held())
print(json.dumps([digests, highest]))
"""


@pytest.mark.parametrize("share", ["all", "one shard"])
def test_processes_share_a_bounded_cache(share, corpus_folder, tmp_path):
    """Four processes read every document, each in an order of its own, where all shards fit and where few do."""
    corpus = Corpus(corpus_folder)
    largest = max(shard.bytes for shard in corpus.shards)
    small = sum(path.stat().st_size for path in Path(corpus_folder).glob("ledger/*.parquet"))
    most = 10 * largest if share == "all" else largest + small + 50_000
    log = tmp_path / "log"
    words = [str(corpus_folder), str(tmp_path / "cache"), str(most), str(log)]
    running = [
        subprocess.Popen([sys.executable, "-c", READER, *words, str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(PROCESSES)
    ]
    found = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    wanted = {d.doc_id.hex(): sum(sum(p.data) for p in d.images if p.data) for d in corpus}
    assert all(digests == wanted for digests, _ in found)
    fetched = log.read_text().split()
    if share == "all":
        assert len(fetched) == len(set(fetched))  # each file by one process, once
    # Above its bound the cache holds no more than what each process is fetching and has just fetched.
    assert max(highest for _, highest in found) <= most + 2 * PROCESSES * largest
    left = [path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")]
    assert sum(path.stat().st_size for path in left) <= most + largest
    assert not list((tmp_path / "cache").glob("*.part"))
