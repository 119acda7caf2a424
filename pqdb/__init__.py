"""pqdb: a vector database of product-quantized codes. Ask for a recall and get it.

    with pqdb.open("./data") as db:
        docs = db.create_collection("docs", dim=384)
        docs.upsert(ids, vectors, payloads)
        hits = docs.search(query, k=10, recall=0.95)
"""

from importlib.metadata import PackageNotFoundError, version

from pqdb.backup import restore
from pqdb.checking import CheckReport, Findings, check
from pqdb.collection import Collection
from pqdb.config import PQ, SQ, CollectionConfig, Flat, NamedConfig, SparseConfig, VectorConfig
from pqdb.database import Database
from pqdb.database import open_database as open  # noqa: A004 - pqdb.open is the name people will type
from pqdb.errors import (
    ClosedError,
    CollectionExistsError,
    CollectionNotFoundError,
    ConflictError,
    CorruptError,
    DimensionError,
    DiskFullError,
    FilterError,
    FilterRangeError,
    ForkedError,
    FormatError,
    IdError,
    InputError,
    KernelCacheWarning,
    KernelError,
    LockedError,
    NotADatabaseError,
    NotYetError,
    PayloadError,
    PointNotFoundError,
    PqdbError,
    ReadOnlyError,
    StorageError,
)
from pqdb.hits import BatchHits, Explanation, FilterExplanation, Group, Hit, Hits, Page, Point, RecallReport
from pqdb.moving.exporting import export_points
from pqdb.moving.importing import import_points
from pqdb.query.parse import parse_filter
from pqdb.repairing import RepairReport, repair
from pqdb.search.fusion import fuse_dbsf, fuse_rrf
from pqdb.sparse import SparseVector
from pqdb.warming import ROADS, warm_up

try:
    __version__ = version("pqdb")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0.0.0"

__all__ = [
    "PQ",
    "ROADS",
    "SQ",
    "BatchHits",
    "CheckReport",
    "ClosedError",
    "Collection",
    "CollectionConfig",
    "CollectionExistsError",
    "CollectionNotFoundError",
    "ConflictError",
    "CorruptError",
    "Database",
    "DimensionError",
    "DiskFullError",
    "Explanation",
    "FilterError",
    "FilterExplanation",
    "FilterRangeError",
    "Findings",
    "Flat",
    "ForkedError",
    "FormatError",
    "Group",
    "Hit",
    "Hits",
    "IdError",
    "InputError",
    "KernelCacheWarning",
    "KernelError",
    "LockedError",
    "NamedConfig",
    "NotADatabaseError",
    "NotYetError",
    "Page",
    "PayloadError",
    "Point",
    "PointNotFoundError",
    "PqdbError",
    "ReadOnlyError",
    "RecallReport",
    "RepairReport",
    "SparseConfig",
    "SparseVector",
    "StorageError",
    "VectorConfig",
    "check",
    "export_points",
    "fuse_dbsf",
    "fuse_rrf",
    "import_points",
    "open",
    "parse_filter",
    "repair",
    "restore",
    "warm_up",
]
