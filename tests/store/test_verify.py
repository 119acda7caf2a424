"""Verify: a sound store has no problems, and a flipped byte anywhere in use is one."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pqdb.errors import PqdbError
from pqdb.store import BlockStore, Catalog, PointStore, datafile
from pqdb.store.layout import row_key, run_key

Maker = Callable[..., np.ndarray]
UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d4"


@pytest.fixture
def lived_in(points: PointStore, rows: Maker) -> PointStore:
    """Points of all kinds, some updated, some gone."""
    ids = [*range(200), *[f"{UUID}{n:02x}" for n in range(100)], *[f"id {n}" for n in range(100)]]
    with points.write() as batch:
        batch.upsert(ids, rows(400), [b"payload %d" % n for n in range(400)])
    with points.write() as batch:
        batch.upsert(ids[::3], rows(134, 1))
        batch.delete(ids[::7])
        batch.forget_source(80)
    return points


@pytest.fixture
def indexed(blocks: BlockStore, rows: Maker) -> BlockStore:
    with blocks.write() as batch:
        batch.begin_generation(1, 20)
        for list_no in range(0, 20, 2):
            batch.put_list(1, list_no, 30, rows(30, list_no), rows(60, list_no) if list_no % 4 else None)
        batch.put_object(1, "codebook", rows(20))
        batch.set_current(1, 300)
    return blocks


def problems_at_rest(store: type, path: Path) -> list[str]:
    """What opening and verifying finds; one that cannot be opened says so."""
    found = datafile.walk(path)
    if found:
        return found  # a damaged structure is not handed to LMDB
    try:
        with store.open(path) as opened:
            return opened.verify()
    except PqdbError as error:
        return [str(error)]


def used_bytes(path: Path, sample: int) -> list[int]:
    """Offsets of bytes in pages that are in use (not metas, not free)."""
    raw = (path / "data.mdb").read_bytes()
    pages = [page for page in range(2, len(raw) // 4096) if any(raw[page * 4096 : page * 4096 + 4096])]
    chosen = random.Random(3).choices(pages, k=sample)
    return [page * 4096 + random.Random(page * 7919 + n).randrange(4096) for n, page in enumerate(chosen)]


@pytest.mark.parametrize("kind", ["points", "index"])
def test_a_flipped_byte_is_found(lived_in: PointStore, indexed: BlockStore, kind: str) -> None:
    """Bytes that nobody reads (free pages, gaps in half-full pages, padding of blocks) may flip unnoticed."""
    store = lived_in if kind == "points" else indexed
    store.close()
    path = store.path
    data = path / "data.mdb"
    whole = data.read_bytes()
    noticed = 0
    for offset in used_bytes(path, 120):
        data.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x55]) + whole[offset + 1 :])
        noticed += bool(problems_at_rest(type(store), path))
    data.write_bytes(whole)
    assert problems_at_rest(type(store), path) == []
    assert noticed >= 60, noticed


def overwrite(store: PointStore | BlockStore, name: str, key: bytes, change: Callable[[bytearray], None]) -> None:
    txn = store.env.begin_write()
    value = bytearray(txn.get(key, db=store.env.dbs[name]))
    change(value)
    txn.put(key, value, db=store.env.dbs[name])
    txn.commit()
    store.env.end_write()


@pytest.mark.parametrize(
    ("name", "key", "at", "says"),
    [
        ("runs", run_key(20), 100, "source run 20"),
        ("runs", run_key(66), -8, "source run 66 of 6 rows"),
        ("meta", row_key(1), 5, "page 1 of row records"),
        ("sums", row_key(2), 0, "page 2 of row records"),
        ("live", row_key(0), 3, "live bits of piece 0"),
        ("live", row_key(0), 4000, "live bits of piece 0"),
        ("payloads", row_key(1), 2, "payload of row 1 "),
        ("texts", row_key(302), 1, "leads to row 302, whose record has another id"),
        ("ids", b"\0" + (5).to_bytes(8, "big"), 0, "which is dead, another's or not there"),
        ("main", b"state", 10, "state record"),
    ],
)
def test_each_kind_of_value_is_checked(lived_in: PointStore, name: str, key: bytes, at: int, says: str) -> None:
    def flip(value: bytearray) -> None:
        value[at] ^= 1

    assert lived_in.verify() == []
    overwrite(lived_in, name, key, flip)
    assert any(says in problem for problem in lived_in.verify()), lived_in.verify()


@pytest.mark.parametrize("name", ["runs", "meta", "sums", "live", "payloads", "texts", "ids"])
def test_what_is_missing_is_missed(lived_in: PointStore, name: str) -> None:
    txn = lived_in.env.begin_write()
    cursor = txn.cursor(db=lived_in.env.dbs[name])
    cursor.last()
    cursor.delete()
    txn.commit()
    lived_in.env.end_write()
    assert lived_in.verify()


def test_what_is_too_much_is_noticed(lived_in: PointStore) -> None:
    for name, key, value in (
        ("runs", run_key(1000), b"x"),
        ("payloads", row_key(0), b"x"),
        ("texts", row_key(1), b"x"),
        ("ids", b"\0" + bytes(8), (1).to_bytes(4, "little")),
    ):
        txn = lived_in.env.begin_write()
        txn.put(key, value, db=lived_in.env.dbs[name])
        txn.commit()
        lived_in.env.end_write()
        assert lived_in.verify(), name
        txn = lived_in.env.begin_write()
        txn.delete(key, db=lived_in.env.dbs[name])
        txn.commit()
        lived_in.env.end_write()
        assert lived_in.verify() == []


def test_blocks_objects_and_tables_are_checked(indexed: BlockStore) -> None:
    assert indexed.verify() == []
    for name, at, says in (
        ("blocks", 1000, "its checksum differs"),
        ("objects", 10, "object 'codebook' of generation 1"),
        ("lists", 10, "list table of generation 1"),
        ("generations", 0, "record of generation 1"),
    ):
        with indexed.env.read() as txn:
            cursor = txn.cursor(db=indexed.env.dbs[name])
            cursor.first()
            key = bytes(cursor.key())

        def flip(value: bytearray, at: int = at) -> None:
            value[at] ^= 1

        overwrite(indexed, name, key, flip)
        assert any(says in problem for problem in indexed.verify()), name
        overwrite(indexed, name, key, flip)
        assert indexed.verify() == []


def test_a_list_without_its_block_and_a_block_without_its_list_are_noticed(indexed: BlockStore) -> None:
    txn = indexed.env.begin_write()
    cursor = txn.cursor(db=indexed.env.dbs["blocks"])
    cursor.first()
    key, value = bytes(cursor.key()), bytes(cursor.value())
    txn.delete(key, db=indexed.env.dbs["blocks"])
    txn.put(key[:7] + b"\x01" + key[8:], value, db=indexed.env.dbs["blocks"])
    txn.commit()
    indexed.env.end_write()
    assert indexed.verify() == ["block 1/0/0 is missing", "block 1/1/0 belongs to no list"]


def test_a_catalog_is_checked(tmp_path: Path) -> None:
    with Catalog.create(tmp_path / "c") as catalog:
        with catalog.write() as batch:
            batch.add("docs", {"uuid": "1"})
        assert catalog.verify() == []
        txn = catalog.env.begin_write()
        txn.put(b"docs", b"{}....", db=catalog.env.dbs["collections"])
        txn.commit()
        catalog.env.end_write()
        assert "collection's record" in catalog.verify()[0]
