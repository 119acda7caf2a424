"""What can still be read of a damaged store, by plain reads: nothing is mapped, and nothing damaged is passed on.

A point is found by its id, or by its row record and live bit, whichever is sound; its vector comes from a run whose
checksum holds, its payload from a sealed value. What does not hold is counted, not guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError, FormatError, NotADatabaseError
from pqdb.store import layout, manifest, slots, sparse
from pqdb.store.ids import INT, TEXT, UUID, id_from_key, uuid_text
from pqdb.store.layout import (
    KIND_INT,
    KIND_SHIFT,
    KIND_UUID,
    META_BYTES,
    META_PAGE,
    META_ROWS,
    PAYLOAD_FLAG,
    PIECE_BYTES,
    PIECE_ROWS,
    UNNAMED_SLOT,
    Runs,
)
from pqdb.store.moved import home_of
from pqdb.store.pages import PageFile, Value
from pqdb.store.state import State

Bytes = npt.NDArray[np.uint8]

_KEY = re.compile(r"[0-9a-f]{32}")
_SLOT_KEY_BYTES = 6  # of a run, and of a live piece of a named vector
_KEY_BYTES = {INT: 9, UUID: 17}


def is_key(name: str) -> bool:
    """Whether a folder's name is that of a collection's."""
    return _KEY.fullmatch(name) is not None


def salvaged_names(catalog: Path) -> dict[str, str]:
    """name → key of a collection's folder, as far as a damaged catalog still tells."""
    return {name: str(record["uuid"]) for name, record in salvaged_records(catalog).items()}


def salvaged_records(catalog: Path) -> dict[str, dict[str, Any]]:
    """name → record of a collection, likewise."""
    found = {}
    try:
        with PageFile(home_of(catalog)) as file:
            trees = file.trees()
            for key, value in file.items(trees["collections"]) if "collections" in trees else ():
                record = file.read(value)
                if layout.trailer_holds(record):
                    found[key.decode(errors="replace")] = json.loads(record[:-4])
    except (CorruptError, OSError):
        pass
    return found


@dataclass(frozen=True)
class SalvagedPoint:
    """A point whose id and vectors hold."""

    id: int | str
    sources: dict[int, Bytes]  # slot → its bytes, of those vectors it has; none with source=None
    payload: bytes | None
    payload_lost: bool  # it had one, which does not hold


