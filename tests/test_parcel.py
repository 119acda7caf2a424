"""One collection as one file, taken while others write it, and put in the place of another in one commit."""

import io
import os
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb import checking, parcel
from tests.conftest import SEED
from tests.data import clustered
from tests.stories.damage import ForkedCheck

DIM, ROWS = 8, 300
VECTORS = clustered(ROWS, DIM, seed=SEED)


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks fork their process here, as importing pqdb anew costs a second."""
    monkeypatch.setattr(checking, "start_child", ForkedCheck)


@pytest.fixture
def docs(db: pqdb.Database) -> pqdb.Collection:
    made = db.create_collection("docs", DIM, metadata={"by": "me"})
    made.upsert(range(ROWS), VECTORS, [{"n": row} for row in range(ROWS)])
    made.create_payload_index("n", "integer")
    made.train()
    db.set_alias("live", "docs")
    db.create_collection("other", 3).upsert([1], np.ones(3))
    return made


def seen(collection: pqdb.Collection) -> list[Any]:
    page = collection.scroll(10_000, with_vector=True)
    return [(point.id, point.payload, point.vector.tolist(), point.version) for point in page.points]


def test_it_comes_back_as_it_was(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    db.set_metadata("docs", {"by": "you"})
    before, found = seen(docs), docs.search(VECTORS[:5], 10).ids.tolist()
    db.backup_collection("live", tmp_path / "docs.tar")
    docs.delete(range(0, ROWS, 2))
    docs.upsert([7, "new"], VECTORS[:2])
    back = db.restore_collection("live", tmp_path / "docs.tar")
    assert (seen(back), back.search(VECTORS[:5], 10).ids.tolist()) == (before, found)
    assert (back.name, back.metadata, back.info()["generation"]) == ("docs", {"by": "you"}, 1)
    assert db["live"] is db["docs"] is back
    assert back.count({"must": {"key": "n", "range": {"lt": 10}}}) == 10
    assert back.verify() == []
    with pytest.raises(pqdb.ClosedError, match="was dropped"):
        docs.count()
    back.upsert(["more"], VECTORS[:1])
    report = pqdb.check(db.path)
    assert (report.problems, report.leftovers) == ([], [])


def test_it_becomes_a_collection_where_there_is_none(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    db.backup_collection("docs", tmp_path / "deep" / "docs.tar")
    again = db.restore_collection("again", tmp_path / "deep" / "docs.tar")
    assert seen(again) == seen(docs)
    again.delete([1])
    assert 1 in docs
    with pqdb.open(tmp_path / "elsewhere") as elsewhere:
        assert len(elsewhere.restore_collection("docs", tmp_path / "deep" / "docs.tar")) == ROWS
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["docs.tar"]


def test_the_file_unpacks_into_a_database(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    db.backup_collection("docs", tmp_path / "docs.tar")
    with tarfile.open(tmp_path / "docs.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    with pqdb.open(tmp_path / "unpacked", read_only=True) as copy:
        assert copy.collections() == ["docs"]
        assert seen(copy["docs"]) == seen(docs)


def test_vectors_with_names_come_along(db: pqdb.Database, tmp_path: Path) -> None:
    vectors = {"a": pqdb.VectorConfig(DIM), "b": pqdb.VectorConfig(3, "l1")}
    made = db.create_collection("named", vectors=vectors)
    made.upsert(range(20), {"a": VECTORS[:20], "b": [np.ones(3), None] * 10})
    db.backup_collection("named", tmp_path / "named.tar")
    made.delete(range(20))
    back = db.restore_collection("named", tmp_path / "named.tar")
    assert (len(back), dict(back.vectors)) == (20, vectors)
    assert len(back.search(np.ones(3), 20, using="b")) == 10


def test_it_is_one_moment_of_a_busy_collection(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    """Every commit writes ten points of one number; a backup has whole commits only."""
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            docs.upsert(range(1_000, 1_010), VECTORS[:10], [{"round": number}] * 10)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            db.backup_collection("docs", tmp_path / f"{number}.tar")
    finally:
        over.set()
        writer.join()
    for number in range(3):
        back = db.restore_collection("back", tmp_path / f"{number}.tar")
        assert [count for _, count in back.facet("round")] in ([], [10])
        assert back.verify() == []


# -- what is refused changes nothing


def refused(db: pqdb.Database, file: Path, kind: type[Exception], words: str) -> None:
    before, folders = seen(db["docs"]), sorted(each.name for each in db.path.iterdir())
    with pytest.raises(kind, match=words):
        db.restore_collection("docs", file)
    assert seen(db["docs"]) == before
    assert sorted(each.name for each in db.path.iterdir()) == folders


def test_damage_is_refused_wherever_it_is(
    docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path, rng: np.random.Generator
) -> None:
    whole = tmp_path / "docs.tar"
    db.backup_collection("docs", whole)
    raw = whole.read_bytes()
    bad = tmp_path / "bad.tar"
    for length in (0, 511, 700, len(raw) // 2):
        bad.write_bytes(raw[:length])
        refused(db, bad, pqdb.CorruptError, "bad.tar")
    for _ in range(5):
        flipped = bytearray(raw)
        for at in rng.integers(0, len(raw), 2_000):
            flipped[at] ^= 1 << int(rng.integers(8))
        bad.write_bytes(flipped)
        refused(db, bad, pqdb.CorruptError, "bad.tar")
    refused(db, tmp_path / "absent.tar", pqdb.StorageError, "absent.tar")


def tar_of(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for member, raw in members:
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return file


def link(name: str, to: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, to
    return made


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside/data.mdb"),
        tarfile.TarInfo("/outside/data.mdb"),
        tarfile.TarInfo("catalog/../../outside.mdb"),
        tarfile.TarInfo("catalog/lock.mdb"),
        tarfile.TarInfo("readme"),
        link("catalog/data.mdb", "/etc/passwd"),
        link("catalog", "/tmp"),
    ],
    ids=lambda member: member.name,
)
def test_files_that_no_backup_has_are_refused(
    docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    refused(db, tar_of(tmp_path / "bad.tar", (member, b"x")), pqdb.CorruptError, "no backup of a collection: it holds")
    assert not (db.path / "outside").exists()
    assert not (db.path.parent / "outside").exists()


def test_a_backup_of_several_or_none_is_refused(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    """Each as whole as it may be."""
    db.backup(tmp_path / "all")
    with pqdb.open(tmp_path / "empty") as empty:
        empty.backup(tmp_path / "none")
    for folder, words in (("all", "it holds 2"), ("none", "it holds 0")):
        file = tmp_path / f"{folder}.tar"
        with tarfile.open(file, "w") as tar:
            for each in (tmp_path / folder).rglob("data.mdb"):
                tar.add(each, each.relative_to(tmp_path / folder))
        refused(db, file, pqdb.CorruptError, words)
    catalog = (tmp_path / "none" / "catalog" / "data.mdb").read_bytes()
    twice = tar_of(tmp_path / "twice.tar", *[(tarfile.TarInfo("catalog/data.mdb"), catalog)] * 2)
    refused(db, twice, pqdb.CorruptError, "it holds 'catalog/data.mdb'")
    refused(db, tar_of(tmp_path / "nothing.tar"), pqdb.CorruptError, "no catalog")


def test_what_killed_processes_put_aside_is_deleted_after_an_hour(
    docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path
) -> None:
    def put(folder: Path, doing: str, seconds: float) -> Path:
        """As of a process that was killed so long ago."""
        aside = parcel.aside_of(folder, doing)
        (aside / "database").mkdir(parents=True)
        inside = aside / "database" / "data.mdb"
        inside.write_bytes(b"half")
        for each in (inside, inside.parent, aside):
            os.utime(each, (time.time() - seconds,) * 2)
        return aside

    parcels = tmp_path / "parcels"
    old = [put(parcels, "packing", 4_000), put(db.path, "restoring", 4_000)]
    young = [put(parcels, "packing", 3_000), put(db.path, "restoring", 3_000)]
    foreign = parcels / (".cache-" + "0" * 32)
    foreign.mkdir()
    os.utime(foreign, (0, 0))
    upload = parcels / f".pqdb-upload-{'1' * 32}"
    upload.write_bytes(b"half")
    os.utime(upload, (time.time() - 4_000,) * 2)
    db.backup_collection("docs", parcels / "docs.tar")
    db.restore_collection("docs", parcels / "docs.tar")
    assert not any(each.exists() for each in (*old, upload))
    assert all(each.exists() for each in (*young, foreign))


def test_who_may_not_is_told(docs: pqdb.Collection, db: pqdb.Database, tmp_path: Path) -> None:
    file = tmp_path / "docs.tar"
    db.backup_collection("docs", file)
    with pytest.raises(pqdb.StorageError, match="is there already"):
        db.backup_collection("docs", file)
    with pytest.raises(pqdb.CollectionNotFoundError, match="no collection 'nobody'"):
        db.backup_collection("nobody", tmp_path / "nobody.tar")
    with pytest.raises(pqdb.InputError, match="cannot hold"):
        db.restore_collection("a/b", file)
    db.close()
    with pqdb.open(db.path, read_only=True) as reader:
        reader.backup_collection("docs", tmp_path / "by a reader.tar")
        with pytest.raises(pqdb.ReadOnlyError):
            reader.restore_collection("docs", file)
