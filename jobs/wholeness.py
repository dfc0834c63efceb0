"""Whether all of a corpus is there: what its receipts and lists say that it keeps, against the files that it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from plait.jobs.publish import KNOWN_TABLES, retained_files
from plait.jobs.store import Store
from plait.jobs.suppression import SUPPRESSED
from plait.schemas.errors import CorpusError
from plait.schemas.ledger import KNOWN
from plait.schemas.manifest import INPUT_LIST, Manifest
from plait.schemas.receipts import RECEIPTS, Receipt

REWRITING = "list_forbidden"  # the stage after which retained files leave pages out
WHERE = "bring the corpus whole from where it came from (plait audit says what else is wrong with it)"


def ledger_list(store: Store, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A list of a corpus' ledger.

    Raises:
        CorpusError: it is missing or damaged.
    """
    try:
        with store.open_read(path) as file:
            return pq.read_table(file, columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path} of {store.root} cannot be read ({error}): {WHERE}") from error


def read_receipts(store: Store) -> list[Receipt]:
    """The receipts that a corpus keeps, in the order of their names.

    Raises:
        CorpusError: one of them is damaged.
    """
    receipts = []
    for path in store.list(RECEIPTS):
        try:
            receipts.append(Receipt.from_json(store.read(path)))
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"the receipt {path} of {store.root} is damaged ({error!r}): {WHERE}") from error
    return receipts


def need_whole(store: Store, manifest: Manifest, *, retained: bool = False, known: bool = False) -> None:
    """Refuse a corpus that lacks what the next one is made from: what is not there would be lost without a word.

    A listing of each folder, and no file's bytes: those are the audit's.

    Args:
        store: the corpus' folder.
        manifest: its root.
        retained: whether the pages that it retains are needed, too.
        known: whether what further archives are compared with is needed, too; its keys are not looked for.

    Raises:
        CorpusError: receipts, shards or retained files are missing.
    """
    receipts = _finished(store, manifest)
    if len(receipts) < manifest.receipts.count:
        lost = manifest.receipts.count - len(receipts)
        raise CorpusError(f"{store.root} lacks {lost} of its {manifest.receipts.count} receipts: {WHERE}")
    wanted = set(ledger_list(store, manifest.lists.shards, ["path"]).column("path").to_pylist())
    folders = {path.rpartition("/")[0] for path in wanted}
    if retained and manifest.options.get("retain") == "all":
        kept = retained_files(receipts)
        folders |= {path.rpartition("/")[0] for path in kept}
        wanted |= kept.keys()
    if known:
        folders.add(KNOWN)
        wanted |= set(_known_files(receipts))
    there = {path for folder in folders for path in store.list(folder)}
    if absent := sorted(wanted - there):
        raise CorpusError(f"{store.root} lacks {len(absent)} of its files, {absent[0]} among them: {WHERE}")


def retained_paths(store: Store, manifest: Manifest) -> list[str]:
    """Retained files in the ledger; not those of a generation that was begun and is not finished.

    Raises:
        CorpusError: a receipt is damaged.
    """
    return sorted(retained_files(_finished(store, manifest)))


def _finished(store: Store, manifest: Manifest) -> list[Receipt]:
    """Receipts of the generation that counts, and of those before."""
    return [receipt for receipt in read_receipts(store) if generation_of(receipt) <= manifest.generation]


def ledger_faults(store: Store, manifest: Manifest, receipts: Sequence[Receipt]) -> Iterator[str]:
    """What is wrong with the parts of the ledger that refilter, append and readers begin with, one sentence each."""
    yield from _input_faults(store, manifest, receipts)
    purged = store.exists(SUPPRESSED)
    if manifest.options.get("retain") == "all":
        as_made = not purged and all(receipt.stage != REWRITING for receipt in receipts)
        yield from _retained_faults(store, receipts, as_made=as_made)
    yield from _known_faults(store, receipts, purged=purged)


def _input_faults(store: Store, manifest: Manifest, receipts: Sequence[Receipt]) -> Iterator[str]:
    path = manifest.lists.inputs
    try:
        with store.open_read(path) as file:
            rows = pq.read_table(file, columns=INPUT_LIST.names).num_rows
    except (pa.ArrowException, OSError) as error:
        yield f"the list of inputs cannot be read: {error}"
        return
    read = sum(receipt.stage == "extract" for receipt in receipts)  # none where a corpus was made of another
    if read > rows:
        yield f"{path} names {rows} archives, {read} were read"


def _retained_faults(store: Store, receipts: Sequence[Receipt], *, as_made: bool) -> Iterator[str]:
    """Faults of retained files; they are as they were made, unless something was taken out of them."""
    for path, output in sorted(retained_files(receipts).items()):
        if not store.exists(path):
            yield f"{path} is missing"
        elif as_made:
            if store.size(path) != output.bytes or store.sha256(path) != output.sha256:
                yield f"{path} is not what was written: its bytes differ from the receipt's"
        elif (rows := _rows(store, path)) is None or rows > output.rows:
            yield f"{path} is not what was written: it " + ("cannot be read" if rows is None else f"has {rows} rows")


def _known_faults(store: Store, receipts: Sequence[Receipt], *, purged: bool) -> Iterator[str]:
    """Faults of what later generations are compared with: first versions of its files; later ones are made of them."""
    there = set(store.list(KNOWN))
    for path in _known_files(receipts):
        if path not in there:
            yield f"{path} is missing"
        elif _rows(store, path) is None:
            yield f"{path} cannot be read"
    keys: Counter[int] = Counter()
    for receipt in receipts:
        if receipt.stage == "survivors":
            keys[generation_of(receipt)] += sum(output.rows for output in receipt.tables("survivors"))
    for generation, expected in sorted(keys.items()):
        held = [_rows(store, path) for path in sorted(there) if _first_keys(path, generation)]
        if None in held:
            yield f"keys of generation {generation} in {KNOWN} cannot be read"
        elif expected and (not held or (not purged and sum(filter(None, held)) != expected)):
            yield f"{KNOWN} has keys of {sum(filter(None, held))} documents of generation {generation}, not {expected}"


def _known_files(receipts: Sequence[Receipt]) -> list[str]:
    """Files of what later generations are compared with, those of keys aside, as they were first written."""
    seen: Counter[tuple[str, int]] = Counter()
    for receipt in receipts:
        for name, (stage, table) in KNOWN_TABLES.items():
            if receipt.stage == stage:
                seen[name, generation_of(receipt)] += len(receipt.tables(table))
    return [
        f"{KNOWN}/{name}-g{generation}-{number:05d}.parquet"
        for (name, generation), count in sorted(seen.items())
        for number in range(count)
    ]


def generation_of(receipt: Receipt) -> int:
    """Number of the corpus' generation that a unit was of."""
    return int(receipt.facts.get("generation", "0"))


def _first_keys(path: str, generation: int) -> bool:
    """Whether a file is the first version of a generation's keys."""
    return path.startswith(f"{KNOWN}/keys-g{generation}-") and path.count(".") == 1


def _rows(store: Store, path: str) -> int | None:
    """Rows of a Parquet file; None where it is none."""
    try:
        with store.open_read(path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)
    except (pa.ArrowException, OSError):
        return None