class PointSalvage:
    """A context manager: the points of a damaged store, one after the other in the order of their rows.

    Raises CorruptError where not even the manifest can be read: then nobody knows what the bytes mean.
    """

    def __init__(self, folder: Path) -> None:
        self._file = PageFile(home_of(folder))
        try:
            self._trees = self._file.trees()
            records = {key: self._file.read(value) for key, value in self._items("main")}
            self.manifest, geometry = manifest.from_bytes(records.get(b"manifest"), "points", str(folder))
        except (NotADatabaseError, FormatError) as error:
            self._file.close()
            raise CorruptError(f"nothing of {folder} can be saved: {error}") from error
        except BaseException:
            self._file.close()
            raise
        held = slots.from_record(geometry)
        self._slots = {slot: held[slot] for slot in slots.with_vectors(held)}
        self._held: dict[int, tuple[Value, bytes | None]] = {}  # the last run that was read, of each slot
        self._forgotten = 0
        with suppress(CorruptError):
            self._forgotten = State.from_bytes(records.get(b"state"), str(folder)).forgotten_runs
        self.lost: list[int | str] = []
        """Ids of points whose vector does not hold; complete once `points` is through."""
        self.unknown = 0
        """Points that there were, but whose id cannot be told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def points(self) -> Iterator[SalvagedPoint]:
        """Every point that holds; the others are counted."""
        self._places = {name: self._by_row(name) for name in ("payloads", "texts")}
        keys = {int.from_bytes(value, "little"): key for key, value in self._values("ids", layout.ROW_BYTES)}
        alive = self._live_rows()
        self._runs, self._vectors = self._by_slot("runs"), self._by_slot(sparse.VECTORS)
        for row in sorted(alive | {row for row in keys if row // PIECE_ROWS not in self._pieces}):
            point_id, flagged = self._id_of(row, keys.get(row))
            if point_id is None:
                self.unknown += 1
                continue
            sources = self._sources(row)
            if sources is None:
                self.lost.append(point_id)
                continue
            payload, lost = self._payload(row, flagged)
            yield SalvagedPoint(point_id, sources, payload, lost)

    # -- how -------------------------------------------------------------------------------------------

    def _items(self, name: str) -> Iterator[tuple[bytes, Value]]:
        tree = self._trees.get(name)
        return iter(()) if tree is None else self._file.items(tree)

    def _values(self, name: str, size: int) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a database whose values have so many bytes."""
        for key, place in self._items(name):
            if place.size == size:
                yield key, self._file.read(place)

    def _by_row(self, name: str) -> dict[int, Value]:
        return {layout.row_of_key(key): place for key, place in self._items(name) if len(key) == layout.ROW_BYTES}

    def _by_slot(self, name: str) -> dict[tuple[int, int], Value]:
        """(slot, number) → value of a database whose keys are such."""
        return {layout.run_of_key(key): at for key, at in self._items(name) if len(key) == _SLOT_KEY_BYTES}

    def _live_rows(self) -> set[int]:
        """The rows that sound pieces of the live bits and sound pages of row records say are alive."""
        self._pieces: set[int] = set()  # that hold
        self._having: dict[tuple[int, int], Bytes | None] = {}  # slot from 1 on, piece → bits, None if they do not hold
        self._records: dict[int, Bytes] = {}  # sound pages: (META_ROWS, META_BYTES) uint8
        alive: set[int] = set()
        for key, value in self._values("live", layout.run_size(1)):
            bits = np.unpackbits(np.frombuffer(value, np.uint8, count=PIECE_BYTES), bitorder="little")
            holds = layout.trailer_holds(value)
            if len(key) == _SLOT_KEY_BYTES:
                self._having[layout.run_of_key(key)] = bits if holds else None
            elif holds and len(key) == layout.ROW_BYTES:
                piece = layout.row_of_key(key)
                self._pieces.add(piece)
                alive.update((np.flatnonzero(bits) + piece * PIECE_ROWS).tolist())
        sums = dict(self._values("sums", layout.ROW_BYTES))
        for key, value in self._values("meta", META_PAGE):
            if len(key) == layout.ROW_BYTES and sums.get(key) == layout.crc_bytes(value):
                records = np.frombuffer(value, np.uint8).reshape(META_ROWS, META_BYTES)
                self._records[layout.row_of_key(key)] = records
        return alive

    def _id_of(self, row: int, key: bytes | None) -> tuple[int | str | None, bool]:
        """The id of a row, None where it cannot be told, and whether the row should have a payload."""
        page = self._records.get(row // META_ROWS)
        if page is None:
            return self._id_from(key), row in self._places["payloads"]
        record = page[row % META_ROWS].tobytes()
        tail = int.from_bytes(record[16:], "little")
        kind, flagged = tail >> KIND_SHIFT & 3, bool(tail & PAYLOAD_FLAG)
        if kind == KIND_INT:
            return int.from_bytes(record[:8], "little"), flagged
        if kind == KIND_UUID:
            return uuid_text(record[:16]), flagged
        place = self._places["texts"].get(row)  # texts have no checksum: two places must agree
        same = place is not None and key == TEXT + self._file.read(place)
        return self._id_from(key) if same else None, flagged

    def _id_from(self, key: bytes | None) -> int | str | None:
        with suppress(UnicodeDecodeError):
            if key is not None and len(key) == _KEY_BYTES.get(key[:1], len(key)):
                return id_from_key(key)
        return None

    def _sources(self, row: int) -> dict[int, Bytes] | None:
        """What a row has in every slot; None where something that it should have does not hold."""
        found: dict[int, Bytes] = {}
        for slot, runs in self._slots.items():
            has, is_sparse = self._has(row, slot), not runs.row_bytes
            source = self._sparse(row, slot) if is_sparse else self._source(row, slot, runs)
            if source is not None and (has or (has is None and (is_sparse or source.any()))):
                found[slot] = source
            elif has and (slot != UNNAMED_SLOT or row // runs.rows_per_run >= self._forgotten):
                return None
        return found

    def _has(self, row: int, slot: int) -> bool | None:
        """Whether a row has the vector of a slot; None where its live bits do not hold."""
        if slot == UNNAMED_SLOT:
            return True
        piece, at = divmod(row, PIECE_ROWS)
        if (slot, piece) not in self._having:
            return False
        bits = self._having[slot, piece]
        return None if bits is None else bool(bits[at])

    def _source(self, row: int, slot: int, runs: Runs) -> Bytes | None:
        """The source row, out of a run whose checksum holds; rows come in order, so the last run is kept."""
        place = self._runs.get((slot, row // runs.rows_per_run))
        if place is None or place.size != runs.run_bytes:
            return None
        held = self._held.get(slot)
        if held is None or held[0] != place:
            value = self._file.read(place)
            held = self._held[slot] = place, value if layout.trailer_holds(value) else None
        if held[1] is None:
            return None
        return np.frombuffer(held[1], np.uint8, runs.row_bytes, row % runs.rows_per_run * runs.row_bytes)

    def _sparse(self, row: int, slot: int) -> Bytes | None:
        """The sparse vector of a row, if its checksum holds."""
        place = self._vectors.get((slot, row))
        value = b"" if place is None else self._file.read(place)
        return np.frombuffer(value[:-4], np.uint8) if layout.trailer_holds(value) else None

    def _payload(self, row: int, flagged: bool) -> tuple[bytes | None, bool]:
        """The payload, and whether it is lost."""
        if not flagged:
            return None, False
        place = self._places["payloads"].get(row)
        value = b"" if place is None else self._file.read(place)
        return (value[:-4], False) if layout.trailer_holds(value) else (None, True)
