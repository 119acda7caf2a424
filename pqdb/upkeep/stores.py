"""What upkeep works on: the two environments of a collection."""

from dataclasses import dataclass, field

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.memory import Memory
from pqdb.quantization.source import decode_source
from pqdb.search.index import Index
from pqdb.search.snapshot import Snapshot
from pqdb.store.blocks import BlockStore
from pqdb.store.blockview import BlockView
from pqdb.store.layout import bits_at
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.decoded import Decoded


@dataclass(frozen=True)
class Stores:
    """A collection's two environments and its configuration: all that upkeep needs."""

    config: CollectionConfig
    points: PointStore
    blocks: BlockStore
    follow_drift: bool = True  # whether lists and generations change when the data do
    decoded: Decoded | None = None  # stands in for source vectors that are not kept
    memory: Memory = field(default_factory=Memory)  # that work on it may take

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector as work holds it, float32."""
        return 4 * self.config.dim

    @property
    def shared(self) -> bool:
        """Whether the rows are those of other vectors too."""
        return len(self.points.geometry) > 1

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 prepared vectors of rows that still have their source, or are decoded."""
        if self.decoded is None:
            return self._from_source(rows)
        held = self.decoded.holds(rows)
        out = np.empty((len(rows), self.config.dim), np.float32)
        out[held] = self.decoded.vectors(self.blocks, rows[held])
        out[~held] = self._from_source(rows[~held])
        return out

    def vectors_alive(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool which of rows are alive now, and the vectors of those: others may have lost their source."""
        with self.points.read() as view:
            there = bits_at(view.live, rows)
            source = view.source_of(rows[there])
        return there, decode_source(source, self.config.dim, self.config.kept_source)

    def snapshot(self, blocks: BlockView, points: PointView, index: Index | None) -> Snapshot:
        """What a search by that index sees in these views."""
        return Snapshot(
            self.config, points, blocks, index, self.points.rows_per_run, self.points.row_bytes, points.n_rows
        )

    def known_from(self, view: PointView) -> int:
        """The first row that there may be a vector of."""
        return view.forgotten_rows if self.decoded is None else 0

    def _from_source(self, rows: np.ndarray) -> np.ndarray:
        with self.points.read() as view:
            return decode_source(view.source_of(rows), self.config.dim, self.config.kept_source)
