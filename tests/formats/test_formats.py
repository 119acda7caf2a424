"""What was ever written can be read: golden databases answer as they did, and can be written; newer ones are told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import lmdb
import numpy as np
import pytest

import pqdb
from pqdb import checking
from pqdb.store import manifest
from pqdb.store.layout import seal
from pqdb.upkeep import build
from tests.data import clustered
from tests.formats import golden, make
from tests.formats.golden import ARCHIVES, DIM, FIRST
from tests.stories.damage import ForkedCheck

Golden = tuple[Path, dict[str, Any]]
PARTS = ("catalog", "points", "index")


def name_of(archive: Path) -> str:
    return archive.name.removesuffix(".tar.xz")


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks fork their process here, as importing pqdb anew costs a second."""
    monkeypatch.setattr(checking, "start_child", ForkedCheck)


@pytest.fixture(params=ARCHIVES, ids=name_of)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    """Each golden database in turn, unpacked, and what it answered when it was made."""
    return golden.unpack(request.param, tmp_path)


def files(path: Path) -> dict[Path, bytes]:
    """The data files of a database."""
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("data.mdb")}


def record(folder: Path) -> dict[str, Any]:
    """The manifest of an environment."""
    with lmdb.open(str(folder), max_dbs=16, readonly=True, lock=False) as env:
        main = env.open_db(b"main", create=False)
        with env.begin() as txn:
            found: dict[str, Any] = json.loads(bytes(txn.get(b"manifest", db=main))[:-4])
            return found


def homes(path: Path, part: str) -> list[Path]:
    """The folders that hold the environments of a kind, whether they were compacted or not."""
    return [file.parent for file in path.rglob("data.mdb") if part in file.parts and file.stat().st_size > 4_096]


# -- older ones


def test_there_is_one_of_each_version_that_is_read(tmp_path: Path) -> None:
    """Whoever gives the format a new version leaves a database of it here; none is removed as long as it is read."""
    seen: dict[str, set[int]] = {part: set() for part in PARTS}
    for archive in ARCHIVES:
        path, _ = golden.unpack(archive, tmp_path / name_of(archive))
        for part in PARTS:
            seen[part] |= {record(home)["version"] for home in homes(path, part)}
    assert seen == {part: set(manifest.READABLE.get(part, (manifest.FORMAT_VERSION,))) for part in PARTS}


