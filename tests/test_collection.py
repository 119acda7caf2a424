"""The verbs of a collection: what they take, what they refuse, and that a refusal changes nothing."""

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.conftest import SEED
from tests.data import clustered

DIM = 6
FOLD = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


@pytest.fixture
def things(db: pqdb.Database) -> pqdb.Collection:
    """Three kinds of ids, some payloads."""
    made = db.create_collection("things", DIM, "l2")
    vectors = clustered(5, DIM, seed=SEED)
    made.upsert(
        [7, 3, "b", "a", FOLD], vectors, [{"n": 7}, None, {"n": "b", "deep": {"list": [1, None]}}, {}, {"n": 0}]
    )
    return made


State = tuple[int, int, list[Any]]


def state(collection: pqdb.Collection) -> State:
    """All there is to see: count, sequence, every point."""
    page = collection.scroll(10_000, with_vector=True)
    points = [(p.id, p.payload, p.vector.tolist(), p.version) for p in page.points if p.vector is not None]
    return len(collection), collection.info()["sequence"], points


# -- upsert, get, delete


def test_points_come_back_as_they_went_in(things: pqdb.Collection) -> None:
    vectors = clustered(5, DIM, seed=SEED)
    points = things.get(["b", 7, FOLD, 3, "a"], with_vector=True)
    assert [p.id for p in points] == ["b", 7, FOLD, 3, "a"]
    assert [p.payload for p in points] == [{"n": "b", "deep": {"list": [1, None]}}, {"n": 7}, {"n": 0}, None, {}]
    for point, row in zip(points, (2, 0, 4, 1, 3), strict=True):
        assert point.vector is not None
        assert np.array_equal(point.vector, vectors[row])
    assert things.get([99, "c"]) == []
    assert [p.id for p in things.get([99, 3])] == [3]
    assert things.get(3)[0].vector is None
    assert things.get(7, with_payload=False)[0].payload is None


def test_every_spelling_of_a_uuid_is_one_point(things: pqdb.Collection) -> None:
    for spelling in (FOLD.upper(), FOLD.replace("-", ""), f"urn:uuid:{FOLD}", uuid.UUID(FOLD)):
        assert spelling in things
        assert [p.id for p in things.get([spelling])] == [FOLD]
    assert things.search(uuid.UUID(FOLD), k=1).ids[0] != FOLD
    assert things.delete(uuid.UUID(FOLD)) == 1
    assert FOLD not in things


def test_upsert_replaces_vector_and_payload_and_counts_versions(things: pqdb.Collection) -> None:
    before = things.get(7)[0].version
    sequence = things.upsert([7], np.zeros(DIM))
    (point,) = things.get([7], with_vector=True)
    assert point.vector is not None
    assert not point.vector.any()
    assert point.payload is None
    assert point.version == sequence == before + 1
    assert len(things) == 5


def test_of_equal_ids_in_one_call_the_last_wins(things: pqdb.Collection) -> None:
    vectors = np.arange(3 * DIM).reshape(3, DIM)
    things.upsert([11, 12, 11], vectors, [{"v": 0}, {"v": 1}, {"v": 2}])
    (point,) = things.get([11], with_vector=True)
    assert point.payload == {"v": 2}
    assert point.vector is not None
    assert point.vector.tolist() == vectors[2].tolist()
    assert len(things) == 7
    assert things.search(vectors[0], 1).ids != [11] or things.search(vectors[0], 1).scores[0] > 0


def test_one_point_may_come_without_a_list(things: pqdb.Collection) -> None:
    things.upsert("solo", np.ones(DIM), [{"one": 1}])
    things.upsert(np.uint64(2**64 - 1), [1, 2, 3, 4, 5, 6])
    assert "solo" in things
    assert 2**64 - 1 in things
    assert things.delete("solo") == 1
    assert things.get(2**64 - 1)[0].id == 2**64 - 1


def test_delete_says_how_many_there_were(things: pqdb.Collection) -> None:
    assert things.delete([7, 99, "a", 7]) == 2
    assert things.delete([]) == 0
    assert sorted(map(str, (p.id for p in things.scroll().points))) == ["3", FOLD, "b"]
    things.upsert([7], np.ones(DIM))
    assert things.get(7)[0].payload is None  # the old payload went with the old point


