"""Marks that people give documents, good or bad: kept in a file, counted, set against the recipe, exported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from plait.schemas.errors import ConfigError

MARKS: Final = ("good", "bad")


@dataclass(frozen=True)
class Agreement:
    """How marks and the recipe's verdicts agree.

    Attributes:
        good: documents marked good (of several people's marks, by their majority; ties count for neither).
        bad: documents marked bad.
        good_kept: of the good ones, those that the corpus has.
        bad_dropped: of the bad ones, those that it has not.
        agreement: share of the marked documents on the side that the marks ask for; None without marks.
        kappa: Cohen's kappa of that: 0 is what chance gives, 1 is perfect; None where one side has no documents.
        people: Cohen's kappa of the two people who marked most documents together; None where nobody did.
        shared: how many documents those two both marked.
    """

    good: int
    bad: int
    good_kept: int
    bad_dropped: int
    agreement: float | None
    kappa: float | None
    people: float | None
    shared: int


@dataclass(frozen=True)
class RulePrecision:
    """How often a rule was right.

    Attributes:
        rule: its name.
        dropped: marked documents that it dropped.
        right: those of them that were marked bad.
    """

    rule: str
    dropped: int
    right: int

    @property
    def precision(self) -> float:
        """Share of what it dropped that was bad."""
        return self.right / self.dropped


def kappa(pairs: Iterable[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa of two judges; None without pairs, or where chance alone agrees always."""
    both = list(pairs)
    if not both:
        return None
    n = len(both)
    observed = sum(a == b for a, b in both) / n
    first, second = sum(a for a, _ in both) / n, sum(b for _, b in both) / n
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else (observed - chance) / (1 - chance)


@dataclass
class Marks:
    """A file of marks, a JSON object a line: ``doc_id`` (hex), ``by``, ``mark``. The last line of a pair counts.

    Args:
        path: the file; it appears with the first mark. Nothing in it is ever rewritten, so files can be joined.
        by: who marks now.
    """

    path: Path
    by: str
    _held: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.path.exists():
            return
        try:
            for line in self.path.read_text("utf-8").splitlines():
                if line.strip():
                    row = json.loads(line)
                    self._hold(str(row["doc_id"]), str(row["by"]), str(row["mark"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"--marks {self.path} is no file of marks: {error!r}") from error

    def _hold(self, doc_id: str, by: str, mark: str) -> None:
        if mark in MARKS:
            self._held[doc_id, by] = mark
        else:
            self._held.pop((doc_id, by), None)

    def mark(self, doc_id: str, mark: str) -> None:
        """Marks a document, or takes the mark back ("").

        Raises:
            ConfigError: there is no such mark, or the file cannot be written.
        """
        if mark not in (*MARKS, ""):
            raise ConfigError(f"a mark is one of {', '.join(MARKS)} or nothing, not {mark!r}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"doc_id": doc_id, "by": self.by, "mark": mark}) + "\n")
        except OSError as error:
            raise ConfigError(f"--marks {self.path} cannot be written: {error.strerror}") from error
        self._hold(doc_id, self.by, mark)

    def mine(self, doc_id: str) -> str:
        """My mark of a document, "" where there is none."""
        return self._held.get((doc_id, self.by), "")

    def settled(self) -> dict[str, str]:
        """Every document with the mark of most people, in the order of the first marks; ties are left out."""
        votes: dict[str, int] = {}
        for (doc_id, _), mark in self._held.items():
            votes[doc_id] = votes.get(doc_id, 0) + (1 if mark == "good" else -1)
        return {doc_id: "good" if vote > 0 else "bad" for doc_id, vote in votes.items() if vote}

    def agreement(self, kept: Mapping[str, bool]) -> Agreement:
        """The marks beside the recipe's verdicts.

        Args:
            kept: of the marked documents that the corpus knows, whether it has them.
        """
        judged = [(mark == "good", kept[doc_id]) for doc_id, mark in self.settled().items() if doc_id in kept]
        good = [has for is_good, has in judged if is_good]
        bad = [has for is_good, has in judged if not is_good]
        right = sum(good) + len(bad) - sum(bad)
        shared, people = self._people()
        return Agreement(
            len(good), len(bad), sum(good), len(bad) - sum(bad), right / len(judged) if judged else None,
            kappa(judged), people, shared,
        )  # fmt: skip

    def _people(self) -> tuple[int, float | None]:
        by: dict[str, dict[str, bool]] = {}
        for (doc_id, who), mark in self._held.items():
            by.setdefault(who, {})[doc_id] = mark == "good"
        names = sorted(by)
        best: tuple[int, float | None] = (0, None)
        for place, one in enumerate(names):
            for other in names[place + 1 :]:
                both = sorted(by[one].keys() & by[other].keys())
                if len(both) > best[0]:
                    best = len(both), kappa((by[one][d], by[other][d]) for d in both)
        return best

    def precision(self, reasons: Mapping[str, str]) -> list[RulePrecision]:
        """Of every rule that dropped marked documents, how many of those were bad; the most frequent rule first.

        Args:
            reasons: of marked documents that were dropped, why.
        """
        counts: dict[str, list[int]] = {}
        for doc_id, mark in self.settled().items():
            if doc_id in reasons:
                held = counts.setdefault(reasons[doc_id], [0, 0])
                held[0] += 1
                held[1] += mark == "bad"
        ranked = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
        return [RulePrecision(rule, dropped, right) for rule, (dropped, right) in ranked]


def training_lines(mark: str, marks: Mapping[str, str], text_of: Mapping[str, str]) -> Iterator[str]:
    """The documents of a mark as JSON lines with ``doc_id`` and ``text``, what `plait quality train` reads.

    Args:
        mark: "good" or "bad".
        marks: of documents.
        text_of: text of those that can be had.
    """
    for doc_id, given in marks.items():
        if given == mark and text_of.get(doc_id, "").strip():
            yield json.dumps({"doc_id": doc_id, "text": text_of[doc_id]}, ensure_ascii=False) + "\n"
