"""Small files together: what a relational step reads, as few files of at least `MERGED_BYTES` where there are as many.

A stage of 90,000 units leaves 90,000 files of each of its tables, of some megabytes each. Every step that reads a table
would open them all, in each of its parts; merged once, they are opened once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plait.jobs.work import FAN_IN, Json, Unit
from plait.schemas.receipts import Output, Receipt

MERGED_BYTES = 128 << 20  # of a merged file, at least; where `FAN_IN` files hold less, they are one file all the same
MANY = FAN_IN  # files of a table that a step reads as they are: one task opens as many


def groups(files: Sequence[Output]) -> list[list[Output]]:
    """Files in their order, cut where they are to be merged; a group of one stays what it is.

    Groups depend on the order, number and bytes of the files alone. No group has more than `FAN_IN` files, and `MANY`
    files or fewer are left as they are.
    """
    if len(files) <= MANY:
        return [[file] for file in files]
    found: list[list[Output]] = []
    size = MERGED_BYTES
    for file in files:
        if size >= MERGED_BYTES or file.bytes >= MERGED_BYTES or len(found[-1]) == FAN_IN:
            found.append([])
            size = 0
        found[-1].append(file)
        size += file.bytes
    return found


def merged(files: Sequence[Output], run: Callable[[list[Unit]], list[Receipt]]) -> Sequence[Output]:
    """The files that stand for these: merged ones in the place of small ones.

    Args:
        files: of one table.
        run: runs units of `units.merge`; of the same files it finds what is done.
    """
    found = groups(files)
    units = [_unit(number, group) for number, group in enumerate(found) if len(group) > 1]
    if not units:
        return files
    done = iter(run(units))
    return [output for group in found for output in (next(done).outputs if len(group) > 1 else group)]


def _unit(number: int, group: Sequence[Output]) -> Unit:
    paths: list[Json] = [file.path for file in group]
    label = f"{group[0].table} {number}"
    return Unit(tuple(file.sha256 for file in group), label, {"paths": paths, "table": group[0].table})
