"""What one query sees: one state of the truth, one of the index, and the values that give them meaning."""

from dataclasses import dataclass

from pqdb.config import CollectionConfig
from pqdb.kernels.exact import PRODUCT, SIZES, SQUARES
from pqdb.metric import Metric
from pqdb.quantization.source import KINDS
from pqdb.search.fresh import FreshCodes
from pqdb.search.index import Index
from pqdb.store.blockview import BlockView
from pqdb.store.view import PointView

BY: dict[Metric, int] = {"cosine": PRODUCT, "dot": PRODUCT, "l2": SQUARES, "l1": SIZES}


@dataclass(slots=True)  # not frozen: freezing costs a microsecond of every query
class Snapshot:
    """Valid only while the read transactions behind its views are open."""

    config: CollectionConfig
    points: PointView
    blocks: BlockView
    index: Index | None  # None before the first training
    rows_per_run: int
    row_bytes: int
    n_rows: int  # rows below this are searched
    coded: FreshCodes | None = None  # of rows that are in no list

    @property
    def by(self) -> int:
        """What values are made of, as kernels.exact names it."""
        return BY[self.config.metric]

    @property
    def source_kind(self) -> int:
        """The form of source rows, as kernels.exact names it."""
        return KINDS[self.config.kept_source]

    @property
    def fresh_from(self) -> int:
        """First row that is in no list."""
        return min(self.blocks.watermark, self.n_rows) if self.index is not None else 0

    @property
    def compared_from(self) -> int:
        """First row that has no code either: from here on rows are compared one by one."""
        return self.fresh_from if self.coded is None else self.coded.stop