def test_payloads_are_merged_key_by_key(things: pqdb.Collection) -> None:
    sequence = things.info()["sequence"]
    assert things.set_payload({"n": 8, "x": [1]}, [7, 3, 99]) == 2
    assert things.get([7, 3])[0].payload == {"n": 8, "x": [1]}
    assert things.get(3)[0].payload == {"n": 8, "x": [1]}
    assert things.get(3)[0].version == sequence + 1
    vectors = clustered(5, DIM, seed=SEED)
    assert things.search(vectors[1], 1).ids == [3]  # and found where they were


def test_scroll_pages_in_id_order(things: pqdb.Collection) -> None:
    seen, offset = [], None
    while True:
        page = things.scroll(2, offset)
        seen += [p.id for p in page.points]
        assert len(page.points) == 2 or page.next_offset is None
        if page.next_offset is None:
            break
        offset = page.next_offset
    assert seen == [3, 7, FOLD, "a", "b"]
    assert [p.id for p in things.scroll(offset="a").points] == ["a", "b"]
    assert things.scroll(5).next_offset is None


def test_counting(things: pqdb.Collection) -> None:
    assert len(things) == things.count() == 5
    assert "b" in things
    assert 8 not in things
    assert things.name == "things"
    assert (things.dim, things.metric) == (DIM, "l2")
    assert repr(things) == "Collection('things', dim=6, metric='l2')"


def test_an_empty_collection_answers(db: pqdb.Database) -> None:
    empty = db.create_collection("empty", 3)
    assert len(empty) == 0
    assert len(empty.search([1, 2, 3])) == 0
    assert empty.search(np.ones((2, 3)), 4).counts.tolist() == [0, 0]
    assert empty.scroll() == pqdb.Page([], None)
    empty.train()
    empty.optimize()
    assert empty.info()["points"] == 0
    with pytest.raises(pqdb.InputError, match="'empty' is empty: there is nothing to measure recall on"):
        empty.measure_recall()


def test_a_collection_emptied_after_training_answers(db: pqdb.Database) -> None:
    made = db.create_collection("made", 3)
    made.upsert(np.arange(300), clustered(300, 3, seed=SEED))
    made.train()
    assert made.delete(np.arange(300)) == 300
    assert len(made.search([1, 2, 3], 10)) == 0
    made.train()
    made.upsert([5], [1, 2, 3])
    assert made.search([1, 2, 3], 10).ids == [5]


def test_hits_carry_what_was_asked_for(things: pqdb.Collection) -> None:
    vectors = clustered(5, DIM, seed=SEED)
    hit = things.search(vectors[2], 1, with_vector=True)[0]
    assert (hit.id, hit.score, hit.payload) == ("b", 0.0, {"n": "b", "deep": {"list": [1, None]}})
    assert hit.vector is not None
    assert np.array_equal(hit.vector, vectors[2])
    assert hit.version == things.get("b")[0].version
    bare = things.search(vectors[2], 1, with_payload=False)[0]
    assert (bare.payload, bare.vector) == (None, None)


# -- refusals

ONES = np.ones((2, DIM))
GOOD = [1, 2]


def with_value(value: float) -> np.ndarray:
    vectors = ONES.copy()
    vectors[1, 3] = value
    return vectors