def test_it_answers_as_it_did(opened: Golden) -> None:
    path, expected = opened
    before = files(path)
    found = golden.answers(path)
    assert found.keys() == expected.keys()
    for name, answers in expected.items():
        compare(found[name], answers)
    assert files(path) == before


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal, but for the last bits of scores, which differ between processors, and for settings that came later.

    Without source vectors a score is what int8 centroids and codes make of it, and later pqdbs round it less.
    """
    atol = 1e-5 if expected.get("config", {}).get("source", "kept") else 5e-3
    for key, answer in expected.items():
        if key.endswith("scores"):
            assert np.allclose(found[key], answer, rtol=1e-4, atol=atol, equal_nan=True), key
        elif key in ("vectors", "sparse"):
            for name, searches in answer.items():
                compare(found[key][name], searches)
        elif key == "config":
            assert {**found[key], **answer, "quantization": None} == {**found[key], "quantization": None}
            assert {**found[key]["quantization"], **answer["quantization"]} == found[key]["quantization"]
        else:
            assert found[key] == answer, key


def test_it_is_sound(opened: Golden) -> None:
    path, expected = opened
    report = pqdb.check(path)
    assert report.problems == []
    assert {name: found.points for name, found in report.collections.items()} == {
        name: answers["points"] for name, answers in expected.items() if "points" in answers
    }


def test_it_can_be_written(opened: Golden, tmp_path: Path) -> None:
    """All verbs on a copy; it is sound after each, and another process's opening finds all of it."""
    path = Path(shutil.copytree(opened[0], tmp_path / "copy"))
    few = mock.patch.object(build, "choose_n_lists", lambda n: 1 + n // 20)
    with few, pqdb.open(path, upkeep="manual") as database:
        for name in database.collections():
            write_everything(database[name]) if "" in database[name].vectors else write_named(database[name])
        database.create_collection("new", DIM).upsert([1], np.ones(DIM))
        database.set_alias("now", "new")
        expected = {name: len(database[name]) for name in database.collections()}
    report = pqdb.check(path)
    assert report.problems == []
    assert {name: found.points for name, found in report.collections.items()} == expected
    with pqdb.open(path, read_only=True) as database:
        assert database["now"].name == "new"
        for name in expected.keys() - {"new"}:
            using = {} if "" in database[name].vectors else {"using": "body"}
            assert database[name].search(marked(), 1, **using).ids == [9_001]


def marked() -> np.ndarray:
    """A vector far from all others, in whatever metric."""
    return np.full(DIM, 30, np.float32) * (-1) ** np.arange(DIM)


def write_everything(things: pqdb.Collection) -> None:
    there = len(things)
    things.upsert(np.arange(9_000, 9_060), clustered(60, DIM, seed=13), [{"n": n} for n in range(60)])
    things.upsert([9_001, "last"], np.stack([marked(), np.ones(DIM)]), [{"mark": 1}, None])
    gone = things.delete([0, 1, 2, "name 5", 9_000])
    assert len(things) == there + 61 - gone
    things.set_payload({"word": "written"}, [9_001])
    things.create_payload_index("word", "keyword")
    things.create_payload_index("n", "integer")
    assert things.count({"must": [{"key": "word", "match": {"value": "written"}}]}) == 1
    assert things.verify() == []
    steps: list[Callable[[], object]] = [things.optimize, things.compact]
    if things.info()["generation"] and things.config.source is not None:
        steps += [things.train, things.rollback]
    for step in steps:
        step()
        assert things.verify() == []
        assert things.search(marked(), 1).ids == [9_001]
        assert things.search(marked(), 1, nprobe=999, rerank=999).ids == [9_001]


def write_named(things: pqdb.Collection) -> None:
    there, ids = len(things), [*range(9_000, 9_060), "last"]
    bodies = [marked() if each == 9_001 else None for each in ids]
    things.upsert(ids, {"title": clustered(61, DIM, seed=13), "body": bodies}, [{"word": "written"}] * 61)
    gone = things.delete([1, 2, "name 5", 9_000])
    assert len(things) == there + 61 - gone
    things.create_payload_index("word", "keyword")
    assert things.count({"must": [{"key": "word", "match": {"value": "written"}}]}) == 60
    steps: list[Callable[[], object]] = [things.optimize, things.compact, things.train]
    for step in steps:
        step()
        assert things.verify() == []
        assert things.search(marked(), 1, using="body", nprobe=999, rerank=999).ids == [9_001]


def test_it_can_be_backed_up_and_restored(tmp_path: Path) -> None:
    path, _ = golden.unpack(FIRST, tmp_path)
    with pqdb.open(path, read_only=True) as database:
        database.backup(tmp_path / "backup")
    pqdb.restore(tmp_path / "backup", tmp_path / "restored")
    found, expected = golden.answers(tmp_path / "restored"), golden.answers(path)
    assert found.keys() == expected.keys()
    for name, answers in expected.items():
        compare(found[name], answers)


def test_a_lost_index_is_built_again(opened: Golden) -> None:
    path, expected = opened
    kept = {name for name in keys(path) if all(each["source"] for each in golden.configs(expected[name]))}
    whole = {name: key for name, key in keys(path).items() if name in kept}
    lost = [index for key in whole.values() for index in (path / key).glob("index*")]
    for index in lost:
        shutil.rmtree(index)
    report = pqdb.repair(path)
    assert (len(report.done), report.refused) == (len(lost), [])
    found = golden.answers(path)
    for name in whole:
        same = ("config", "points", "digest", "filters", "exact")
        compare(found[name], {key: answer for key, answer in expected[name].items() if key in same})


# -- today's


@pytest.mark.parametrize("version", ["version-1", "version-2"])
def test_what_is_written_today_is_what_was_written_then(version: str, tmp_path: Path) -> None:
    """The points of l2 collections, to the byte: neither training nor rounding has a hand in them."""
    then, _ = golden.unpack(golden.FOLDER / f"{version}.tar.xz", tmp_path)
    today = tmp_path / "today"
    with mock.patch.object(build, "choose_n_lists", lambda n: 1 + n // 20):
        make.VERSIONS[version](today)
    name = "l2" if "l2" in keys(then) else "indexed"
    assert contents(then / keys(then)[name] / "points") == contents(today / keys(today)[name] / "points")


def keys(path: Path) -> dict[str, str]:
    """The folder of each collection."""
    with pqdb.open(path, read_only=True) as database:
        return {name: database[name]._points.path.parent.name for name in database.collections()}


def contents(folder: Path) -> dict[bytes, dict[bytes, bytes]]:
    """Every value of every database of an environment, but for what tells who wrote it."""
    with lmdb.open(str(folder), max_dbs=16, readonly=True, lock=False) as env:
        with env.begin() as txn:
            names = [bytes(key) for key, _ in txn.cursor()]
        found = {}
        for name in names:
            db = env.open_db(name, create=False)
            with env.begin() as txn:
                found[name] = {bytes(key): bytes(value) for key, value in txn.cursor(db=db)}
    return found


# -- newer ones


@pytest.mark.parametrize("part", PARTS)
def test_a_newer_format_is_refused_by_every_verb_and_left_alone(tmp_path: Path, part: str) -> None:
    path, expected = golden.unpack(FIRST, tmp_path)
    newest = max(manifest.READABLE.get(part, (manifest.FORMAT_VERSION,)))
    for home in homes(path, part):
        raise_version(home, newest + 1)
    before = files(path)
    name = next(name for name in expected if "config" in expected[name])

    def use(read_only: bool) -> None:
        with pqdb.open(path, read_only=read_only, upkeep="manual") as database:
            len(database[name])

    def save() -> None:
        with pqdb.open(path, read_only=True) as database:
            database.backup(path.parent / "backup")

    verbs: list[Callable[[], object]] = [
        lambda: use(True),
        lambda: use(False),
        lambda: pqdb.check(path),
        lambda: pqdb.repair(path),
        lambda: pqdb.restore(path, path.parent / "restored"),
        save,
    ]
    for verb in verbs:
        with pytest.raises(pqdb.FormatError, match=rf"version {newest + 1}; this pqdb reads version .*{newest}"):
            verb()
    assert files(path) == before
    assert not (path.parent / "restored").exists()
    assert not (path.parent / "backup").exists()


def raise_version(folder: Path, version: int) -> None:
    """Give an environment's manifest another version."""
    held = record(folder)
    with lmdb.open(str(folder), max_dbs=16) as env, env.begin(write=True) as txn:
        raised = json.dumps({**held, "version": version}, separators=(",", ":"), sort_keys=True)
        txn.put(b"manifest", seal(raised.encode()), db=env.open_db(b"main", txn=txn))


@pytest.mark.parametrize("what", ["codebook", "router"])
def test_a_newer_codebook_is_refused_and_not_repaired_away(tmp_path: Path, what: str) -> None:
    path, _ = golden.unpack(FIRST, tmp_path)
    index = path / keys(path)["l2"] / "index"
    with lmdb.open(str(index), max_dbs=16) as env, env.begin(write=True) as txn:
        objects = env.open_db(b"objects", txn=txn)
        for key, value in list(txn.cursor(db=objects)):
            if bytes(key)[4:] == what.encode():
                data = bytes(value[:-4])
                txn.put(key, seal(data[:4] + (99).to_bytes(2, "little") + data[6:]), db=objects)
    before = files(path)
    for verb in (pqdb.check, pqdb.repair):
        with pytest.raises(pqdb.FormatError, match="version 99; this pqdb reads up to version"):
            verb(path)
    with pqdb.open(path, upkeep="manual") as database, pytest.raises(pqdb.FormatError, match="version 99"):
        database["l2"].search(np.ones(DIM))
    assert files(path) == before


@pytest.mark.parametrize("change", [{"colour": "blue"}, {"quantization": {"kind": "cubes"}}])
def test_settings_of_a_newer_version_are_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    path, _ = golden.unpack(FIRST, tmp_path)
    points = path / keys(path)["l2"] / "points"
    held = record(points)
    held["manifest"]["config"] |= change
    with lmdb.open(str(points), max_dbs=16) as env, env.begin(write=True) as txn:
        txn.put(b"manifest", seal(json.dumps(held).encode()), db=env.open_db(b"main", txn=txn))
    before = files(path)
    word = "colour" if "colour" in change else "cubes"
    with pqdb.open(path, upkeep="manual") as database, pytest.raises(pqdb.FormatError, match=word):
        database["l2"]
    for verb in (pqdb.check, pqdb.repair):
        with pytest.raises(pqdb.FormatError, match=word):
            verb(path)
    assert files(path) == before
