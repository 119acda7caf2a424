"""What all verbs of a collection stand on: its points, what guards them, and points as they are shown."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.config import CollectionConfig, SparseConfig
from pqdb.errors import InputError, PointNotFoundError, ReadOnlyError
from pqdb.hits import Group, Hits, Id, Point
from pqdb.metric import Metric
from pqdb.quantization.source import decode_source
from pqdb.query.conditions import Filter
from pqdb.query.parse import parse_filter
from pqdb.query.path import Path as Steps
from pqdb.query.select import Selection
from pqdb.query.selector import Selector
from pqdb.search.found import Found
from pqdb.search.groups import Grouping
from pqdb.store.layout import KIND_SHIFT, PAYLOAD_FLAG
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.given import Wanted, check_flag

Guard = Callable[[], None]
Metadata = Callable[[], dict[str, Any] | None]
UNNAMED = ""
KIND_MASK = 3  # of a row record's last word: an id that is no integer
FLAGS = KIND_MASK << KIND_SHIFT | PAYLOAD_FLAG  # there is more to a hit than its numbers


class Verbs:
    """A collection without its verbs."""

    config: CollectionConfig

    def __init__(
        self, name: str, metadata: Metadata, points: PointStore, upkeep: Upkeep | None, guard: Guard,
        slots: Mapping[str, int],
    ) -> None:  # fmt: skip
        self.name = name
        self._metadata = metadata  # as it is now, whoever changed it
        self._points = points
        self._upkeep = upkeep  # None: opened read-only
        self._guard = guard  # raises if this collection is closed, or was dropped by anyone
        self._slots = slots  # of the vectors, by their names
        self._selector = Selector(slots, None if upkeep is None else upkeep.memory)

    @property
    def dim(self) -> int:
        """Dimensions of every vector. Raises InputError where vectors have names: `vectors` has each."""
        return self.config.dim

    @property
    def metric(self) -> Metric:
        """cosine, dot, l2 or l1. Raises InputError where vectors have names."""
        return self.config.metric

    @property
    def vectors(self) -> Mapping[str, CollectionConfig]:
        """What each vector is made with, by its name; "" is the one without a name."""
        return {UNNAMED: self.config}

    @property
    def sparse_vectors(self) -> Mapping[str, SparseConfig]:
        """What each sparse vector is made with, by its name."""
        return {}

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._points.path.parent

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the collection's maker noted about it; `Database.set_metadata` changes it."""
        return self._metadata()

    # -- how

    def _guard_vector(self, using: str | None) -> None:
        """Raise where the collection is closed or dropped, or has no vector of this name."""
        self._guard()
        self._refuse_name(using or UNNAMED)

    def _writer(self) -> Upkeep:
        self._guard()
        if self._upkeep is None:
            raise ReadOnlyError(f"collection {self.name!r} was opened read-only")
        return self._upkeep

    def _selection(self, points: PointView, filter: object) -> Selection:
        return self._selector.select(points, parse_filter(filter))

    def _points_of(self, points: PointView, rows: np.ndarray, with_payload: bool, with_vector: Wanted) -> list[Point]:
        check_flag("with_payload", with_payload)
        payloads = points.payloads_of(rows) if with_payload else [None] * len(rows)
        vectors = self._shown(points, rows, with_vector) if with_vector else [None] * len(rows)
        return [
            Point(name, None if raw is None else json.loads(raw), vector, int(version))
            for name, raw, vector, version in zip(
                points.ids_of(rows), payloads, vectors, points.versions_of(rows), strict=True
            )
        ]

    def _shown(self, points: PointView, rows: np.ndarray, wanted: Wanted) -> Sequence[Any]:
        """The vectors of rows (n,) as points show them: (n, dim) float32. Raises InputError for other names."""
        self._names(wanted)
        found: Sequence[Any] = self._vectors_of(points, rows)  # type: ignore[assignment]  # an array is one, too
        return found

    def _names(self, wanted: Wanted) -> list[str]:
        """The names of the vectors to be shown. Raises InputError for one that is not there."""
        if isinstance(wanted, bool):
            return list(self._slots) if wanted else []
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        for name in names:
            self._refuse_name(name)
        return names

    def _vectors_of(self, points: PointView, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 from the source, or, where it is not kept, nothing better than refusing."""
        if self.config.source is None and len(rows) and int(rows.min()) < points.forgotten_rows:
            raise InputError(
                "source=None keeps no source vectors: none can be shown (with_vector=True), exported or searched by"
            )
        return decode_source(points.source_of(rows), self.config.dim, self.config.kept_source)

    def _row_of_example(self, points: PointView, example: Id) -> int:
        """The row of a point that is searched by. Raises PointNotFoundError."""
        row = points.row_of(example)
        if row is None:
            raise PointNotFoundError(f"there is no point {example!r} in collection {self.name!r}")
        return row

    def _hits(
        self, points: PointView, found: Found, i: int, with_payload: bool, with_vector: Wanted,
        metric: Metric,
    ) -> Hits:  # fmt: skip
        """The answer to query i."""
        words, every = found.words, found.every
        n = words.shape[1]
        if found.filled < len(words) * n:
            n = int((found.answers["value"][i] > -np.inf).sum())
        ids, payloads, vectors = None, None, None
        if with_vector or every & FLAGS:
            answers = found.answers[i, :n]
            if every >> KIND_SHIFT & KIND_MASK:  # some are no integers
                ids = points.ids_of(answers["row"])
            check_flag("with_payload", with_payload)
            if with_payload and every & PAYLOAD_FLAG:
                there = zip(answers["row"].tolist(), answers["tail"].tolist(), strict=True)
                payloads = [points.payload_of(row) if tail & PAYLOAD_FLAG else None for row, tail in there]
            if with_vector:
                vectors = self._shown(points, answers["row"], with_vector)
        return Hits(words, i, n, metric, ids, payloads, vectors)

    def _grouped(
        self, points: PointView, how: tuple[Steps, int, int], asked: Filter | None,
        find: Callable[[int, Filter | None], Hits], with_payload: bool,
    ) -> list[Group]:  # fmt: skip
        """Groups of hits. how: the path they have the same value at, how many groups, and how many hits of each; find:
        the k nearest, with payloads, of all that pass a filter.
        """
        path, limit, size = how

        def find_also(k: int, also: Filter | None) -> Hits:
            return find(k, asked if also is None else Filter(must=(also,) if asked is None else (asked, also)))

        most = points.n_live if asked is None else len(self._selector.select(points, asked))
        held = self._selector.definitions(points)
        indexed = any(index.path == path and index.kind in ("keyword", "integer") for index in held)
        groups = Grouping(path, limit, size, indexed).find(find_also, max(1, most))
        return [
            Group(name, hits if with_payload else [replace(hit, payload=None) for hit in hits]) for name, hits in groups
        ]

    def _refuse_name(self, name: str) -> None:
        """Raise InputError for the name of a vector that is not there."""
        if name not in self._slots:
            raise InputError(f"collection {self.name!r} has {self._held()}; there is none named {name!r}")

    def _held(self) -> str:
        """Its vectors, as a sentence has them."""
        if list(self._slots) == [UNNAMED]:
            return "one vector, which has no name"
        return f"the vectors {listed(self._slots)}" if self._slots else "no vectors"


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(map(repr, names))
