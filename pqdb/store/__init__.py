"""Bytes that survive: the only home of LMDB, blind to what the bytes mean."""

from pqdb.store.batch import PointBatch
from pqdb.store.blockbatch import BlockBatch
from pqdb.store.blocks import BlockStore
from pqdb.store.blockview import BlockView
from pqdb.store.catalog import Catalog, Names
from pqdb.store.locks import FileLock
from pqdb.store.points import PointStore
from pqdb.store.view import PointView

__all__ = [
    "BlockBatch",
    "BlockStore",
    "BlockView",
    "Catalog",
    "FileLock",
    "Names",
    "PointBatch",
    "PointStore",
    "PointView",
]