UPSERTS: dict[str, tuple[Any, type[Exception], str]] = {
    "wrong dimension": (lambda c: c.upsert(GOOD, np.ones((2, 5))), pqdb.DimensionError, "expected 6 dimensions, not 5"),
    "three axes": (lambda c: c.upsert(GOOD, np.ones((2, 6, 1))), pqdb.DimensionError, "not an array of 3 dimensions"),
    "NaN": (lambda c: c.upsert(GOOD, with_value(np.nan)), pqdb.InputError, "vector 1 holds nan at dimension 3"),
    "infinity": (lambda c: c.upsert(GOOD, with_value(-np.inf)), pqdb.InputError, "vector 1 holds -inf at dimension 3"),
    "past float32": (lambda c: c.upsert(GOOD, with_value(1e39)), pqdb.InputError, "vector 1 holds inf at dimension 3"),
    "too long": (lambda c: c.upsert(GOOD, with_value(2e19)), pqdb.InputError, "vector 1 is too long"),
    "empty batch": (lambda c: c.upsert([], []), pqdb.InputError, "at least one point"),
    "empty array": (lambda c: c.upsert([], np.empty((0, DIM))), pqdb.InputError, "at least one point"),
    "ragged": (lambda c: c.upsert(GOOD, [[1.0] * 6, [1.0] * 5]), pqdb.InputError, "rows of equal length"),
    "text": (lambda c: c.upsert(GOOD, [["1"] * 6] * 2), pqdb.InputError, "numbers in rows of equal length"),
    "nothing": (lambda c: c.upsert(GOOD, None), pqdb.InputError, "numbers in rows of equal length"),
    "more ids": (lambda c: c.upsert([1, 2, 3], ONES), pqdb.InputError, "3 ids for 2 vectors"),
    "fewer payloads": (lambda c: c.upsert(GOOD, ONES, [{}]), pqdb.InputError, "1 payloads for 2 points"),
    "float id": (lambda c: c.upsert([1, 2.0], ONES), pqdb.IdError, "not float (2.0)"),
    "array of floats": (lambda c: c.upsert(np.array([1.0, 2.0]), ONES), pqdb.IdError, "not float (1.0)"),
    "bool id": (lambda c: c.upsert([1, True], ONES), pqdb.IdError, "not bool (True)"),
    "None id": (lambda c: c.upsert([1, None], ONES), pqdb.IdError, "not NoneType (None)"),
    "bytes id": (lambda c: c.upsert([1, b"x"], ONES), pqdb.IdError, "not bytes"),
    "negative id": (lambda c: c.upsert([1, -1], ONES), pqdb.IdError, f"between 0 and {2**64 - 1}, not -1"),
    "id over 2^64": (lambda c: c.upsert([1, 2**64], ONES), pqdb.IdError, f"between 0 and {2**64 - 1}, not {2**64}"),
    "empty string id": (lambda c: c.upsert([1, ""], ONES), pqdb.IdError, "1 to 400 bytes of UTF-8, not 0"),
    "long string id": (lambda c: c.upsert([1, "é" * 201], ONES), pqdb.IdError, "1 to 400 bytes of UTF-8, not 402"),
    "half a character": (lambda c: c.upsert([1, "\ud800"], ONES), pqdb.IdError, "cannot be written as UTF-8"),
    "ids that are none": (lambda c: c.upsert(1.5, ONES), pqdb.InputError, "a sequence of integers and strings"),
    "payload that is a list": (lambda c: c.upsert(GOOD, ONES, [{}, [1]]), pqdb.PayloadError, "JSON object, not list"),
    "payload with a set": (lambda c: c.upsert(GOOD, ONES, [{}, {"a": {1}}]), pqdb.PayloadError, "set is not JSON"),
    "payload with NaN": (lambda c: c.upsert(GOOD, ONES, [{}, {"a": np.nan}]), pqdb.PayloadError, "as JSON"),
    "payload with half a character": (
        lambda c: c.upsert(GOOD, ONES, [{}, {"a": "\ud800"}]),
        pqdb.PayloadError,
        "as JSON",
    ),
    "oversized payload": (
        lambda c: c.upsert(GOOD, ONES, [{}, {"a": "x" * (16 << 20)}]),
        pqdb.PayloadError,
        "at most 16,777,216 bytes of JSON, not 16,777,224",
    ),
    "delete of a bad id": (lambda c: c.delete([3, -5]), pqdb.IdError, "not -5"),
    "delete of bytes": (lambda c: c.delete(b"12"), pqdb.InputError, "integers and strings, not bytes"),
    "delete of nothing named": (lambda c: c.delete(), pqdb.InputError, "delete needs ids"),
    "payload set to text": (lambda c: c.set_payload("x", [3]), pqdb.PayloadError, "JSON object, not str"),
    "payload set to None": (lambda c: c.set_payload(None, [3]), pqdb.PayloadError, "not None; clear_payload"),
    "payload overwritten by None": (lambda c: c.overwrite_payload(None, [3]), pqdb.PayloadError, "not None"),
    "payload set to NaN": (lambda c: c.set_payload({"a": np.inf}, [3]), pqdb.PayloadError, "as JSON"),
    "payload of a bad id": (lambda c: c.set_payload({"a": 1}, [3, -5]), pqdb.IdError, "not -5"),
}
QUERY = np.ones(DIM)
SEARCHES: dict[str, tuple[Any, type[Exception], str]] = {
    "wrong dimension": (lambda c: c.search(np.ones(5)), pqdb.DimensionError, "expected 6 dimensions, not 5"),
    "float32 of wrong dimension": (
        lambda c: c.search(np.ones(5, np.float32)),
        pqdb.DimensionError,
        "6 dimensions, not 5",
    ),
    "batch of wrong dimension": (lambda c: c.search(np.ones((3, 7))), pqdb.DimensionError, "6 dimensions, not 7"),
    "NaN": (lambda c: c.search(QUERY * np.nan), pqdb.InputError, "vector 0 holds nan at dimension 0"),
    "NaN in float32": (
        lambda c: c.search(np.full(6, np.nan, "f4")),
        pqdb.InputError,
        "vector 0 holds nan at dimension 0",
    ),
    "infinity": (lambda c: c.search(QUERY * np.inf), pqdb.InputError, "holds inf"),
    "ragged": (lambda c: c.search([[1.0] * 6, [1.0] * 5]), pqdb.InputError, "rows of equal length"),
    "a row among numbers": (lambda c: c.search([1.0, [2.0]]), pqdb.InputError, "rows of equal length"),
    "no query": (lambda c: c.search([]), pqdb.DimensionError, "a query of 6 dimensions"),
    "no queries": (lambda c: c.search(np.empty((0, 6))), pqdb.DimensionError, "not an array of shape (0, 6)"),
    "a number": (lambda c: c.search(3.0), pqdb.DimensionError, "not an array of shape ()"),
    "an id that is not there": (lambda c: c.search("query"), pqdb.PointNotFoundError, "there is no point 'query'"),
    "k of 0": (lambda c: c.search(QUERY, 0), pqdb.InputError, "k must be a whole number from 1 to 10,000, not 0"),
    "k over 10,000": (lambda c: c.search(QUERY, 10_001), pqdb.InputError, "from 1 to 10,000, not 10001"),
    "k and offset": (lambda c: c.search(QUERY, 5, offset=9_999), pqdb.InputError, "k=5 and offset=9999 make 10,004"),
    "examples that are one text": (lambda c: c.recommend("42"), pqdb.InputError, "a list of ids and vectors, not str"),
    "k of a half": (lambda c: c.search(QUERY, 2.5), pqdb.InputError, "not 2.5"),
    "k of True": (lambda c: c.search(QUERY, True), pqdb.InputError, "not True"),
    "recall of 0": (lambda c: c.search(QUERY, recall=0), pqdb.InputError, "between 0 and 1, not 0; exact=True"),
    "recall of 1": (lambda c: c.search(QUERY, recall=1), pqdb.InputError, "between 0 and 1, not 1; exact=True"),
    "recall over 1": (lambda c: c.search(QUERY, recall=97), pqdb.InputError, "not 97"),
    "recall below 0": (lambda c: c.search(QUERY, recall=-0.5), pqdb.InputError, "not -0.5"),
    "recall of NaN": (lambda c: c.search(QUERY, recall=np.nan), pqdb.InputError, "not nan"),
    "recall of text": (lambda c: c.search(QUERY, recall="all"), pqdb.InputError, "not 'all'"),
    "recall of a list": (lambda c: c.search(QUERY, recall=[0.9]), pqdb.InputError, "not [0.9]"),
    "rerank without nprobe": (lambda c: c.search(QUERY, rerank=20), pqdb.InputError, "together with nprobe"),
    "nprobe of 0": (lambda c: c.search(QUERY, nprobe=0), pqdb.InputError, "nprobe must be at least 1, not 0"),
    "nprobe of a half": (
        lambda c: c.search(QUERY, nprobe=1.5),
        pqdb.InputError,
        "nprobe must be a whole number, not 1.5",
    ),
    "rerank below k": (lambda c: c.search(QUERY, 3, nprobe=1, rerank=2), pqdb.InputError, "rerank=2 is fewer than k=3"),
    "no filter": (lambda c: c.search(QUERY, filter={"mast": []}), pqdb.FilterError, "unknown key 'mast'"),
    "count with no filter": (lambda c: c.count({"must": 7}), pqdb.FilterError, "filter.must is an array, not 7"),
    "scroll with no filter": (lambda c: c.scroll(filter=[]), pqdb.FilterError, "filter is an object, not []"),
    "explain with no filter": (lambda c: c.explain(QUERY, filter=1), pqdb.FilterError, "filter is an object, not 1"),
    "delete with no filter": (lambda c: c.delete(filter="all"), pqdb.FilterError, "filter is an object, not 'all'"),
    "scroll of none": (lambda c: c.scroll(0), pqdb.InputError, "limit must be at least 1, not 0"),
    "scroll of a half": (lambda c: c.scroll(1.5), pqdb.InputError, "limit must be a whole number, not 1.5"),
    "scroll from a bad id": (lambda c: c.scroll(offset=-1), pqdb.IdError, "not -1"),
    "get of a bad id": (lambda c: c.get([-1]), pqdb.IdError, "not -1"),
    "measuring k of 0": (lambda c: c.measure_recall(0), pqdb.InputError, "not 0"),
    "measuring none": (lambda c: c.measure_recall(sample=0), pqdb.InputError, "sample must be at least 1, not 0"),
    "measuring no queries": (lambda c: c.measure_recall(queries=[]), pqdb.InputError, ""),
    "measuring no rows": (
        lambda c: c.measure_recall(queries=np.empty((0, 6))),
        pqdb.InputError,
        "no queries to measure recall on",
    ),
    "measuring a rerank below k": (
        lambda c: c.measure_recall(5, nprobe=1, rerank=4),
        pqdb.InputError,
        "rerank=4 is fewer than k=5",
    ),
}


