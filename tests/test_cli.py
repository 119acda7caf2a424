"""The command line: what each verb prints and writes; mistakes become one sentence and exit code 1."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pqdb
from pqdb.cli import main
from pqdb.cli.each import for_each

Command = Callable[..., Result]


@pytest.fixture
def command() -> Command:
    """command("info", path) runs `pqdb info PATH`; what is not a sentence of ours is raised."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)

    return run


def refused(result: Result) -> str:
    """The sentence of a command that failed."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").strip()


@pytest.fixture
def things(db_path: Path, rng: np.random.Generator) -> np.ndarray:
    """A database: the collection `things` of 30 points, ids of both kinds, and an empty collection."""
    vectors = rng.standard_normal((30, 4)).astype(np.float32)
    ids = [*range(20), *(f"thing {i}" for i in range(20, 30))]
    with pqdb.open(db_path, upkeep="manual") as db:
        db.create_collection("things", 4, "l2").upsert(ids, vectors, [{"row": i} for i in range(30)])
        db.create_collection("nothing", 8)
    return vectors


def test_help_names_every_verb(command: Command) -> None:
    result = command("--help")
    assert result.exit_code == 0
    for verb in ("demo", "serve", "info", "recall", "check", "compact", "import", "export", "warmup"):
        assert f"  {verb} " in result.output


def test_compact_says_what_the_disk_got_back(command: Command, db_path: Path, things: np.ndarray) -> None:
    with pqdb.open(db_path, upkeep="manual") as db:
        db["things"].upsert(np.arange(5_000), np.ones((5_000, 4)))
        db["things"].delete(np.arange(5_000))
    lines = command("compact", db_path).output.splitlines()
    assert [line.split(":")[0] for line in lines] == ["nothing", "things"]
    before, after = (int(word.replace(",", "")) for word in lines[1].split()[1::3])
    assert after < before / 2
    disk = json.loads(command("info", db_path, "things").output)["things"]["disk"]
    assert after == sum(part["file"] for part in disk.values())
    with pqdb.open(db_path, read_only=True) as db:
        assert len(db["things"]) == 10


def test_info_shows_collections_as_json(command: Command, db_path: Path, things: np.ndarray) -> None:
    everything = json.loads(command("info", db_path).output)
    assert set(everything) == {"things", "nothing"}
    one = json.loads(command("info", db_path, "things").output)
    for each in (everything["things"], one["things"]):
        del each["memory"]  # what the process holds differs from one moment to the next
    assert one == {"things": everything["things"]}
    assert one["things"]["points"] == 30


def test_recall_is_measured_and_said(command: Command, db_path: Path, things: np.ndarray) -> None:
    said = command("recall", db_path, "things", "-k", "5", "--sample", "20").output
    assert said.startswith("recall@5 1.000 (95 %:")
    assert "20 stored rows" in said
    wrong = command("recall", db_path, "things", "--recall", "2")
    assert (wrong.exit_code, "not in the range 0<x<1" in wrong.output) == (2, True)


def test_info_of_an_unknown_collection_is_refused(
    command: Command, db_path: Path, things: np.ndarray
) -> None:
    assert "absent" in refused(command("info", db_path, "absent"))


@pytest.mark.parametrize("verb", ["info", "check"])
def test_a_folder_that_is_no_database_is_refused(command: Command, tmp_path: Path, verb: str) -> None:
    (tmp_path / "letter.txt").write_text("Dear database,")
    assert str(tmp_path) in refused(command(verb, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_check_finds_nothing_wrong(command: Command, db_path: Path, things: np.ndarray) -> None:
    result = command("check", db_path)
    assert result.exit_code == 0
    assert "things: 30 points, no problem found" in result.output


def test_check_finds_flipped_bytes(command: Command, db_path: Path, things: np.ndarray) -> None:
    flipped = 0
    for path in db_path.rglob("data.mdb"):
        raw = bytearray(path.read_bytes())
        place = raw.find(things[3].tobytes())
        if place >= 0:
            raw[place] ^= 0x10
            path.write_bytes(raw)
            flipped += 1
    assert flipped == 1
    result = command("check", db_path)
    assert result.exit_code == 1
    assert "things: " in result.output
    assert "nothing: 0 points, no problem found" in result.output


@pytest.mark.parametrize("name", ["out.jsonl", "out.npy", "out.parquet", "out.hdf5", "out.npz", "out.jsonl.gz"])
def test_what_was_exported_imports_as_the_same(
    command: Command, db_path: Path, tmp_path: Path, things: np.ndarray, name: str
) -> None:
    file = tmp_path / name
    assert "30 points" in command("export", db_path, "things", file).output
    beside = ["--points", file.with_suffix(".jsonl")] if name.endswith(".npy") else []
    result = command("import", tmp_path / "copy", "things", file, *beside, "--metric", "l2", "--batch", 7)
    assert "30 points" in result.output
    with pqdb.open(db_path) as original, pqdb.open(tmp_path / "copy") as copy:
        pages = [db["things"].scroll(limit=100, with_vector=True).points for db in (original, copy)]
    assert len(pages[0]) == 30
    for one, other in zip(*pages, strict=True):
        assert (one.id, one.payload) == (other.id, other.payload)
        np.testing.assert_array_equal(one.vector, other.vector)


def test_exported_rows_are_numpys_own_format(
    command: Command, db_path: Path, tmp_path: Path, things: np.ndarray
) -> None:
    command("export", db_path, "things", tmp_path / "out.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), things)


def test_what_was_imported_is_indexed(
    command: Command, db_path: Path, tmp_path: Path, clusters: Callable[..., np.ndarray]
) -> None:
    np.save(tmp_path / "rows.npy", clusters(6_000, 16))
    command("import", db_path, "rows", tmp_path / "rows.npy")
    info = json.loads(command("info", db_path, "rows").output)["rows"]
    assert (info["points"], info["indexed"], info["fresh"]) == (6_000, 6_000, 0)
    assert info["generation"] == 1


def test_rows_without_ids_count_from_zero(command: Command, db_path: Path, tmp_path: Path) -> None:
    rows = np.eye(5, dtype=np.float64)
    np.save(tmp_path / "rows.npy", rows)
    assert command("import", db_path, "rows", tmp_path / "rows.npy", "--batch", 2).exit_code == 0
    with pqdb.open(db_path) as db:
        assert db["rows"].metric == "cosine"
        assert db["rows"].search(rows[3], k=1).ids == [3]


LINES = {
    "is not JSON": '{"id": 1, "vector": [1, 2]}\n{"id": 2,',
    "must be an object with id and vector": '{"id": 1, "vector": [1, 2]}\n{"vector": [3, 4]}',
    "expected 2 dimensions, not 3": '{"id": 1, "vector": [1, 2]}\n\n{"id": 2, "vector": [1, 2, 3]}',
}


@pytest.mark.parametrize("sentence", LINES)
def test_lines_that_are_no_points_are_refused(
    command: Command, db_path: Path, tmp_path: Path, sentence: str
) -> None:
    file = tmp_path / "points.jsonl"
    file.write_text(LINES[sentence])
    assert sentence in refused(command("import", db_path, "points", file, "--batch", 1))


def test_rows_and_lines_of_different_number_are_refused(
    command: Command, db_path: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "rows.npy", np.eye(3))
    (tmp_path / "points.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    result = command("import", db_path, "rows", tmp_path / "rows.npy", "--points", tmp_path / "points.jsonl")
    assert refused(result) == "3 vectors, but 2 lines of ids in points.jsonl"
    with pqdb.open(db_path) as db:
        assert db.collections() == []


def test_an_array_that_is_not_rows_is_refused(command: Command, db_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros(7))
    assert "shape (7,)" in refused(command("import", db_path, "rows", tmp_path / "rows.npy"))


def test_columns_have_other_names_where_it_is_said(command: Command, db_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"key": "a", "emb": [1, 2], "meta": {"x": 1}, "y": 2, "z": 3}\n' * 3)
    named = ["--vector-column", "emb", "--payload", "meta", "--fields", "y", "--limit", 2]
    said = command("import", db_path, "named", tmp_path / "in.jsonl", "--id-column", "key", *named).output
    assert "2 points from in.jsonl" in said
    command("import", db_path, "counted", tmp_path / "in.jsonl", "--id-column", "", *named, "--memory-limit", "1GB")
    with pqdb.open(db_path, read_only=True) as db:
        assert db["named"].get(["a"])[0].payload == {"x": 1, "y": 2}
        assert [point.id for point in db["counted"].scroll().points] == [0, 1]
    out = tmp_path / "out.jsonl"
    names = ["--id-column", "key", "--vector-column", "emb", "--payload", "meta"]
    command("export", db_path, "counted", out, "--limit", 1, "--batch", 1, "--restart", *names)
    (line,) = out.read_text().splitlines()
    assert set(json.loads(line)) == {"key", "emb", "meta"}


def test_serving_without_the_service_says_what_to_install(
    command: Command, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pqdb_server", None)
    assert 'pip install "pqdb[server]"' in refused(command("serve", db_path))


def test_warmup_says_what_is_ready(command: Command) -> None:
    result = command("warmup")
    assert result.exit_code == 0
    for road in pqdb.ROADS:
        assert f"  {road}: ready after " in result.output


AFTER_WARMUP = """
import numpy as np
import pqdb

