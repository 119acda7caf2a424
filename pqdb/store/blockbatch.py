"""One write to the index: everything in it is committed together, or not at all."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np

from pqdb.errors import CorruptError, InputError
from pqdb.store.blocklayout import (
    CODES,
    CURRENT,
    HEADER_BYTES,
    KINDS,
    LIST_ENTRY,
    LISTS_A_PIECE,
    RERANK,
    BlockHeader,
    Current,
    ListTable,
    block_key,
    block_value,
    generation_key,
    object_key,
    piece_key,
)
from pqdb.store.environment import Environment
from pqdb.store.layout import seal, unseal
from pqdb.store.mapping import Txn, put_anew
from pqdb.store.write import WriteBatch

Buffer = bytes | bytearray | memoryview | np.ndarray[Any, np.dtype[Any]]
_U32 = struct.Struct("<I")


class BlockBatch(WriteBatch):
    """A context manager made by `BlockStore.write`: commits on a clean exit, forgets all on an error."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        self._pieces: dict[tuple[int, int], ListTable] = {}  # pieces of list tables changed in this batch

    def _start(self, txn: Txn) -> int:
        """Take up the records of the last commit; called again where the map had to grow."""
        self._pieces = {}
        self._current = Current.from_bytes(txn.get(CURRENT, db=self._dbs["main"]), str(self._env.path))
        self._current = replace(self._current, seq=self._current.seq + 1)
        self._version = (self._current.seq & 0xFFFFFFFF) or 1  # 0 means "never written"
        return self._current.seq

    # -- verbs -----------------------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """The current generation as this batch sees it, 0 for none."""
        return self._current.generation

    @property
    def watermark(self) -> int:
        """The watermark as this batch sees it."""
        return self._current.watermark

    def begin_generation(self, generation: int, n_lists: int) -> None:
        """Make the list table of a new generation, all lists empty. Raises InputError where it is there."""
        if not 0 < generation < 1 << 32 or not 0 < n_lists < 1 << 32:
            raise InputError(
                f"generation and number of lists are 1 to 2^32 - 1, not {generation} and {n_lists}"
            )
        self._run(lambda txn: self._begin_generation(txn, generation, n_lists))

    def resize_generation(self, generation: int, n_lists: int) -> None:
        """Give a generation more lists, empty ones, or take away the last, which must be empty. Raises InputError."""
        if not 0 < n_lists < 1 << 32:
            raise InputError(f"the number of lists is 1 to 2^32 - 1, not {n_lists}")
        self._run(lambda txn: self._resize_generation(txn, generation, n_lists))

    def put_object(self, generation: int, name: str, data: Buffer) -> None:
        """Put opaque bytes under a name of a generation (which need not have begun)."""
        value = bytes(_flat(data))
        self._run(lambda txn: self._put_object(txn, generation, name, value))

    def put_note(self, generation: int, name: str, data: Buffer) -> None:
        """As put_object, for what searches do not read: the objects version stays."""
        value = bytes(_flat(data))
        self._run(lambda txn: self._put_note(txn, generation, name, value))

    def get_object(self, generation: int, name: str) -> bytes | None:
        """The bytes of an object as this batch sees them."""
        return self._run(lambda txn: self._get_object(txn, generation, name))

    def put_list(
        self, generation: int, list_no: int, count: int, codes: Buffer, rerank: Buffer | None = None
    ) -> None:
        """Replace the blocks of a list; count 0 empties it. Raises InputError for a list there is not."""
        flat_codes, flat_rerank = _flat(codes), None if rerank is None else _flat(rerank)
        self._run(lambda txn: self._put_list(txn, generation, list_no, count, flat_codes, flat_rerank))

    def read_list(self, generation: int, list_no: int) -> tuple[int, memoryview | None, memoryview | None]:
        """(count, codes, rerank) as this batch sees them: copies, so they outlive what is written next."""
        return self._run(lambda txn: self._read_list(txn, generation, list_no))

    def n_lists(self, generation: int) -> int:
        """How many lists a generation has. Raises InputError where it was not begun."""
        return self._run(lambda txn: self._n_lists(txn, generation))

    def set_current(self, generation: int, watermark: int) -> None:
        """Point readers to a generation; all rows below the watermark are in its blocks or were dead."""
        self._run(lambda txn: self._set_current(txn, generation, watermark))

    def drop_generation(self, generation: int) -> None:
        """Delete everything of a generation. Raises InputError for the current one."""
        self._run(lambda txn: self._drop_generation(txn, generation))

    # -- how -------------------------------------------------------------------------------------------

    def _begin_generation(self, txn: Txn, generation: int, n_lists: int) -> None:
        key = generation_key(generation)
        if txn.get(key, db=self._dbs["generations"]) is not None:
            raise InputError(f"generation {generation} has begun already")
        txn.put(key, seal(_U32.pack(n_lists)), db=self._dbs["generations"])
        for piece in range(-(-n_lists // LISTS_A_PIECE)):
            length = min(LISTS_A_PIECE, n_lists - piece * LISTS_A_PIECE)
            self._pieces[generation, piece] = np.zeros(length, LIST_ENTRY)
        self._changed = True

    def _resize_generation(self, txn: Txn, generation: int, n_lists: int) -> None:
        was = self._n_lists(txn, generation)
        for list_no in range(n_lists, was):
            table, at = self._entry(txn, generation, list_no)
            if table[at]["count"]:
                raise InputError(f"list {list_no} of generation {generation} is not empty: {table[at]['count']} rows")
        for piece in range(max(-(-was // LISTS_A_PIECE), -(-n_lists // LISTS_A_PIECE))):
            length = min(LISTS_A_PIECE, n_lists - piece * LISTS_A_PIECE)
            if length <= 0:
                self._pieces.pop((generation, piece), None)
                txn.delete(piece_key(generation, piece), db=self._dbs["lists"])
            elif (piece + 1) * LISTS_A_PIECE > min(was, n_lists):
                held = np.zeros(length, LIST_ENTRY)
                if piece * LISTS_A_PIECE < was:
                    table, _ = self._entry(txn, generation, piece * LISTS_A_PIECE)
                    held[: len(table)] = table[:length]
                self._pieces[generation, piece] = held
        put_anew(txn, self._dbs["generations"], generation_key(generation), seal(_U32.pack(n_lists)))
        self._changed = True

    def _n_lists(self, txn: Txn, generation: int) -> int:
        value = txn.get(generation_key(generation), db=self._dbs["generations"])
        if value is None:
            raise InputError(f"generation {generation} has not begun")
        n_lists: int = _U32.unpack(unseal(value, f"the record of generation {generation}"))[0]
        return n_lists

    def _entry(self, txn: Txn, generation: int, list_no: int) -> tuple[ListTable, int]:
        """The piece of the list table that holds a list, and the list's place in it."""
        n_lists = self._n_lists(txn, generation)
        if not 0 <= list_no < n_lists:
            raise InputError(f"generation {generation} has lists 0 to {n_lists - 1}, not {list_no}")
        piece, at = divmod(list_no, LISTS_A_PIECE)
        table = self._pieces.get((generation, piece))
        if table is None:
            value = txn.get(piece_key(generation, piece), db=self._dbs["lists"])
            if value is None:
                raise CorruptError(f"piece {piece} of the list table of generation {generation} is missing")
            table = np.frombuffer(
                unseal(value, f"the list table of generation {generation}"), LIST_ENTRY
            ).copy()
            self._pieces[generation, piece] = table
        return table, at

    def _put_list(
        self,
        txn: Txn,
        generation: int,
        list_no: int,
        count: int,
        codes: memoryview,
        rerank: memoryview | None,
    ) -> None:
        table, at = self._entry(txn, generation, list_no)
        for kind, data in ((CODES, codes), (RERANK, rerank)):
            key = block_key(generation, list_no, kind)
            if data is None or not count:
                txn.delete(key, db=self._dbs["blocks"])
            else:
                value = block_value(kind, generation, list_no, count, self._version, data)
                put_anew(txn, self._dbs["blocks"], key, value)
        table[at] = (self._version, count)
        self._changed = True

    def _read_list(
        self, txn: Txn, generation: int, list_no: int
    ) -> tuple[int, memoryview | None, memoryview | None]:
        table, at = self._entry(txn, generation, list_no)
        codes, rerank = (self._data(txn, generation, list_no, kind) for kind in KINDS)
        return int(table[at]["count"]), codes, rerank

    def _data(self, txn: Txn, generation: int, list_no: int, kind: int) -> memoryview | None:
        value = txn.get(block_key(generation, list_no, kind), db=self._dbs["blocks"])
        if value is None:
            return None
        header = BlockHeader.from_bytes(value, f"block {generation}/{list_no}/{kind}")
        return memoryview(bytes(value[HEADER_BYTES : HEADER_BYTES + header.data_bytes]))

    def _put_object(self, txn: Txn, generation: int, name: str, data: bytes) -> None:
        self._put_note(txn, generation, name, data)
        self._current = replace(self._current, objects_version=self._current.seq)

    def _put_note(self, txn: Txn, generation: int, name: str, data: bytes) -> None:
        put_anew(txn, self._dbs["objects"], object_key(generation, name), seal(data))
        self._changed = True

    def _get_object(self, txn: Txn, generation: int, name: str) -> bytes | None:
        value = txn.get(object_key(generation, name), db=self._dbs["objects"])
        return None if value is None else unseal(value, f"object {name!r} of generation {generation}")

    def _set_current(self, txn: Txn, generation: int, watermark: int) -> None:
        if generation:
            self._n_lists(txn, generation)
        self._current = replace(self._current, generation=generation, watermark=watermark)
        self._changed = True

    def _drop_generation(self, txn: Txn, generation: int) -> None:
        if generation == self._current.generation:
            raise InputError(f"generation {generation} is the current one")
        for name in ("generations", "objects", "lists", "blocks"):
            _delete_prefix(txn, self._dbs[name], generation_key(generation))
        self._pieces = {key: piece for key, piece in self._pieces.items() if key[0] != generation}
        self._changed = True

    def _finish(self, txn: Txn) -> None:
        for (generation, piece), table in self._pieces.items():
            put_anew(txn, self._dbs["lists"], piece_key(generation, piece), seal(table.tobytes()))
        txn.put(CURRENT, self._current.to_bytes(), db=self._dbs["main"])


def _delete_prefix(txn: Txn, db: Any, prefix: bytes) -> None:
    cursor = txn.cursor(db=db)
    there = cursor.set_range(prefix)
    while there and bytes(cursor.key()[: len(prefix)]) == prefix:
        cursor.delete()  # leaves the cursor on the next one
        there = bool(cursor.key())
    cursor.close()


def _flat(data: Buffer) -> memoryview:
    """Any contiguous buffer as bytes, without a copy."""
    if isinstance(data, np.ndarray):
        data = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
    return memoryview(data).cast("B")
