"""Upserts that write only ids that are new, or known, or whose point passes a filter, decided in the commit itself."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.processes import Children, heard, say

DIM = 4
FOLD = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
THREADS = 4


@pytest.fixture
def things(db: pqdb.Database) -> pqdb.Collection:
    """Points 1, 2, "a" and FOLD, all of zeros."""
    made = db.create_collection("things", DIM, "l2")
    payloads = [{"rev": 1, "lang": "en"}, {"rev": 2}, None, {"rev": 2, "lang": "de"}]
    made.upsert([1, 2, "a", FOLD], np.zeros((4, DIM)), payloads)
    return made


def ones(n: int) -> np.ndarray:
    return np.ones((n, DIM), np.float32)


def written(collection: pqdb.Collection) -> set[int | str]:
    """The ids of points that are not of zeros."""
    page = collection.scroll(1_000, with_vector=True)
    return {point.id for point in page.points if np.any(point.vector)}


def rev(n: int) -> dict[str, Any]:
    return {"must": {"key": "rev", "match": {"value": n}}}


ALL = [1, "a", FOLD.upper(), 9, "new"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, {1, "a", FOLD, 9, "new"}),
        ({"only": "new"}, {9, "new"}),
        ({"only": "known"}, {1, "a", FOLD}),
        ({"where": rev(1)}, {1, 9, "new"}),
        ({"where": ("lang", "de")}, {FOLD, 9, "new"}),
        ({"where": {}}, {1, "a", FOLD, 9, "new"}),
        ({"where": {"must": {"has_id": [FOLD.replace("-", ""), 9]}}}, {FOLD, 9, "new"}),
        ({"where": {"must": {"is_empty": {"key": "rev"}}}}, {"a", 9, "new"}),
        ({"only": "known", "where": rev(2)}, {FOLD}),
        ({"only": "new", "where": rev(2)}, {9, "new"}),
        ({"only": "known", "where": rev(7)}, set()),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_only_what_may_be_written_is(
    things: pqdb.Collection, how: dict[str, Any], expected: set[int | str], indexed: bool
) -> None:
    if indexed:
        things.create_payload_index("rev", "integer")
    before = things.info()["sequence"]
    sequence = things.upsert(ALL, ones(5), [{"rev": 3}] * 5, **how)
    assert written(things) == expected
    assert things.count(rev(3)) == len(expected)
    assert (sequence, things.info()["sequence"]) == ((before + 1,) * 2 if expected else (0, before))
    assert {point.id for point in things.get(ALL) if point.version == sequence} == expected
    assert things.verify() == []


def test_of_equal_ids_the_last_wins_as_in_any_upsert(things: pqdb.Collection) -> None:
    """What a condition looks at is what was there before the call."""
    things.upsert([9, 9, 1], ones(3), [{"n": 1}, {"n": 2}, {"n": 3}], only="new")
    assert [point.payload for point in things.get([9, 1])] == [{"n": 2}, {"rev": 1, "lang": "en"}]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ({"only": "old"}, pqdb.InputError, "only='old' is not one of 'new', 'known'"),
        ({"where": {"mast": []}}, pqdb.FilterError, "mast"),
        ({"where": ("a.", 1)}, pqdb.FilterError, "a."),
    ],
)
def test_what_is_no_condition_is_refused(
    things: pqdb.Collection, how: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        things.upsert(ALL, ones(5), **how)
    assert written(things) == set()


def test_vectors_alone_change_where_a_point_passes(things: pqdb.Collection) -> None:
    before = things.info()["sequence"]
    assert things.set_vectors([1, 2, FOLD], ones(3), where=rev(2)) == before + 1
    assert written(things) == {2, FOLD}
    assert things.get(2)[0].payload == {"rev": 2}
    assert things.set_vectors([1], ones(1), where=rev(7)) == 0
    with pytest.raises(pqdb.PointNotFoundError, match="77"):
        things.set_vectors([1, 77], ones(2), where=rev(1))
    assert written(things) == {2, FOLD}


def test_points_with_several_vectors(db: pqdb.Database) -> None:
    """A filter may ask which vectors a point has; a name that set_vectors says nothing of stays."""
    vectors = {"title": pqdb.VectorConfig(2), "body": pqdb.VectorConfig(3, "l2")}
    made = db.create_collection("docs", vectors=vectors)
    made.upsert([1, 2], {"title": [[1, 0], [1, 0]], "body": [[1, 1, 1], None]}, [{"n": 1}, {"n": 2}])
    bodied = {"must": {"has_vector": "body"}}
    made.upsert([1, 2, 3], {"title": np.tile([0, 1], (3, 1))}, [{"n": 0}] * 3, where={"must_not": bodied})
    held = {point.id: (point.payload, sorted(point.vector)) for point in made.get([1, 2, 3], with_vector=True)}
    assert held == {1: ({"n": 1}, ["body", "title"]), 2: ({"n": 0}, ["title"]), 3: ({"n": 0}, ["title"])}
    made.set_vectors([1, 2], {"title": [[0, 1], [1, 0]]}, where=bodied)
    vectors_of_1, vectors_of_2 = (point.vector for point in made.get([1, 2], with_vector=True))
    assert (vectors_of_1["title"].tolist(), vectors_of_1["body"].tolist()) == ([0, 1], [1, 1, 1])
    assert vectors_of_2["title"].tolist() == [0, 1]
    assert made.set_vectors([2], {"body": [[1, 1, 1]]}, where=bodied) == 0
    assert made.verify() == []


# -- two writers at once


def at_once(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_several_threads_one_gets_a_new_id(things: pqdb.Collection) -> None:
    won: list[tuple[int, int, int]] = []

    def claim(thread: int) -> None:
        for task in range(100, 130):
            sequence = things.upsert([task], ones(1), [{"owner": thread}], only="new")
            if sequence:
                won.append((task, thread, sequence))

    at_once(claim)
    assert Counter(task for task, _, _ in won) == dict.fromkeys(range(100, 130), 1)
    for task, thread, sequence in won:
        [point] = things.get(task)
        assert (point.payload, point.version) == ({"owner": thread}, sequence)


def add_one(collection: pqdb.Collection) -> None:
    """Compare and swap, until it is one more."""
    while True:
        [held] = collection.get(1)
        n = (held.payload or {})["rev"]
        if collection.upsert([1], ones(1), [{"rev": n + 1}], only="known", where=("rev", n)):
            return


def test_threads_that_compare_and_swap_lose_no_step(things: pqdb.Collection) -> None:
    def add_ten(_: int) -> None:
        for _ in range(10):
            add_one(things)

    at_once(add_ten)
    assert (things.get(1)[0].payload or {})["rev"] == 1 + THREADS * 10


def adding(path: str, times: str) -> None:
    """A child's verb."""
    with pqdb.open(path) as db:
        say("open")
        heard()
        for _ in range(int(times)):
            add_one(db["things"])
        say("done")


def test_processes_that_compare_and_swap_lose_no_step(things: pqdb.Collection, db_path: Path) -> None:
    others = Children("tests.test_conditional")
    with others.talk("adding", db_path, 20) as first, others.talk("adding", db_path, 20) as second:
        for child in (first, second):
            assert child.hear() == "open"
        for child in (first, second):
            child.tell("go")
        for _ in range(20):
            add_one(things)
        for child in (first, second):
            assert child.hear() == "done", child.complaint()
    assert (things.get(1)[0].payload or {})["rev"] == 61
