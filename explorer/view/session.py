"""What one run of the explorer holds: the corpus, its index (made in the background), marks, archives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from plait.explorer.masking import clipped
from plait.explorer.recipes import alone_by, dropped_by, recipe_of
from plait.explorer.view.documents import Reader, card, plain
from plait.explorer.view.index import Index, index_path, write_index
from plait.explorer.view.marks import Marks, training_lines
from plait.explorer.view.original import Originals
from plait.explorer.view.picture_index import Pictures, picture_rules, write_pictures
from plait.explorer.view.picture_rules import PictureChange, PictureRules
from plait.explorer.view.search import Query, find
from plait.explorer.view.thresholds import Thresholds
from plait.loader import Corpus
from plait.schemas.errors import ConfigError, CorpusError
from plait.schemas.manifest import Json
from plait.schemas.reasons import REASONS

CHOICES: Final = 300  # languages, domains and reasons that lists offer; any other can be typed
FIRST: Final = 24  # documents shown before there is an index


class Session:
    """A corpus being looked at. One thread at a time reads it.

    Args:
        corpus: whole, with Parquet shards.
        marks: of the person who looks.
        originals: gives archived pages, where archives are at hand.
        cache: folder of indexes.
    """

    def __init__(self, corpus: Corpus, marks: Marks, originals: Originals | None, cache: Path) -> None:
        self.corpus = corpus
        self.marks = marks
        self.originals = originals
        self.lock = threading.RLock()
        self._path = index_path(corpus.path, corpus.manifest, cache)
        self._progress = 0.0
        self._fault = ""
        self._ready = threading.Event()
        self._index: Index | None = None
        self._thresholds: Thresholds | None = None
        self._reader: Reader | None = None
        self._choices: dict[str, Json] = {}
        threading.Thread(target=self._prepare, name="index", daemon=True).start()

    def _prepare(self) -> None:
        try:
            if not self._path.exists():
                write_index(Corpus(self.corpus.path, manifest=self.corpus.manifest), self._path, self._note)
            index = Index(self._path)
            thresholds = Thresholds(index, self.corpus.manifest, self._picture_rules(index))
            self._choices = {name: _choices(index, name) for name in ("lang", "domain", "reason")}
            thresholds.prepare()
            self._thresholds, self._reader = thresholds, Reader(self.corpus, index, thresholds)
            self._index = index
        except (OSError, CorpusError, ConfigError) as error:
            self._fault = str(error)
        finally:  # whatever happened: requests wait for it
            self._ready.set()

    def _picture_rules(self, index: Index) -> PictureRules | None:
        """Rules on pictures that can be moved; None where the recipe has none."""
        recipe = recipe_of(self.corpus.manifest)
        rules = picture_rules(recipe.rules if recipe else ())
        if not rules or "parquet" not in self.corpus.manifest.formats:
            return None
        path = self._path.with_suffix(".images.arrow")
        if not path.exists():
            write_pictures(Corpus(self.corpus.path, manifest=self.corpus.manifest), index, rules, path)
        return PictureRules(Pictures(path), rules, len(index))

    def _note(self, share: float) -> None:
        self._progress = share

    @property
    def ready(self) -> bool:
        """Whether the index is there."""
        return self._ready.is_set()

    @property
    def index(self) -> Index:
        """The index; waits for it.

        Raises:
            CorpusError: it could not be made.
        """
        self._ready.wait()
        if self._index is None:
            raise CorpusError(f"the corpus cannot be indexed: {self._fault}")
        return self._index

    @property
    def thresholds(self) -> Thresholds:
        """Rules over the index; waits for it."""
        assert self.index is not None
        assert self._thresholds is not None
        return self._thresholds

    @property
    def reader(self) -> Reader:
        """Documents by their place; waits for the index."""
        assert self.index is not None
        assert self._reader is not None
        return self._reader

    def about(self) -> dict[str, Json]:
        """What the page shows at once, and how far the index is."""
        manifest = self.corpus.manifest
        dropped = dropped_by(manifest, "document")
        return {
            "recipe": manifest.recipe.name,
            "missing": list(manifest.recipe.missing),
            "documents": manifest.totals.documents,
            "images": manifest.totals.images,
            "dropped": dict(dropped.most_common()),
            "reasons": {name: REASONS.get(name, "") for name in dropped},
            "ready": self.ready,
            "fault": self._fault,
            "progress": round(self._progress, 3),
            "indexed": len(self._index) if self._index is not None else 0,
            "retained": bool((self._index.scored & ~self._index.kept).any()) if self._index is not None else False,
            "scores": list(self._index.scores) if self._index is not None else [],
            "choices": dict(self._choices),
            "archives": self.originals is not None,
            "by": self.marks.by,
        }

    def first(self) -> dict[str, Json]:
        """The first documents, before there is an index: kept documents have their row as place."""
        columns = ["doc_id", "url", "domain", "lang", "title"]
        rows = self.corpus.head(FIRST).to_arrow(columns).to_pylist()
        cards: list[Json] = []
        for place, row in enumerate(rows):
            known = {name: plain(row[name]) for name in columns[1:]}
            mark = self.marks.mine(row["doc_id"].hex())
            cards.append(
                {**known, "place": place, "id": row["doc_id"].hex(), "kept": True, "mark": mark, "reason": None}
            )
        total = len(self.corpus)
        return {"documents": cards, "matching": total, "following": FIRST if total > FIRST else None, "looked": FIRST}

    def find(self, query: Query, after: int, marked: str) -> dict[str, Json]:
        """A page of the documents that a query finds.

        Raises:
            ConfigError: the query names a score that there is not.
        """
        if query.score and query.score not in self.index.scores:
            raise ConfigError(f"there is no score {query.score!r}")
        if marked:
            wanted = [doc_id for doc_id, mark in self.marks.settled().items() if marked in (mark, "any")]
            places = self.reader.places_of([bytes.fromhex(doc_id) for doc_id in wanted])
            query = Query(**{**query.__dict__, "places": tuple(places.values())})
        found = find(self.index, self.corpus, query, after)
        cards: list[Json] = [self.card(place) for place in found.places]
        return {
            "documents": cards, "matching": found.matching, "following": found.following, "looked": found.looked,
        }  # fmt: skip

    def card(self, place: int) -> dict[str, Json]:
        """What a list shows of a document."""
        doc_id = self.index.row(place)["doc_id"]
        return card(self.index, place, self.marks.mine(doc_id.hex() if isinstance(doc_id, bytes) else ""))

    def sliders(self) -> dict[str, Json]:
        """Thresholds that can be moved; what each rule keeps, dropped in the build, and alone would have dropped."""
        manifest, pictures = self.corpus.manifest, self.thresholds.pictures
        alone = alone_by(manifest)
        dropped = {scope: dropped_by(manifest, scope) for scope in ("document", "image")}
        movable: list[Json] = [dict(slider.__dict__) for slider in self.thresholds.sliders()]
        rules: dict[str, Json] = {
            rule.name: {"keep": rule.keep, "dropped": dropped[rule.scope][rule.name], "alone": alone.get(rule.name)}
            for rule in (*self.thresholds.rules.values(), *(pictures.rules.values() if pictures else ()))
        }
        return {"sliders": movable, "rules": rules}

    def change(self, changes: Mapping[str, Mapping[int, float]]) -> dict[str, Json]:
        """What moved thresholds would do, with examples."""
        done = self.thresholds.change(changes)
        dropped: list[Json] = [self.card(place) for place in done.dropped_places]
        recovered: list[Json] = [self.card(place) for place in done.recovered_places]
        return {
            "dropped": done.dropped, "recovered": done.recovered, "kept": done.kept, "by_rule": dict(done.by_rule),
            "dropped_documents": dropped, "recovered_documents": recovered,
            "pictures": self._pictures(done.pictures) if done.pictures is not None else None,
        }  # fmt: skip

    def _pictures(self, change: PictureChange) -> dict[str, Json]:
        """Pictures that change sides: kept ones as the document shows them, dropped ones by what the ledger says."""
        rules = self.thresholds.pictures
        assert rules is not None
        gone: list[Json] = []
        for row in change.dropped_rows:
            place, node = rules.pictures.where(row)
            gone.append({**self.card(place), "src": self.reader.picture_url(place, node)})
        back: list[Json] = []
        for row in change.recovered_rows:
            known = rules.pictures.lost(row)
            said = f"{known['reason']}: value {known['value']:g}, {clipped(str(known['url'] or ''), 160)}"
            back.append({**self.card(int(str(known["document"]))), "said": said})
        return {"dropped": change.dropped, "recovered": change.recovered, "gone": gone, "back": back}

    def report(self) -> dict[str, Json]:
        """Agreement of the marks with the recipe, precision of its rules."""
        known = self._marked()
        kept = {doc_id: bool(self.index.kept[place]) for doc_id, place in known.items()}
        reasons = {d: str(self.index.row(p)["reason"]) for d, p in known.items() if not kept[d]}
        rows: list[Json] = [{**asdict(line), "precision": line.precision} for line in self.marks.precision(reasons)]
        return {"agreement": dict(asdict(self.marks.agreement(kept))), "rules": rows, "file": str(self.marks.path)}

    def export(self, mark: str) -> str:
        """Training file of a mark, JSON lines."""
        known = self._marked()
        texts = {doc_id: self.reader.text(place) for doc_id, place in known.items()}
        return "".join(training_lines(mark, self.marks.settled(), texts))

    def _marked(self) -> dict[str, int]:
        return self.reader.places_of([bytes.fromhex(doc_id) for doc_id in self.marks.settled()])


def _choices(index: Index, name: str) -> Json:
    """Values of a column with their counts, the most frequent first."""
    words = index.words(name)
    codes = words.indices.drop_null().to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(words.dictionary))
    ranked = np.argsort(-counts, kind="stable")[:CHOICES]
    names = words.dictionary.take(pa.array(ranked)).to_pylist()
    return [[value, count] for value, count in zip(names, counts[ranked].tolist(), strict=True)]
