"""An import or export that is killed goes on where it was when it is run again."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.moving import exporting, importing
from pqdb.moving.staging import Staging
from tests.moving.test_round_trip import NAMES
from tests.processes import Children

N, DIM, BATCH = 3_000, 4, 100
ROWS = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)

children = Children("tests.moving.children")


def run(verb: str, folder: Path, name: str, kill_at: int = 0) -> list[int]:
    """What a process reported to have done, until its end or until it was killed."""
    with children.talk(verb, folder, name, kill_at) as child:
        said = child.hear_all()
        assert child.wait() == (-signal.SIGKILL if kill_at else 0), child.complaint()
    return [int(line) for line in said]


@pytest.fixture
def things(tmp_path: Path) -> Path:
    with pqdb.open(tmp_path / "one", upkeep="manual") as db:
        db.create_collection("things", DIM, "l2").upsert(range(N), ROWS, [{"n": i} for i in range(N)])
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_killed_verbs_go_on(things: Path, name: str) -> None:
    assert run("export", things, name, kill_at=1_000)[-1] == 1_000
    assert not (things / name).exists()
    assert (things / f"{name}.parts").is_dir()
    again = run("export", things, name)
    assert (again[0], again[-1]) == (1_000, N)
    assert not (things / f"{name}.parts").exists()
    assert run("import_", things, name, kill_at=1_500)[-1] == 1_500
    with pqdb.open(things / "other", upkeep="manual") as db:
        assert len(db["things"]) == 1_500
        db["things"].delete([0])  # what is done is not done again
    again = run("import_", things, name)
    assert (again[0], again[-1]) == (1_500, N)
    with pqdb.open(things / "other", upkeep="manual") as db:
        assert len(db["things"]) == N - 1
        last = db["things"].get([N - 1], with_vector=True)[0]
        assert last.payload == {"n": N - 1}
        np.testing.assert_array_equal(last.vector, ROWS[-1])  # type: ignore[arg-type]
        assert not list(db["things"].folder.glob("import-*"))


class Killed(BaseException):
    """Stands for a kill at a chosen instant."""


def killed(verb: Callable[..., Any], *words: Any, **given: Any) -> None:
    with pytest.raises(Killed):
        verb(*words, **given)


def test_a_kill_between_commit_and_record_writes_a_batch_twice(
    things: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(things / "in.npy", ROWS)
    with pqdb.open(things / "db", upkeep="manual") as db:
        with monkeypatch.context() as patch:
            patch.setattr(importing.records, "save", lambda *_: (_ for _ in ()).throw(Killed()))
            killed(pqdb.import_points, db, "in", things / "in.npy", batch=BATCH, metric="l2")
        assert len(db["in"]) == BATCH
        assert pqdb.import_points(db, "in", things / "in.npy", batch=BATCH) == N
        assert len(db["in"]) == N


def test_a_file_that_has_changed_is_read_from_its_beginning(things: Path) -> None:
    np.save(things / "in.npy", ROWS)
    seen: list[int] = []

    def kill(done: int, total: int | None) -> None:
        if done:
            raise Killed

    with pqdb.open(things / "db", upkeep="manual") as db:
        killed(pqdb.import_points, db, "in", things / "in.npy", batch=BATCH, progress=kill, metric="l2")
        np.save(things / "in.npy", ROWS[:500])
        pqdb.import_points(db, "in", things / "in.npy", batch=BATCH, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0
    assert seen[-1] == 500


def test_ids_that_have_changed_beside_the_same_vectors_are_read_from_their_beginning(things: Path) -> None:
    np.save(things / "in.npy", ROWS)
    lines = things / "ids.jsonl"

    def write(first: int) -> None:
        lines.write_text("".join(f'{{"id": {first + i}, "key": "k{first + i}"}}\n' for i in range(N)))

    def kill(done: int, total: int | None) -> None:
        if done:
            raise Killed

    def ids(made: pqdb.Collection) -> list[int | str]:
        return [point.id for point in made.scroll(3 * N).points]

    with pqdb.open(things / "db", upkeep="manual") as db:
        given: dict[str, Any] = {"points": lines, "batch": BATCH, "metric": "l2"}
        write(0)
        killed(pqdb.import_points, db, "in", things / "in.npy", progress=kill, **given)
        write(10_000)
        pqdb.import_points(db, "in", things / "in.npy", **given)
        assert ids(db["in"]) == [*range(BATCH), *range(10_000, 10_000 + N)]
        killed(pqdb.import_points, db, "in", things / "in.npy", progress=kill, **given)
        pqdb.import_points(db, "in", things / "in.npy", **given, id_column="key")
        assert ids(db["in"])[BATCH + N :] == sorted(f"k{10_000 + i}" for i in range(N))


def test_an_export_of_vectors_takes_no_other_exports_place(things: Path) -> None:
    with pqdb.open(things / "one", upkeep="manual") as db:
        pqdb.export_points(db["things"], things / "out.jsonl")
        before = (things / "out.jsonl").read_bytes()
        with pytest.raises(pqdb.StorageError, match=r"out.jsonl is there, where ids and payloads beside out.npy go"):
            pqdb.export_points(db["things"], things / "out.npy")
        assert (things / "out.jsonl").read_bytes() == before
        for _ in range(2):  # its own is
            pqdb.export_points(db["things"], things / "again.npy")
        pqdb.export_points(db["things"], things / "OUT.JSONL.GZ")
        assert (things / "OUT.JSONL.GZ").read_bytes()[:2] == b"\x1f\x8b"
        assert pqdb.import_points(db, "gz", things / "OUT.JSONL.GZ", metric="l2") == N


def test_begun_afresh_where_that_is_asked_for(things: Path) -> None:
    np.save(things / "in.npy", ROWS)
    seen: list[int] = []

    def kill(done: int, total: int | None) -> None:
        if done:
            raise Killed

    def note(done: int, total: int | None) -> None:
        seen.append(done)

    with pqdb.open(things / "db", upkeep="manual") as db:
        killed(pqdb.import_points, db, "in", things / "in.npy", batch=BATCH, progress=kill, metric="l2")
        pqdb.import_points(db, "in", things / "in.npy", batch=BATCH, resume=False, progress=note)
        assert seen[0] == 0
        killed(pqdb.export_points, db["in"], things / "out.npy", batch=BATCH, progress=kill)
        pqdb.export_points(db["in"], things / "out.npy", batch=BATCH, resume=False, progress=note)
        assert seen.count(0) == 2
    np.testing.assert_array_equal(np.load(things / "out.npy"), ROWS)


def test_what_was_left_of_another_collection_is_not_gone_on_with(things: Path) -> None:
    def kill(done: int, total: int | None) -> None:
        if done:
            raise Killed

    with pqdb.open(things / "one", upkeep="manual") as db:
        other = db.create_collection("other", DIM, "l2")
        other.upsert(range(500), 2 * ROWS[:500])
        killed(pqdb.export_points, db["things"], things / "out.npy", batch=BATCH, progress=kill)
        assert pqdb.export_points(other, things / "out.npy", batch=BATCH) == 500
    np.testing.assert_array_equal(np.load(things / "out.npy"), 2 * ROWS[:500])


@pytest.mark.parametrize("damage", ["record", "vectors", "torn"])
def test_what_a_kill_left_half_written_is_cut_off_or_begun_afresh(
    things: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    def kill(done: int, total: int | None) -> None:
        if done == 5 * BATCH:
            raise Killed

    with pqdb.open(things / "one", upkeep="manual") as db:
        killed(pqdb.export_points, db["things"], things / "out.npz", batch=BATCH, progress=kill)
        parts = things / "out.npz.parts"
        if damage == "record":
            (parts / "record.json").write_text(json.dumps({"about": {}})[:5])
        elif damage == "vectors":
            os.truncate(parts / "vectors.f32", 100)
        else:  # more was written than the record says
            for name in ("vectors.f32", "lines.jsonl"):
                with (parts / name).open("ab") as file:
                    file.write(b"half a line")
        assert pqdb.export_points(db["things"], things / "out.npz", batch=BATCH) == N
    with np.load(things / "out.npz") as arrays:
        np.testing.assert_array_equal(arrays["vectors"], ROWS)
        assert len(json.loads(arrays["payloads"].tobytes())) == N


def test_a_kill_while_the_file_is_written_reads_the_collection_no_more(
    things: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    with pqdb.open(things / "one", upkeep="manual") as db:
        with monkeypatch.context() as patch:
            patch.setattr(exporting, "_put", lambda *_: (_ for _ in ()).throw(Killed()))
            killed(pqdb.export_points, db["things"], things / "out.parquet", batch=BATCH)
        assert not (things / "out.parquet").exists()
        with monkeypatch.context() as patch:
            patch.setattr(Staging, "add", lambda *_: pytest.fail("read again"))
            pqdb.export_points(db["things"], things / "out.parquet", progress=lambda done, _: seen.append(done))
    assert seen == [N]
