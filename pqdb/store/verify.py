"""Everything on disk read and compared: the file's structure first, then checksums, then who refers to whom.

The structure is walked by plain reads, because LMDB may lose rows silently or abort on a damaged page header;
only a sound structure is read through LMDB.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store import layout
from pqdb.store.blocklayout import (
    HEADER_BYTES,
    KINDS,
    RERANK,
    BlockHeader,
    ListTable,
    block_key,
    read_block_key,
    read_generation_key,
)
from pqdb.store.blockview import list_table
from pqdb.store.deriving import Deriving
from pqdb.store.environment import Environment
from pqdb.store.layout import (
    KIND_INT,
    KIND_SHIFT,
    KIND_TEXT,
    KIND_UUID,
    META_BYTES,
    META_PAGE,
    META_ROWS,
    PAYLOAD_FLAG,
    PIECE_ROWS,
    UNNAMED_SLOT,
    Runs,
    piece_key,
    row_key,
    run_key,
)
from pqdb.store.mapping import Txn
from pqdb.store.segments import PAIR_BYTES, SEGMENT_ROWS, Pairs
from pqdb.store.segments import from_bytes as segment_from_bytes
from pqdb.store.sparse import Sparse
from pqdb.store.state import DROPPED, KEY, State, dropped_from_bytes, key_of
from pqdb.store.tables import Derive, Key, entries_of

MAX_PROBLEMS = 100
Words = npt.NDArray[np.uint64]
Live = npt.NDArray[np.bool_]


def verify_points(env: Environment, runs: Mapping[int, Runs], deriving: Deriving) -> list[str]:
    """The problems of a points store, at most MAX_PROBLEMS of them."""
    problems = env.structural_problems()
    if problems:
        return problems[:MAX_PROBLEMS]
    try:
        with env.read() as txn:
            return list(islice(_points(txn, env, runs, deriving), MAX_PROBLEMS))
    except CorruptError as error:
        return [str(error)]


def _points(txn: Txn, env: Environment, runs: Mapping[int, Runs], deriving: Deriving) -> Iterator[str]:
    dbs = env.dbs
    state = State.from_bytes(txn.get(KEY, db=dbs["main"]), str(env.path))
    dropped_from_bytes(txn.get(DROPPED, db=dbs["main"]), str(env.path))
    live: Live = np.zeros(state.n_rows, np.bool_)
    tails: Words = np.zeros(state.n_rows, np.uint64)
    ids = np.zeros((state.n_rows, 16), np.uint8)
    yield from _live(txn, dbs["live"], state, live)
    yield from _sources(txn, env, state, runs, live)
    yield from _meta(txn, dbs, state, live, tails, ids)
    yield from _ids(txn, dbs, live, tails, ids)
    flagged = live & (tails & np.uint64(PAYLOAD_FLAG) != 0)
    yield from _row_values(txn, dbs["payloads"], "payload", flagged, sealed=True)
    texts = live & (tails >> np.uint64(KIND_SHIFT) & np.uint64(3) == KIND_TEXT)
    yield from _row_values(txn, dbs["texts"], "string id", texts, sealed=False)
    derived = deriving.of(txn, state)
    if derived.has_tables:
        yield from _tables(txn, dbs, derived.derive or (lambda _: frozenset()))


def _sources(txn: Txn, env: Environment, state: State, runs: Mapping[int, Runs], live: Live) -> Iterator[str]:
    """The runs of every slot, and which rows have the vectors with names."""
    there: list[int] = []
    for slot, each in runs.items():
        held, having = state, live
        if slot != UNNAMED_SLOT:
            value = txn.get(key_of(slot), db=env.dbs["main"])
            held = state.of_slot(State.from_bytes(value, f"slot {slot} of {env.path}"))
            having = np.zeros(state.n_rows, np.bool_)
            yield from _live(txn, env.dbs["live"], held, having, slot)
            if (having & ~live).any():
                yield f"{int((having & ~live).sum())} dead rows have a vector of slot {slot}"
        if each.row_bytes:
            yield from _runs(txn, env.dbs["runs"], held, each, having, slot, there)
        elif slot != UNNAMED_SLOT:
            yield from _sparse(Sparse(txn, env.dbs, slot), having, slot)
    entries = txn.stat(env.dbs["runs"])["entries"]
    if entries != sum(there):
        yield f"there are {entries} source runs, {entries - sum(there)} of them forgotten or beyond the last row"


def _runs(
    txn: Txn, db: Any, state: State, runs: Runs, live: Live, slot: int, there: list[int]
) -> Iterator[str]:
    """Only runs without a living row may be missing; how many are not goes to `there`."""
    per_run, whose = runs.rows_per_run, f" of slot {slot}" if slot else ""
    n_runs = -(-state.n_rows // per_run)
    for run in range(state.forgotten_runs, n_runs):
        value = txn.get(run_key(run, slot), db=db)
        there.append(value is not None)
        rows = min(per_run, state.n_rows - run * per_run)
        living = live[run * per_run : run * per_run + rows]
        if value is None:
            if living.any() or (rows < per_run and slot == UNNAMED_SLOT):
                yield f"source run {run}{whose} is missing"
        elif len(value) != runs.run_bytes:
            yield f"source run {run}{whose} has {len(value)} bytes, not {runs.run_bytes}"
        elif not _is_filled(layout.closed_run(value), rows, living, slot):
            yield f"source run {run}{whose} of {rows} rows is not what was written: checksum or count differs"


def _sparse(reading: Sparse, having: Live, slot: int) -> Iterator[str]:
    """Every living row has its vector, and no other has one; and so with segments."""
    missing, whose = having.copy(), f"of slot {slot}"
    for row, value in reading.sealed():
        if row >= len(having) or not having[row]:
            yield f"a sparse vector {whose} is that of row {row}, which has none"
        elif not layout.trailer_holds(value) or (len(value) - 4) % PAIR_BYTES:
            yield f"the sparse vector {whose} of row {row} is not what was written: its checksum differs"
        else:
            missing[row] = False
    for row in np.flatnonzero(missing).tolist():
        yield f"the sparse vector {whose} of row {row} is missing, or not what was written"
    n_segments, kept = len(having) // SEGMENT_ROWS, dict(reading.kept())
    for number in range(n_segments):
        living = having[number * SEGMENT_ROWS : (number + 1) * SEGMENT_ROWS]
        yield from _segment(kept.get(number), reading.pairs(number), living, f"segment {number} {whose}")
    for number in kept:
        if number >= n_segments:
            yield f"segment {number} {whose} lies behind the last row"


def _segment(value: memoryview | None, said: Pairs, living: Live, what: str) -> Iterator[str]:
    """It holds what the vectors of its living rows say."""
    if value is None:
        if len(said.dims):
            yield f"{what} is missing"
        return
    try:
        found = segment_from_bytes(value, what)
    except CorruptError as error:
        yield str(error)
        return
    if not found.of(living[found.rows]).same_as(said):
        yield f"{what} holds other pairs than the vectors of its rows"


def _is_filled(filled: int | None, rows: int, living: Live, slot: int) -> bool:
    """Whether a run says that it holds what it should: all rows, of a named vector at least those that have it."""
    if slot == UNNAMED_SLOT or filled is None:
        return filled == rows
    return len(living) - int(living[::-1].argmax()) <= filled <= rows if living.any() else filled <= rows


def _live(txn: Txn, db: Any, state: State, live: Live, slot: int = UNNAMED_SLOT) -> Iterator[str]:
    whose = f" of slot {slot}" if slot else ""
    for piece in range(len(state.piece_versions)):
        if slot != UNNAMED_SLOT and not state.piece_versions[piece]:
            continue
        value = txn.get(piece_key(piece, slot), db=db)
        if value is None or not layout.trailer_holds(value):
            yield f"live bits{whose} of piece {piece} are missing or not what was written"
            continue
        bits = np.unpackbits(np.frombuffer(value, np.uint8, count=layout.PIECE_BYTES), bitorder="little")
        first = piece * PIECE_ROWS
        live[first : first + PIECE_ROWS] = bits[: len(live) - first]
        if bits[max(0, len(live) - first) :].any():
            yield f"live bits{whose} of piece {piece} are set beyond row {len(live)}"
    if int(live.sum()) != state.n_live:
        yield f"{int(live.sum())} live bits{whose} are set for {state.n_live} points"


def _meta(
    txn: Txn, dbs: dict[str, Any], state: State, live: Live, tails: Words, ids: npt.NDArray[np.uint8]
) -> Iterator[str]:
    """Only full pages without a living row may be missing."""
    for page in range(-(-state.n_rows // META_ROWS)):
        value = txn.get(row_key(page), db=dbs["meta"])
        crc = txn.get(row_key(page), db=dbs["sums"])
        rows = live[page * META_ROWS : (page + 1) * META_ROWS]
        if value is None and crc is None and len(rows) == META_ROWS and not rows.any():
            continue
        if value is None or crc is None or len(value) != META_PAGE or layout.crc_bytes(value) != bytes(crc):
            yield f"page {page} of row records is missing or not what was written"
            continue
        first = page * META_ROWS
        records = np.frombuffer(value, np.uint8).reshape(META_ROWS, META_BYTES)[: len(tails) - first]
        ids[first : first + META_ROWS] = records[:, :16]
        tails[first : first + META_ROWS] = np.ascontiguousarray(records[:, 16:]).view(np.uint64)[:, 0]
    newest = int((tails & np.uint64(layout.VERSION_MASK)).max(initial=0))
    if newest > state.seq:
        yield f"a row record has version {newest}, after the last commit {state.seq}"


def _ids(
    txn: Txn, dbs: dict[str, Any], live: Live, tails: Words, ids: npt.NDArray[np.uint8]
) -> Iterator[str]:
    seen: Live = np.zeros(len(live), np.bool_)
    for key, value in txn.cursor(db=dbs["ids"]):
        row = int.from_bytes(value, "little")
        if len(value) != layout.ROW_BYTES or row >= len(live) or not live[row] or seen[row]:
            yield f"id {bytes(key).hex()} leads to row {row}, which is dead, another's or not there"
            continue
        seen[row] = True
        if bytes(key) != _key_of(txn, dbs, row, int(tails[row]) >> KIND_SHIFT & 3, ids[row].tobytes()):
            yield f"id {bytes(key).hex()} leads to row {row}, whose record has another id"
    lost = int((live & ~seen).sum())
    if lost:
        yield f"{lost} live rows have no id that leads to them"


def _key_of(txn: Txn, dbs: dict[str, Any], row: int, kind: int, raw: bytes) -> bytes:
    if kind == KIND_INT:
        return bytes([kind]) + raw[7::-1]
    if kind == KIND_UUID:
        return bytes([kind]) + raw
    return bytes([kind]) + bytes(txn.get(row_key(row), b"", db=dbs["texts"]))


def _row_values(txn: Txn, db: Any, what: str, expected: Live, sealed: bool) -> Iterator[str]:
    n = 0
    for key, value in txn.cursor(db=db):
        n += 1
        row = layout.row_of_key(key) if len(key) == layout.ROW_BYTES else len(expected)
        if row >= len(expected) or not expected[row]:
            yield f"there is a {what} of row {row}, which should have none"
        elif sealed and not layout.trailer_holds(value):
            yield f"the {what} of row {row} is not what was written: its checksum differs"
    if n != int(expected.sum()):
        yield f"there are {n} {what}s for {int(expected.sum())} rows that should have one"


def _tables(txn: Txn, dbs: dict[str, Any], derive: Derive) -> Iterator[str]:
    """Entries against what payloads say: as many, and the same sum of hashes, in every table."""
    there: dict[int, list[int]] = {}
    said: dict[int, list[int]] = {}
    for table, key, rows in entries_of(txn, dbs):
        for row in rows:
            _tally(there, table, key, row)
    for name, value in txn.cursor(db=dbs["payloads"]):
        for table, key in derive(bytes(value[:-4])) if layout.trailer_holds(value) else ():
            _tally(said, table, key, layout.row_of_key(name))
    for table in sorted(there.keys() | said.keys()):
        found, expected = there.get(table, [0, 0]), said.get(table, [0, 0])
        if found != expected:
            yield f"table {table} has {found[0]} entries, not the {expected[0]} that payloads say, or others than those"


def _tally(tallies: dict[int, list[int]], table: int, key: Key, row: int) -> None:
    tally = tallies.setdefault(table, [0, 0])
    tally[0] += 1
    tally[1] += hash((key, row))


def verify_blocks(env: Environment) -> list[str]:
    """The problems of an index, at most MAX_PROBLEMS of them."""
    problems = env.structural_problems()
    if problems:
        return problems[:MAX_PROBLEMS]
    try:
        with env.read() as txn:
            return list(islice(_generations(txn, env), MAX_PROBLEMS))
    except CorruptError as error:
        return [str(error)]


def _generations(txn: Txn, env: Environment) -> Iterator[str]:
    dbs, where = env.dbs, str(env.path)
    tables: dict[int, ListTable] = {}
    for key in txn.cursor(db=dbs["generations"]).iternext(values=False):
        generation = read_generation_key(key)
        tables[generation] = list_table(txn, dbs, generation, where)
        yield from _filled_lists(txn, dbs["blocks"], generation, tables[generation])
    for key, value in txn.cursor(db=dbs["objects"]):
        if not layout.trailer_holds(value):
            generation, name = read_generation_key(key[:4]), bytes(key[4:]).decode(errors="replace")
            yield f"object {name!r} of generation {generation} is not what was written: its checksum differs"
    for key in txn.cursor(db=dbs["blocks"]).iternext(values=False):
        generation, list_no, kind = read_block_key(key)
        table = tables.get(generation)
        if table is None or list_no >= len(table) or kind not in KINDS or not table[list_no]["count"]:
            yield f"block {generation}/{list_no}/{kind} belongs to no list"


def _filled_lists(txn: Txn, db: Any, generation: int, table: ListTable) -> Iterator[str]:
    for list_no in np.flatnonzero(table["count"]).tolist():
        for kind in KINDS:
            value = txn.get(block_key(generation, list_no, kind), db=db)
            what = f"block {generation}/{list_no}/{kind}"
            if value is None:
                if kind != RERANK:
                    yield f"{what} is missing"
                continue
            try:
                header = BlockHeader.from_bytes(value, what)
            except CorruptError as error:
                yield str(error)
                continue
            if header.place() != (kind, generation, list_no, *table[list_no].tolist()):
                yield f"{what} is another one: its header says {header.place()}"
            elif zlib.crc32(value[HEADER_BYTES : HEADER_BYTES + header.data_bytes]) != header.data_crc:
                yield f"{what} is not what was written: its checksum differs"
