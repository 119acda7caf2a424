"""What all verbs of a collection stand on: its points, what guards them, and points as they are shown."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.errors import InputError, ReadOnlyError
from pqdb.hits import Point
from pqdb.metric import Metric
from pqdb.quantization.source import decode_source
from pqdb.query.parse import parse_filter
from pqdb.query.select import Selection
from pqdb.query.selector import Selector
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.given import Wanted, check_flag

Guard = Callable[[], None]
Metadata = Callable[[], dict[str, Any] | None]
UNNAMED = ""


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
    def folder(self) -> Path:
        """Where its files are."""
        return self._points.path.parent

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the collection's maker noted about it; `Database.set_metadata` changes it."""
        return self._metadata()

    # -- how

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
            Verbs._refuse_name(self, name)  # (each by its own name, whoever asks)
        return names

    def _vectors_of(self, points: PointView, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 from the source, or, where it is not kept, nothing better than refusing."""
        if self.config.source is None and len(rows) and int(rows.min()) < points.forgotten_rows:
            raise InputError(
                "source=None keeps no source vectors: none can be shown (with_vector=True), exported or searched by"
            )
        return decode_source(points.source_of(rows), self.config.dim, self.config.kept_source)

    def _refuse_name(self, name: str | None) -> None:
        """Raise InputError for the name of a vector that is not there."""
        if name not in self._slots:
            raise InputError(f"collection {self.name!r} has {self._held()}; there is none named {name!r}")

    def _held(self) -> str:
        """Its vectors, as a sentence has them."""
        if UNNAMED in self._slots:
            return "one vector, which has no name"
        return f"the vectors {listed(self._slots)}" if self._slots else "no vectors"


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(map(repr, names))
