"""The index of a collection: bytes derived from the truth, kept by generation, scanned where they lie.

Databases of the environment:

main         "manifest" → sealed JSON; "current" → sealed u32 generation, u32 zero, u64 watermark, u64
             sequence of the commit, u64 objects version (sequence of the commit that last wrote an object)
generations  u32 generation → sealed u32 number of lists
objects      u32 generation, UTF-8 name → sealed bytes (codebook, centroids …; opaque here)
lists        u32 generation, u32 piece → sealed array of (u32 version, u32 count), 508 lists a piece
blocks       u32 generation, u32 list, u8 kind (0 codes, 1 rerank) → block

A block is a 48-byte header, the data, and zeros up to a size class of whole pages (layout.size_class). LMDB
puts such a value 16 bytes behind the start of a page, so the data begin on a multiple of 64. Header: magic
"PQB2", u16 kind, u16 zero, u32 generation, u32 list, u32 count, u32 version, u64 data bytes, u32 crc32 of the
data, u32 crc32 of the 36 bytes before, 8 zeros. A version is the sequence of the commit that wrote the
list (its low 32 bits, never 0): it never comes again, not even in a generation dropped and begun anew.
"""

from __future__ import annotations

import os

from pqdb.store import manifest as manifest_record
from pqdb.store.blockbatch import BlockBatch
from pqdb.store.blocklayout import CURRENT, Current, read_generation_key
from pqdb.store.blockview import BlockSnapshots, BlockView
from pqdb.store.environment import Environment
from pqdb.store.handle import Handle
from pqdb.store.verify import verify_blocks

DATABASES = ("main", "generations", "objects", "lists", "blocks")


class BlockStore(Handle):
    """A handle of one index environment. Threads may share it; a forked child may not."""

    KIND = "index"
    DATABASES = DATABASES

    def __init__(self, env: Environment, readonly: bool = False) -> None:
        super().__init__(env, readonly)
        self._snapshots = BlockSnapshots(env)

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, map_size: int | None = None) -> BlockStore:
        """A new, empty index in a folder that holds none. Raises StorageError."""
        manifest = manifest_record.to_bytes("index", {}, {})
        records = {b"manifest": manifest, CURRENT: Current(0, 0, 0, 0).to_bytes()}
        return cls(Environment.create(path, DATABASES, records, map_size))

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], readonly: bool = False, *, map_size: int | None = None
    ) -> BlockStore:
        """An existing index. Raises NotADatabaseError, FormatError, CorruptError, StorageError and kin."""
        env, _, _ = cls._open_env(path, readonly, map_size)
        return cls(env, readonly)

    def read(self) -> BlockView:
        """One snapshot: ``with store.read() as view``."""
        self._refuse_closed()
        return BlockView(self._snapshots)

    def write(self) -> BlockBatch:
        """One commit: ``with store.write() as batch``."""
        self._refuse_unwritable()
        return BlockBatch(self.env)

    def free_last(self) -> None:
        """Commit nothing. LMDB uses the pages that a commit freed from the next but one on; before a commit that writes
        most of the index this saves as many pages again.
        """
        with self.write() as batch:
            batch.set_current(batch.generation, batch.watermark)

    def _forget(self) -> None:
        self._snapshots.newest = None

    def generations(self) -> list[int]:
        """The generations there are, ascending."""
        with self.env.read() as txn:
            cursor = txn.cursor(db=self.env.dbs["generations"])
            return [read_generation_key(key) for key in cursor.iternext(values=False)]

    def compact(self) -> None:
        """Copy what is in use into a fresh file and go on there; Environment.compact."""
        self.env.compact()

    def verify(self) -> list[str]:
        """Read everything and compare it with its checksums and the list tables. -> problems, [] if sound."""
        return verify_blocks(self.env)