def refuses(things: pqdb.Collection, case: tuple[Callable[[Any], Any], type[Exception], str]) -> None:
    act, error, sentence = case
    before = state(things)
    with pytest.raises(error) as caught:
        act(things)
    assert isinstance(caught.value, pqdb.PqdbError)
    assert sentence in str(caught.value)
    assert state(things) == before


@pytest.mark.parametrize("name", UPSERTS)
def test_what_cannot_be_written_is_refused_and_changes_nothing(things: pqdb.Collection, name: str) -> None:
    refuses(things, UPSERTS[name])


@pytest.fixture(scope="module")
def trained() -> Any:
    with pqdb.open(upkeep="manual") as database:
        made = database.create_collection("trained", DIM, "l2")
        made.upsert(np.arange(50), clustered(50, DIM, seed=SEED))
        made.train()
        yield made


@pytest.mark.parametrize("name", SEARCHES)
def test_what_cannot_be_asked_is_refused(trained: pqdb.Collection, name: str) -> None:
    refuses(trained, SEARCHES[name])


def test_ids_of_numpy_are_ids(trained: pqdb.Collection) -> None:
    assert trained.search(np.int64(7), 3).ids == trained.search(7, 3).ids
    assert trained.recommend(np.array([3, 4]), k=3).ids == trained.recommend([3, 4], k=3).ids
    assert trained.measure_recall(10, nprobe=1, rerank=10).k == 10  # of rows, among which each is itself