rng = np.random.default_rng(1)
vectors = rng.standard_normal((7_000, 48)).astype(np.float32)
others = {"metric": "l2", "source": None}, {"metric": "dot", "source": "int8"}, {"quantization": pqdb.Flat()}
for settings in others:
    with pqdb.open(upkeep="manual") as db:
        collection = db.create_collection("after", 48, **settings)
        collection.upsert(list(range(6_000)), vectors[:6_000])
        collection.optimize()
        collection.upsert(list(range(6_000, 7_000)), vectors[6_000:])
        collection.search(vectors[3], k=100)
        collection.search(vectors[:99], k=5, recall=0.9)
        collection.delete([3])
        collection.optimize()
"""


@pytest.mark.long
def test_nothing_is_left_to_compile_after_warmup(tmp_path: Path) -> None:
    env = {**os.environ, "PQDB_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "from pqdb.cli import main; main()", "warmup"], env=env, check=True)
    compiled = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert compiled
    subprocess.run([sys.executable, "-c", AFTER_WARMUP], env=env, check=True)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == compiled


def test_of_all_collections_those_that_are_dropped_meanwhile_are_passed_over(tmp_path):
    done = []
    with pqdb.open(tmp_path / "db") as db:
        for name in ("a", "b", "c"):
            db.create_collection(name, dim=2)

        def work(things):
            done.append(things.name)
            db.drop_collection("b")

        for_each(db, None, work)
        assert done == ["a", "c"]
        with pytest.raises(pqdb.CollectionNotFoundError, match="there is no collection 'b'"):
            for_each(db, "b", work)
