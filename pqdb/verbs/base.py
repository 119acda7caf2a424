"""What all verbs of a collection stand on: its stores, what it keeps between calls, and points as they are shown."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
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
from pqdb.search.frame import Frame
from pqdb.search.index import Index
from pqdb.search.lists import ListedRowsKept
from pqdb.search.snapshot import Snapshot
from pqdb.store.blocks import BlockStore
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.worker import Learned, Upkeep
from pqdb.verbs.given import Terms

Guard = Callable[[], None]
Metadata = Callable[[], dict[str, Any] | None]


class Verbs:
    """A collection without its verbs."""

    def __init__(
        self,
        name: str,
        config: CollectionConfig,
        metadata: Metadata,
        stores: tuple[PointStore, BlockStore],
        upkeep: Upkeep | None,
        guard: Guard,
    ) -> None:
        self.name = name
        self.config = config
        self._metadata = metadata  # as it is now, whoever changed it
        self._points, self._blocks = stores
        self._upkeep = upkeep  # None: opened read-only
        self._live = upkeep.queries if upkeep is not None else None  # queries to learn from
        self._guard = guard  # raises if this collection is closed, or was dropped by anyone
        self._learned: Learned | None = None
        self._frames: dict[Terms, Frame] = {}  # of terms asked for before
        self._index: tuple[int, int, Index | None] = (0, 0, None)  # swapped whole: other threads read it meanwhile
        self._selector = Selector()
        self._listed = ListedRowsKept()

    @property
    def dim(self) -> int:
        """Dimensions of every vector."""
        return self.config.dim

    @property
    def metric(self) -> Metric:
        """cosine, dot or l2."""
        return self.config.metric

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

    def _snapshot(self, points: PointView, blocks: Any) -> Snapshot:
        generation, version, index = self._index
        learned = self._upkeep.learned if self._upkeep else None
        if generation != blocks.generation or version != blocks.objects_version or learned is not self._learned:
            index = Index.load(blocks) if blocks.generation else None
            if index and learned and learned.fits(blocks.generation, index.calibration):
                calibration = learned.on(index.calibration, index.router.n_lists)
                index = replace(index, calibration=calibration, plans={}, frames={})
            self._learned = learned
            self._index = (blocks.generation, blocks.objects_version, index)
        return Snapshot(
            self.config, points, blocks, index, self._points.rows_per_run, self._points.row_bytes, points.n_rows
        )

    def _points_of(self, snapshot: Snapshot, rows: np.ndarray, with_payload: bool, with_vector: bool) -> list[Point]:
        points = snapshot.points
        payloads = points.payloads_of(rows) if with_payload else [None] * len(rows)
        vectors: Iterable[np.ndarray | None] = self._vectors_of(points, rows) if with_vector else [None] * len(rows)
        return [
            Point(name, None if raw is None else json.loads(raw), vector, int(version))
            for name, raw, vector, version in zip(
                points.ids_of(rows), payloads, vectors, points.versions_of(rows), strict=True
            )
        ]

    def _vectors_of(self, points: PointView, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 from the source, or, where it is not kept, nothing better than refusing."""
        if self.config.source is None and len(rows) and int(rows.min()) < points.forgotten_rows:
            raise InputError("with_vector=True needs source vectors, which source=None does not keep")
        return decode_source(points.source_of(rows), self.dim, self.config.kept_source)
