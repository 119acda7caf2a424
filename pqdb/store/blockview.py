"""One snapshot of the index, for reading: where the current generation's blocks lie in the map."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store.addresses import address_of
from pqdb.store.blocklayout import (
    CODES,
    CURRENT,
    HEADER_BYTES,
    LIST_ENTRY,
    LISTS_A_PIECE,
    RERANK,
    BlockHeader,
    Current,
    ListTable,
    block_key,
    generation_key,
    object_key,
    piece_key,
)
from pqdb.store.layout import unseal
from pqdb.store.mapping import Txn
from pqdb.store.reading import Keeper, View

Addresses = npt.NDArray[np.uint64]
_U32 = struct.Struct("<I")


@dataclass(frozen=True)
class BlockSnapshot:
    """One commit of the index as this process sees it; never changed."""

    txn_id: int
    epoch: int
    current: Current
    table: ListTable  # (n_lists,) version, count
    codes: Addresses  # (n_lists,) of the data behind each header, 0 where there is none
    rerank: Addresses
    counts: npt.NDArray[np.uint32]


class BlockSnapshots(Keeper[BlockSnapshot]):
    """The snapshots of one index environment; keeps the newest for the next view."""

    def take(self, txn: Txn, txn_id: int, last: BlockSnapshot | None) -> BlockSnapshot:
        """Only lists with another version than the last snapshot's are looked up."""
        env = self.env
        current = Current.from_bytes(txn.get(CURRENT, db=env.dbs["main"]), str(env.path))
        return take_generation(txn, txn_id, env.epoch, env.dbs, current, last, str(env.path))


class BlockView(View[BlockSnapshot]):
    """A context manager made by `BlockStore.read`. Addresses it gave stay valid only inside it.

    txn_id, generation (0: none), watermark, n_lists; objects_version changes when any object was written;
    codes, rerank: (n_lists,) uint64 addresses of the data of each list's blocks, 0 where there is none;
    counts: (n_lists,) uint32.
    """

    __slots__ = ()

    @property
    def state(self) -> BlockSnapshot:
        """What this process knows of the commit; the same object as long as it is the newest."""
        return self._snapshot

    @property
    def generation(self) -> int:
        """The generation to search, 0 for none."""
        return self._snapshot.current.generation

    @property
    def watermark(self) -> int:
        """All rows below are in the blocks, or were dead when they were indexed."""
        return self._snapshot.current.watermark

    @property
    def objects_version(self) -> int:
        """Changes with every commit that wrote an object of any generation."""
        return self._snapshot.current.objects_version

    @property
    def n_lists(self) -> int:
        """Lists of the current generation."""
        return len(self._snapshot.table)

    @property
    def codes(self) -> Addresses:
        """(n_lists,) uint64: the codes of each list, 64-byte aligned."""
        return self._snapshot.codes

    @property
    def rerank(self) -> Addresses:
        """(n_lists,) uint64: the rerank rows of each list, 64-byte aligned."""
        return self._snapshot.rerank

    @property
    def counts(self) -> npt.NDArray[np.uint32]:
        """(n_lists,) uint32: vectors of each list."""
        return self._snapshot.counts

    def data(self, list_no: int, kind: int = CODES) -> memoryview:
        """A block of a list of the current generation, not copied; b"" where there is none. Raises CorruptError."""
        value = self._txn.get(block_key(self.generation, list_no, kind), db=self._env.dbs["blocks"])
        if value is None:
            return memoryview(b"")
        header = BlockHeader.from_bytes(value, f"block {self.generation}/{list_no}/{kind}")
        return value[HEADER_BYTES : HEADER_BYTES + header.data_bytes]

    def look_at(self, generation: int, watermark: int) -> None:
        """From here on see another generation, as if it had been swapped in already. Raises CorruptError."""
        env = self._env
        current = replace(self._snapshot.current, generation=generation, watermark=watermark)
        self._snapshot = take_generation(
            self._txn, self.txn_id, env.epoch, env.dbs, current, None, str(env.path)
        )

    def object(self, name: str) -> bytes:
        """An object of the current generation. Raises KeyError where there is none."""
        found = self.find_object(name)
        if found is None:
            raise KeyError(f"generation {self.generation} has no object {name!r}")
        return found

    def find_object(self, name: str) -> bytes | None:
        """An object of the current generation, None where there is none."""
        value = self._txn.get(object_key(self.generation, name), db=self._env.dbs["objects"])
        return None if value is None else unseal(value, f"object {name!r} of generation {self.generation}")


