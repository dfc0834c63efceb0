"""What a build says while it runs: a line a stage on a terminal with rate and time left, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from plait.jobs.readable import duration, size
from plait.schemas.receipts import Receipt


class Watcher(Protocol):
    """Somebody who is told of a build's progress."""

    def note(self, text: str) -> None:
        """Something that the user should know before the build begins."""

    def stage(self, name: str, units: int) -> None:
        """A stage begins with so many units."""

    def unit(self, receipt: Receipt) -> None:
        """A unit is done, now or in an earlier run."""

    def end(self, name: str) -> None:
        """The stage is done."""


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def stage(self, name: str, units: int) -> None:
        """Nothing."""

    def unit(self, receipt: Receipt) -> None:
        """Nothing."""

    def end(self, name: str) -> None:
        """Nothing."""


class Watchers:
    """Several that are told alike."""

    def __init__(self, told: Sequence[Watcher]):
        self._told = told

    def note(self, text: str) -> None:
        """Something that the user should know."""
        for watcher in self._told:
            watcher.note(text)

    def stage(self, name: str, units: int) -> None:
        """A stage begins."""
        for watcher in self._told:
            watcher.stage(name, units)

    def unit(self, receipt: Receipt) -> None:
        """A unit is done."""
        for watcher in self._told:
            watcher.unit(receipt)

    def end(self, name: str) -> None:
        """The stage is done."""
        for watcher in self._told:
            watcher.end(name)


class _Counts:
    """What a stage has done so far."""

    def __init__(self, name: str, units: int):
        self.name, self.units = name, units
        self.done = self.documents = self.images = self.read = 0
        self.started = time.monotonic()

    def add(self, receipt: Receipt) -> None:
        self.done += 1
        self.documents += receipt.books.documents_out
        self.images += receipt.books.images_out
        self.read += receipt.books.seen.get("archive_bytes", 0)

    def text(self) -> str:
        """Rates, and time left judged by the units done: honest only once some are."""
        passed = max(time.monotonic() - self.started, 1e-3)
        parts = []
        if self.documents:
            parts.append(f"{self.documents:,} documents, {self.documents / passed:,.0f}/s")
        if self.read:
            parts.append(f"{size(self.read)}, {size(self.read / passed)}/s")
        if self.done < self.units and self.done >= 2 and passed > 5:
            parts.append(f"about {duration(passed / self.done * (self.units - self.done))} left")
        return "; ".join(parts)


class Terminal:
    """Live bars on a terminal, one line a finished stage; without a terminal plain lines, at most one in 10 s."""

    def __init__(self, console: Console):
        self._console = console
        self._live = console.is_terminal
        self._counts: _Counts | None = None
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._said = 0.0

    def note(self, text: str) -> None:
        """Say it on a line of its own."""
        self._console.print(text, markup=False, highlight=False)

    def stage(self, name: str, units: int) -> None:
        """Show a bar."""
        self._counts = _Counts(name, units)
        self._said = time.monotonic()
        if self._live and units:
            self._bars = Progress(
                SpinnerColumn(), TextColumn("{task.description:<16}"), BarColumn(bar_width=24), MofNCompleteColumn(),
                TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bars.add_task(name, total=units, note="")
            self._bars.start()

    def unit(self, receipt: Receipt) -> None:
        """Move the bar, or say a line now and then."""
        counts = self._counts
        if counts is None:
            return
        counts.add(receipt)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, advance=1, note=counts.text())
        elif not self._live and time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            self._console.print(f"{counts.name}: {counts.done}/{counts.units}  {counts.text()}", highlight=False)

    def end(self, name: str) -> None:
        """Take the bar away and leave a line."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        if self._counts is not None and self._counts.units:
            passed = time.monotonic() - self._counts.started
            line = f"{name:<16} {self._counts.units:>6} units  {duration(passed):>7}  {self._counts.text()}"
            self._console.print(line, highlight=False)
        self._counts = None


SHOW_EVERY = 0.2  # seconds between two moves of a bar
SAY_EVERY = 10.0  # seconds between two plain lines


@contextmanager
def counting(console: Console, name: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Gives a function to call with every document: a bar on a terminal, elsewhere a line every 10 seconds."""
    bars = Progress(
        SpinnerColumn(), TextColumn("{task.description:<8}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[note]}"), console=console, transient=True,
        disable=not console.is_terminal,
    )  # fmt: skip
    task = bars.add_task(name, total=total, note="")
    began = shown = time.monotonic()
    count = 0

    def one_more() -> None:
        nonlocal count, shown
        count += 1
        now = time.monotonic()
        if now - shown < (SHOW_EVERY if console.is_terminal else SAY_EVERY):
            return
        shown = now
        note = f"{count / (now - began):,.0f} documents/s"
        bars.update(task, completed=count, note=note)
        if not console.is_terminal:
            of = f"/{total:,}" if total is not None else ""
            console.print(f"{name}: {count:,}{of} documents, {note}", highlight=False)

    with bars:
        yield one_more
