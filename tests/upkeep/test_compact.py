"""What the dead held is given back: places in lists, source rows, row records, and the bytes of the files."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import WITH_CODES
from pqdb.search.index import Index
from pqdb.upkeep import compact, fresh, steps
from pqdb.upkeep.newcomers import add_lists
from pqdb.upkeep.stores import Stores
from tests.conftest import SEED
from tests.data import clustered
from tests.upkeep.conftest import Keep, Kept

Figure = Callable[[str, object], None]
DIM = 12


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few dead rows are worth the work, and rounds and commits are small."""
    monkeypatch.setattr(steps, "FEWEST_DEAD", 100)
    monkeypatch.setattr(compact, "COMMIT_BYTES", 2_000)
    monkeypatch.setattr(compact, "SETTLED_AT_ONCE", 64)


def size(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("data.mdb"))


def check_same(things: pqdb.Collection, vectors: dict[Any, np.ndarray], versions: dict[Any, int]) -> None:
    """Every point is there with its id, vector, payload and version, and is found by a search of codes, once."""
    points = things.scroll(100_000, with_vector=things.config.source is not None).points
    assert {point.id for point in points} == vectors.keys()
    for point in points:
        assert point.version == versions[point.id]
        assert point.payload == {"of": str(point.id)}
        if point.vector is not None:
            prepared = vectors[point.id] / (np.linalg.norm(vectors[point.id]) if things.metric == "cosine" else 1)
            assert np.allclose(point.vector, prepared, atol=1e-5 if things.config.source == "float32" else 1e-2)
    for chosen in list(vectors)[:: max(1, len(vectors) // 20)]:
        every = things.search(vectors[chosen], len(vectors), nprobe=9_999, rerank=len(vectors))
        assert sorted(every.ids, key=str) == sorted(vectors, key=str)
        if things.config.source is not None and things.metric != "dot":
            assert every.ids[0] == chosen
    assert things.verify() == []


def made(keep: Keep, n: int, **options: Any) -> tuple[Kept, dict[Any, np.ndarray], dict[Any, int]]:
    """Points with ids of three kinds, and what must be found of them."""
    kept = keep(0, dim=DIM, **options)
    ids = [i if i % 3 else f"6ba7b810-9dad-11d1-80b4-{i:012x}" if i % 2 else f"text {i}" for i in range(n)]
    vectors = clustered(n, DIM, seed=SEED)
    kept.collection.upsert(ids, vectors, [{"of": str(i)} for i in ids])
    kept.collection.train()
    return kept, dict(zip(ids, vectors, strict=True)), dict.fromkeys(ids, 1)


KINDS: dict[str, dict[str, Any]] = {
    **{metric: {"metric": metric} for metric in WITH_CODES},
    "flat": {"quantization": pqdb.Flat()},
    "float16": {"source": "float16"},
    "no rerank": {"rerank": None},
    "codes only": {"source": None},
}


@pytest.mark.parametrize("kind", KINDS)
def test_half_deleted_half_the_rows_go_and_every_point_stays(eager: None, keep: Keep, kind: str) -> None:
    kept, vectors, versions = made(keep, 1_500, **KINDS[kind])
    gone = [each for number, each in enumerate(vectors) if number % 2]
    assert kept.collection.delete(gone) == 750
    for each in gone:
        del vectors[each]
    kept.collection.optimize()
    check_same(kept.collection, vectors, versions)
    with kept.stores.points.read() as view:
        if kind != "codes only":  # these have no source but of the last, unfinished run
            assert view.n_live / view.kept_rows > 1 - compact.DEAD
        assert kind != "codes only" or view.n_rows == 1_500


@pytest.mark.parametrize("kind", KINDS)
def test_compacted_even_slightly_dead_runs_and_lists_are_rewritten(eager: None, keep: Keep, kind: str) -> None:
    kept, vectors, versions = made(keep, 1_500, **KINDS[kind])
    gone = [each for number, each in enumerate(vectors) if number % 10 == 3]
    kept.collection.delete(gone)
    for each in gone:
        del vectors[each]
    kept.collection.optimize()
    with kept.stores.points.read() as view:
        assert kind == "codes only" or view.kept_rows == 1_500  # a tenth is not worth it by itself
    seen = set[str]()
    kept.collection.compact(lambda stage, share: seen.add(stage))
    assert "copy" in seen
    check_same(kept.collection, vectors, versions)
    if kind not in ("flat", "codes only"):
        assert {"tidy lists", "move rows"} <= seen
        assert compact.dead_in_lists(kept.stores)[0] == 0
    for part in kept.collection.info()["disk"].values():
        assert part["free"] <= 0.05 * part["file"]
    kept.collection.upsert(["new"], vectors[next(iter(vectors))] * 2, [{"of": "new"}])
    assert "new" in kept.collection


def test_each_batch_of_rows_that_move_knows_the_lists_there_are(
    eager: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outliers of the batch before may have been given lists: codes are against those."""
    kept, vectors, versions = made(keep, 1_500)
    gone = [each for number, each in enumerate(vectors) if number % 2]
    kept.collection.delete(gone)
    for each in gone:
        del vectors[each]
    index_rows, seen = compact.index_fresh, []

    def growing(stores: Stores, index: Index, reserved: np.ndarray) -> int:
        with stores.blocks.read() as blocks:
            seen.append((index.router.n_lists, blocks.n_lists))
        return index_rows(stores, add_lists(stores, index, index.router.centroids + 1), reserved)

    monkeypatch.setattr(compact, "index_fresh", growing)
    monkeypatch.setattr(fresh, "BATCH_ROWS", 16)
    kept.collection.optimize()
    assert len(seen) > 1
    assert all(given == there for given, there in seen)
    check_same(kept.collection, vectors, versions)


def test_only_lists_more_than_a_quarter_dead_are_rewritten(
    eager: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pqdb.upkeep import build

    monkeypatch.setattr(build, "choose_n_lists", lambda n: 12)
    monkeypatch.setattr(steps, "FEWEST_DEAD", 1_000)  # so that runs are left alone
    kept = keep(1_200, DIM)
    kept.collection.train()
    before = kept.rows_of_lists()
    dead = {row for number, rows in enumerate(before) for row in rows[: len(rows) * (1 + number % 2) // 5]}
    kept.collection.delete(sorted(dead))
    kept.collection.optimize()
    for number, (was, now) in enumerate(zip(before, kept.rows_of_lists(), strict=True)):
        share = len(dead.intersection(was)) / len(was)
        assert now == ([row for row in was if row not in dead] if share > 0.25 else was), number
    assert {len(was) > len(now) for was, now in zip(before, kept.rows_of_lists(), strict=True)} == {True, False}


def test_what_is_changed_while_rows_move_stays_changed(
    eager: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copy of their source and the settling of the move points are deleted, replaced and get payloads."""
    kept, vectors, versions = made(keep, 1_200)
    for each in [each for number, each in enumerate(vectors) if number % 2]:
        kept.collection.delete(each)
        del vectors[each]
    moving, meanwhile = compact._index_upto, list(vectors)
    acted = [0]

    def act(*arguments: Any) -> None:
        moving(*arguments)
        round_, acted[0] = acted[0], acted[0] + 1
        deleted, replaced, marked = meanwhile[3 * round_ : 3 * round_ + 3]
        kept.collection.delete(deleted)
        vectors[replaced] = -vectors[replaced]
        versions[replaced] = kept.collection.upsert([replaced], vectors[replaced], [{"of": str(replaced)}])
        kept.collection.set_payload({"of": str(marked)}, [marked])
        versions[marked] = kept.collection.info()["sequence"]
        del vectors[deleted]

    monkeypatch.setattr(compact, "_index_upto", act)
    kept.collection.compact()
    assert acted[0] > 2
    check_same(kept.collection, vectors, versions)


@pytest.mark.parametrize("after", ["reserve", "index", "settle"])
def test_interrupted_in_between_nothing_is_lost_or_found_twice(
    eager: None, keep: Keep, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    kept, vectors, versions = made(keep, 1_200)
    for each in [each for number, each in enumerate(vectors) if number % 2]:
        kept.collection.delete(each)
        del vectors[each]

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    real = compact._index_upto

    def dies_later(*arguments: Any) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    name = {"reserve": "_index_upto", "index": "_index_upto", "settle": "drop_dead_runs"}[after]
    with monkeypatch.context() as patch:
        patch.setattr(compact, name, dies_later if after == "index" else dies)
        with pytest.raises(KeyboardInterrupt):
            kept.collection.optimize()
    check_same(kept.collection, vectors, versions)
    kept.collection.compact()
    check_same(kept.collection, vectors, versions)
    with kept.stores.points.read() as view:
        assert view.n_live / view.kept_rows > 0.9


def test_searches_meanwhile_find_everything_once(eager: None, keep: Keep) -> None:
    """A thread searches all the while that upkeep moves rows, tidies lists and swaps files."""
    kept = keep(2_000, DIM, metric="l2")
    kept.collection.train()
    kept.collection.delete(np.arange(0, 2_000, 2))
    done, failures, searches = threading.Event(), list[object](), [0]

    def search() -> None:
        try:
            while not done.is_set():
                number = 1 + 2 * (searches[0] % 1_000)
                hits = kept.collection.search(kept.vectors[number], 1_000, nprobe=9_999, rerank=1_000)
                assert hits.ids[0] == number
                assert len(set(hits.ids)) == 1_000
                assert all(each % 2 for each in hits.ids)
                searches[0] += 1
        except BaseException as problem:  # noqa: BLE001 - told to the test's own thread
            failures.append(problem)

    thread = threading.Thread(target=search)
    thread.start()
    for _ in range(3):
        kept.collection.compact()
        kept.collection.upsert(np.arange(1, 2_000, 4), kept.vectors[1::4])
    done.set()
    thread.join()
    assert not failures
    assert searches[0] > 0


def give_back(path: Path, n: int, dim: int) -> tuple[float, float]:
    """Half of n points deleted: the share of the bytes that is free for reuse then, and the share the disk got back."""
    with pqdb.open(path, upkeep="manual") as database:
        things = database.create_collection("things", dim)
        things.upsert(np.arange(n), clustered(n, dim, seed=SEED), [{"n": i} for i in range(n)])
        things.optimize()
        whole = size(path)
        things.delete(np.random.default_rng(SEED).permutation(n)[: n // 2])
        things.optimize()
        free = sum(part["free"] for part in things.info()["disk"].values())
        used = size(path) - free
        things.compact()
        assert things.verify() == []
        return 1 - used / whole, 1 - size(path) / whole


def test_halved_by_deletes_two_fifths_of_the_bytes_come_back(tmp_path: Path) -> None:
    reusable, back = give_back(tmp_path / "database", 8_000, 64)
    assert reusable >= 0.4
    assert back >= 0.4


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("dim", [64, 384])
def test_fifty_thousand_halved_two_fifths_of_the_bytes_come_back(tmp_path: Path, figure: Figure, dim: int) -> None:
    reusable, back = give_back(tmp_path / "database", 50_000, dim)
    figure("bytes free for reuse after half of the points were deleted", f"{reusable:.0%}")
    figure("bytes the disk had back after compact()", f"{back:.0%}")
    assert min(reusable, back) >= 0.4


def steady(path: Path, n: int, dim: int, replacements: int, at_once: int) -> float:
    """The largest the database ever is under replacements of its points, in units of its size when it was filled."""
    rows, rng = clustered(n, dim, seed=SEED), np.random.default_rng(SEED)
    with pqdb.open(path) as database:
        things = database.create_collection("things", dim)
        for start in range(0, n, at_once):
            things.upsert(np.arange(start, start + at_once), rows[start : start + at_once])
        things.optimize()
        fresh, largest = size(path), 0
        for _ in range(replacements // at_once):
            ids = rng.choice(n, at_once, replace=False)
            things.upsert(ids, rows[ids])
            largest = max(largest, size(path))
        assert things.info()["upkeep"]["error"] is None
        things.optimize()
        assert len(things) == n
        assert things.search(rows[:50], 1).ids[:, 0].tolist() == list(range(50))
        assert things.verify() == []
    return largest / fresh


def test_a_steady_load_of_replacements_does_not_grow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many as there are points; writers are held back where upkeep cannot keep up. Of so few points those
    that may wait are an eighth.
    """
    monkeypatch.setattr(steps, "BEHIND_ROWS", 1_000)
    monkeypatch.setattr(steps, "FEWEST_DEAD", 500)
    monkeypatch.setattr(steps, "FRESH_ROWS", 500)
    assert steady(tmp_path / "database", 8_000, 64, 32_000, 500) <= 2.3


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_a_million_replacements_of_fifty_thousand_points(tmp_path: Path, figure: Figure) -> None:
    largest = steady(tmp_path / "database", 50_000, 64, 1_000_000, 1_000)
    figure("largest size on disk, against the size when filled", f"{largest:.2f} ×")
    assert largest <= 2