def take_generation(
    txn: Txn,
    txn_id: int,
    epoch: int,
    dbs: Mapping[str, Any],
    current: Current,
    last: BlockSnapshot | None,
    where: str,
) -> BlockSnapshot:
    """The snapshot of a transaction that looks at a generation, current or not."""
    table = list_table(txn, dbs, current.generation, where)
    wanted = np.flatnonzero(table["count"])
    codes, rerank = np.zeros(len(table), np.uint64), np.zeros(len(table), np.uint64)
    if last is not None and (last.epoch, last.current.generation) == (epoch, current.generation):
        # The number of lists may differ; a version never comes again, so what has the same is the same.
        both = min(len(table), len(last.table))
        same = np.zeros(len(table), bool)
        same[:both] = last.table["version"][:both] == table["version"][:both]
        codes[same], rerank[same] = last.codes[:both][same[:both]], last.rerank[:both][same[:both]]
        wanted = np.flatnonzero((table["count"] != 0) & ~same)
    for list_no in wanted.tolist():
        entry = table[list_no]
        codes[list_no] = _resolve(txn, dbs["blocks"], current.generation, list_no, CODES, entry, where)
        rerank[list_no] = _resolve(txn, dbs["blocks"], current.generation, list_no, RERANK, entry, where)
    counts = np.ascontiguousarray(table["count"])
    # Left writable, though nobody may write: a kernel takes microseconds longer to accept a read-only array.
    return BlockSnapshot(txn_id, epoch, current, table, codes, rerank, counts)


def list_table(txn: Txn, dbs: Mapping[str, Any], generation: int, where: str) -> ListTable:
    """The (n_lists,) list table of a generation; empty for generation 0. Raises CorruptError."""
    if not generation:
        return np.zeros(0, LIST_ENTRY)
    value = txn.get(generation_key(generation), db=dbs["generations"])
    if value is None:
        raise CorruptError(f"{where}: the current generation {generation} is not there")
    n_lists = _U32.unpack(unseal(value, f"the record of generation {generation} of {where}"))[0]
    pieces = []
    for piece in range(-(-n_lists // LISTS_A_PIECE)):
        value = txn.get(piece_key(generation, piece), db=dbs["lists"])
        if value is None:
            raise CorruptError(
                f"{where}: piece {piece} of the list table of generation {generation} is missing"
            )
        pieces.append(unseal(value, f"the list table of generation {generation} of {where}"))
    table = np.frombuffer(b"".join(pieces), LIST_ENTRY)
    if len(table) != n_lists:
        raise CorruptError(
            f"{where}: the list table of generation {generation} has {len(table)} lists, not {n_lists}"
        )
    return table


def _resolve(txn: Txn, db: Any, generation: int, list_no: int, kind: int, entry: np.void, where: str) -> int:
    """The address of a block's data, its header checked; 0 where a list has no rerank rows."""
    value = txn.get(block_key(generation, list_no, kind), db=db)
    what = f"{where}: block {generation}/{list_no}/{kind}"
    if value is None:
        if kind == RERANK:
            return 0
        raise CorruptError(f"{what} is missing")
    header = BlockHeader.from_bytes(value, what)
    expected = (kind, generation, list_no, *entry.tolist())
    if header.place() != expected:
        raise CorruptError(
            f"{what} is another one: its header says {header.place()}, the list table {expected}"
        )
    return address_of(value) + HEADER_BYTES
