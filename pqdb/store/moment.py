"""One moment of an index and of the points it is of."""

from types import TracebackType

from pqdb.errors import CorruptError
from pqdb.store.blocks import BlockStore
from pqdb.store.blockview import BlockView
from pqdb.store.points import PointStore
from pqdb.store.view import PointView

TRIES = 1_000  # each is a commit of somebody's further


class Moment:
    """A context manager: views of an index and of the points it is of, in this order, so that all it knows is there.

    Where source vectors are forgotten (source=None) in between, this index takes rows for fresh that are in lists by
    now and nowhere else: both are opened again.
    """

    __slots__ = ("_blocks", "_points", "_views")

    def __init__(self, blocks: BlockStore, points: PointStore) -> None:
        self._blocks = blocks
        self._points = points

    def __enter__(self) -> tuple[BlockView, PointView]:
        for _ in range(TRIES):
            self._views = blocks, points = self._opened()
            if points.forgotten_rows <= blocks.watermark:
                return self._views
            self.__exit__(None, None, None)
        raise CorruptError(f"{self._points.path}: there are rows in no list whose source vectors are gone")

    def _opened(self) -> tuple[BlockView, PointView]:
        blocks = self._blocks.read().__enter__()
        try:
            return blocks, self._points.read().__enter__()
        except BaseException:
            blocks.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        blocks, points = self._views
        try:
            points.__exit__(kind, error, trace)
        finally:
            blocks.__exit__(kind, error, trace)