@pytest.mark.parametrize(
    "name", ["k of 0", "recall of 1", "recall of NaN", "rerank without nprobe", "nprobe of 0", "nprobe of a half"]
)
def test_the_young_collection_refuses_the_same(things: pqdb.Collection, name: str) -> None:
    """Before there are lists to probe nothing would come of these numbers; a mistake is told all the same."""
    refuses(things, SEARCHES[name])


def test_what_a_number_does_not_fit_float16_is_refused(db: pqdb.Database) -> None:
    made = db.create_collection("halves", 2, "dot", source="float16")
    with pytest.raises(pqdb.InputError, match="source=float16 holds numbers up to 65504, not 70000"):
        made.upsert([1], [[1.0, 70_000.0]])
    assert len(made) == 0


def test_without_a_source_what_needs_one_is_refused(db: pqdb.Database) -> None:
    """Until rows are indexed they have one; afterwards exactness and vectors are gone, and said to be."""
    made = db.create_collection("codes", 8, source=None)
    vectors = clustered(400, 8, seed=SEED)
    made.upsert(np.arange(400), vectors)
    assert made.search(vectors[3], 1, exact=True).ids == [3]
    made.train()
    assert made.search(vectors[3], 1).ids == [3]
    for act, sentence in (
        (lambda: made.search(vectors[3], exact=True), "exact=True compares source vectors"),
        (lambda: made.search(vectors[3], with_vector=True), "source=None keeps no source vectors"),
        (lambda: made.get([3], with_vector=True), "source=None keeps no source vectors"),
        (made.measure_recall, "recall is measured against source vectors"),
    ):
        with pytest.raises(pqdb.InputError, match=sentence):
            act()
    fresh = clustered(3, 8, seed=1)
    made.upsert([900, 901, 902], fresh)
    assert made.search(fresh[0], 1).ids == [900]
    made.optimize()
    assert made.search(fresh[0], 1).ids == [900]
    made.train()  # from what the codes and the int8 rows still tell
    bare = db.create_collection("bare codes", 8, source=None, rerank=None)
    bare.upsert(np.arange(400), vectors)
    bare.train()
    with pytest.raises(pqdb.InputError, match="no vectors to learn from"):
        bare.train()
    assert sorted(made.search(vectors[3], 403, nprobe=9, rerank=500).ids) == [*range(400), 900, 901, 902]
    assert made.verify() == []
