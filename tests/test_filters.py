"""The verbs that take a filter: count, scroll, delete, change payloads, facet, sample, replace, search."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pqdb
from tests.conftest import SEED
from tests.data import clustered

DIM, ROWS = 8, 400
EVEN = {"must": [{"key": "even", "match": {"value": True}}]}
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def payload(row: int) -> dict[str, Any] | None:
    if row % 10 == 9:
        return None
    tags = [f"t{row % 3}", f"t{row % 7}"]
    day = f"2024-01-{1 + row % 28:02}"
    return {"n": row, "even": row % 2 == 0, "tags": tags, "x": row / 8, "day": day, "doc": {"file": f"f{row % 20}"}}


IDS: list[int | str] = [*range(ROWS - 2), "a", UUID]
PAYLOADS = dict(zip(IDS, map(payload, range(ROWS)), strict=True))
VECTORS = clustered(ROWS, DIM, seed=SEED)
INDEXES = {
    "none": {},
    "all": {"n": "integer", "even": "bool", "tags": "keyword", "x": "float", "day": "datetime", "doc.file": "keyword"},
}


def where(test: Callable[[dict[str, Any]], bool]) -> list[int | str]:
    return [name for name, held in PAYLOADS.items() if held is not None and test(held)]


@pytest.fixture(params=INDEXES)
def things(request: pytest.FixtureRequest, db: pqdb.Database) -> pqdb.Collection:
    made = db.create_collection("things", DIM, "l2")
    made.upsert(IDS, VECTORS, list(PAYLOADS.values()))
    for key, kind in INDEXES[request.param].items():
        made.create_payload_index(key, kind)
    return made


def ids_of(points: Any) -> list[int | str]:
    return [point.id for point in points]


# -- reading


def test_count_and_scroll(things: pqdb.Collection) -> None:
    expected = where(lambda held: held["even"])
    assert things.count(EVEN) == len(expected)
    assert ids_of(things.scroll(ROWS, filter=EVEN).points) == expected
    assert things.count({}) == things.count() == ROWS
    assert things.count({"must_not": {"is_empty": {"key": "n"}}}) == sum(held is not None for held in PAYLOADS.values())


@pytest.mark.parametrize("limit", [1, 7, 150, ROWS])
@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (EVEN, where(lambda held: held["even"])),
        ({"must": {"key": "doc.file", "match": {"value": "f3"}}}, where(lambda held: held["doc"]["file"] == "f3")),
        ({"must_not": [EVEN]}, [name for name, held in PAYLOADS.items() if held is None or not held["even"]]),
    ],
)
def test_pages_of_a_filter_follow_one_another(things: pqdb.Collection, limit: int, filter: Any, expected: Any) -> None:
    seen: list[int | str] = []
    page = things.scroll(limit, filter=filter)
    while True:
        seen += ids_of(page.points)
        if page.next_offset is None:
            break
        assert len(page.points) == limit
        page = things.scroll(limit, page.next_offset, filter=filter)
    order = sorted(expected, key=lambda name: (isinstance(name, str), name == "a", str(name).rjust(9)))
    assert seen == order


def test_scroll_in_the_order_of_a_key(things: pqdb.Collection) -> None:
    rows = {name: held for name, held in PAYLOADS.items() if held is not None and held["even"]}
    for key, start, read in (("n", 100, lambda held: held["n"]), ("x", 7.5, lambda held: held["x"])):
        ascending = sorted((read(held), name) for name, held in rows.items() if isinstance(name, int))
        page = things.scroll(20, filter={"must": [EVEN, {"must_not": {"has_id": ["a", UUID]}}]}, order_by=key)
        assert (page.order_values, ids_of(page.points)) == tuple(map(list, zip(*ascending[:20], strict=True)))
        assert page.next_offset is None
        order = {"key": key, "direction": "desc", "start_from": start}
        page = things.scroll(5, filter=EVEN, order_by=order)
        values = sorted((read(held) for held in rows.values() if read(held) <= start), reverse=True)
        assert page.order_values == values[:5]
    page = things.scroll(30, order_by={"key": "day", "start_from": "2024-01-27T12:00:00Z"})
    assert set(page.order_values or ()) == {1_706_400_000_000_000}
    assert ids_of(page.points) == where(lambda held: held["day"] == "2024-01-28")
    assert things.scroll(5, order_by="tags").points == []
    with pytest.raises(pqdb.InputError, match="has no offset: use start_from"):
        things.scroll(5, 7, order_by="n")
    for bad in ({"key": "n", "direction": "up"}, {"key": "n", "start_from": "soon"}, {"start": 1}, 7):
        with pytest.raises(pqdb.FilterError):
            things.scroll(5, order_by=bad)


def test_an_order_is_of_all_that_is_there(things: pqdb.Collection) -> None:
    """Numbers come before points in time, whatever an index can hold."""
    things.set_payload({"n": [2.5, "2024-01-01"]}, [0])
    things.set_payload({"n": 10**30}, [2])
    page = things.scroll(4, filter={"must": {"has_id": [0, 1, 2]}}, order_by="n")
    assert (page.order_values, ids_of(page.points)) == ([1, 2.5, 10**30, 1_704_067_200_000_000], [1, 0, 2, 0])


def test_where_there_are_only_times_a_number_is_one() -> None:
    first = 1_704_067_200_000_000  # 2024-01-01
    with pqdb.open() as db:
        made = db.create_collection("days", 2)
        made.upsert([1, 2, 3], np.eye(3, 2), [{"day": f"2024-01-0{n}"} for n in (1, 2, 3)])
        made.create_payload_index("day", "datetime")
        days = [first + 86_400_000_000 * n for n in range(3)]
        for direction, start, ids in (("asc", days[1], [2, 3]), ("desc", days[1], [2, 1]), ("desc", first - 1, [])):
            page = made.scroll(9, order_by={"key": "day", "direction": direction, "start_from": start})
            assert (ids_of(page.points), page.order_values) == (ids, [days[n - 1] for n in ids])


def test_facets(things: pqdb.Collection) -> None:
    tags = Counter(tag for held in PAYLOADS.values() if held for tag in set(held["tags"]))
    ranked = sorted(tags.items(), key=lambda item: (-item[1], item[0]))
    assert things.facet("tags", limit=50) == ranked
    assert things.facet("tags", limit=2) == ranked[:2]
    even = Counter(held["doc"]["file"] for held in PAYLOADS.values() if held and held["even"])
    assert dict(things.facet("doc.file", EVEN, 50)) == even
    assert things.facet("even") == [(True, 200), (False, 160)]
    assert things.facet("n", {"must": {"key": "n", "range": {"lt": 3}}}) == [(0, 1), (1, 1), (2, 1)]
    assert things.facet("nothing") == []


def test_facets_count_values_of_every_type(things: pqdb.Collection) -> None:
    things.set_payload({"tags": ["t0", "t0", 7, True, None, 1.5, "w" * 500], "n": ["x", 10**30, 5]}, [5, 7])
    asked = {"must": {"has_id": [5, 7]}}
    assert set(things.facet("tags", asked)) == {("t0", 2), (7, 2), (True, 2), ("w" * 500, 2)}
    assert set(things.facet("n", asked)) == {("x", 2), (10**30, 2), (5, 2)}


def test_a_sample_is_of_points_that_pass(things: pqdb.Collection) -> None:
    drawn = things.sample(50, EVEN, with_vector=True, seed=1)
    assert len({point.id for point in drawn}) == 50
    assert set(ids_of(drawn)) <= set(where(lambda held: held["even"]))
    assert all(np.array_equal(point.vector, VECTORS[IDS.index(point.id)]) for point in drawn)
    assert ids_of(things.sample(50, EVEN, seed=1)) == ids_of(drawn) != ids_of(things.sample(50, EVEN, seed=2))
    assert len(things.sample(1_000)) == ROWS
    assert things.sample(5, {"must": {"has_id": []}}) == []


# -- writing


def test_delete_by_filter(things: pqdb.Collection) -> None:
    expected = where(lambda held: held["even"])
    assert things.delete(filter=EVEN) == len(expected)
    assert len(things) == ROWS - len(expected)
    assert things.count(EVEN) == things.delete(filter=EVEN) == 0
    assert set(ids_of(things.scroll(ROWS).points)) == set(IDS) - set(expected)
    assert things.verify() == []


def test_payloads_are_changed_by_ids_and_by_filter(things: pqdb.Collection) -> None:
    n = things.count(EVEN)
    assert things.set_payload({"seen": 1}, filter=EVEN) == n
    assert things.count({"must": {"key": "seen", "match": {"value": 1}}}) == n
    assert things.set_payload({"pages": 3}, [0, 12_345], key="doc") == 1
    assert things.get(0)[0].payload == {**(payload(0) or {}), "seen": 1, "doc": {"file": "f0", "pages": 3}}
    assert things.delete_payload(["seen", "doc.file"], filter=EVEN) == n
    assert things.get(0)[0].payload == {**(payload(0) or {}), "doc": {"pages": 3}}
    assert things.facet("doc.file", EVEN) == []
    assert things.overwrite_payload({"even": True, "new": [1]}, filter=EVEN) == n
    assert things.get(2)[0].payload == {"even": True, "new": [1]}
    assert things.count({"must": {"key": "n", "range": {"gte": 0}}}) == 360 - n
    assert things.clear_payload(filter=EVEN) == n
    assert things.clear_payload([1]) == 1
    assert things.get([1, 2])[0].payload is None is things.get(2)[0].payload
    assert things.count(EVEN) == 0
    assert things.verify() == []


@pytest.mark.parametrize("verb", ["delete", "clear_payload", "set_payload", "overwrite_payload", "delete_payload"])
def test_ids_or_a_filter_and_not_both(things: pqdb.Collection, verb: str) -> None:
    first: list[Any] = {"delete": [], "clear_payload": [], "delete_payload": [["n"]]}.get(verb, [{"n": 1}])
    before = things.info()["sequence"]
    with pytest.raises(pqdb.InputError, match=f"{verb} needs ids or a filter$"):
        getattr(things, verb)(*first)
    with pytest.raises(pqdb.InputError, match=f"{verb} needs ids or a filter, not both"):
        getattr(things, verb)(*first, ids=[1], filter=EVEN)
    with pytest.raises(pqdb.FilterError):
        getattr(things, verb)(*first, filter={"mast": []})
    assert things.info()["sequence"] == before


def test_a_payload_that_grows_too_large_changes_nothing(things: pqdb.Collection) -> None:
    things.set_payload({"big": "x" * 9_000_000}, [1])
    before = things.info()["sequence"]
    with pytest.raises(pqdb.PayloadError, match="at most 16,777,216 bytes"):
        things.set_payload({"bigger": "x" * 9_000_000}, filter={"must": {"has_id": [0, 1, 2]}})
    assert things.info()["sequence"] == before
    assert "bigger" not in (things.get(0)[0].payload or {})


# -- indexes


def test_indexes_are_listed_made_once_and_dropped(db: pqdb.Database) -> None:
    made = db.create_collection("things", DIM, "l2")
    assert made.info()["payload_indexes"] == []
    assert made.create_payload_index("n", "integer")
    assert not made.create_payload_index('"n"', "integer")
    assert made.create_payload_index("n", "float")
    assert made.create_payload_index("doc.file", "keyword")
    assert made.info()["payload_indexes"] == [
        {"key": "n", "kind": "integer"}, {"key": "n", "kind": "float"}, {"key": "doc.file", "kind": "keyword"},
    ]  # fmt: skip
    assert made.drop_payload_index("n")
    assert not made.drop_payload_index("n")
    assert made.info()["payload_indexes"] == [{"key": "doc.file", "kind": "keyword"}]
    with pytest.raises(pqdb.InputError, match=r"one of keyword, integer, .*, not 'words'"):
        made.create_payload_index("n", "words")
    with pytest.raises(pqdb.FilterError, match="malformed"):
        made.create_payload_index("n[", "integer")


def test_indexes_are_there_when_the_database_is_opened_again(db: pqdb.Database) -> None:
    made = db.create_collection("things", DIM, "l2")
    made.create_payload_index("even", "bool")
    made.upsert(IDS, VECTORS, list(PAYLOADS.values()))
    db.close()
    with pqdb.open(db.path, read_only=True) as again:
        explained = again["things"].explain(VECTORS[0], filter=EVEN)
        assert explained.filter is not None
        assert (explained.filter.indexes, explained.filter.scanned) == (("even (bool)",), 0)
        with pytest.raises(pqdb.ReadOnlyError):
            again["things"].create_payload_index("n", "integer")


def test_a_collection_that_was_compacted_filters_as_before(db: pqdb.Database) -> None:
    made = db.create_collection("things", DIM, "l2")
    made.create_payload_index("even", "bool")
    made.create_payload_index("n", "integer")
    made.upsert(IDS, VECTORS, list(PAYLOADS.values()))
    for _ in range(3):
        made.upsert(IDS[:300], VECTORS[:300], list(PAYLOADS.values())[:300])
    before = ids_of(made.scroll(ROWS, filter=EVEN).points)
    made.train()
    made.compact()
    assert ids_of(made.scroll(ROWS, filter=EVEN).points) == before
    assert made.explain(VECTORS[0], filter=EVEN).filter.scanned == 0  # type: ignore[union-attr]
    assert made.count({"must": {"key": "n", "range": {"lt": 100}}}) == 90
    made.delete(filter=EVEN)
    assert made.count(EVEN) == 0
    assert made.verify() == []


# -- replace


def document(file: str, n: int, version: int) -> tuple[list[str], np.ndarray, list[dict[str, Any]]]:
    rows = np.full((n, DIM), version, np.float32)
    return [f"{file}-{version}-{i}" for i in range(n)], rows, [{"file": file, "version": version} for _ in range(n)]


def test_a_document_is_replaced_at_once(things: pqdb.Collection) -> None:
    first = things.replace(("file", "a.pdf"), *document("a.pdf", 3, 1))
    things.upsert(*document("b.pdf", 2, 1))
    second = things.replace(("file", "a.pdf"), *document("a.pdf", 5, 2))
    assert second == things.info()["sequence"] > first
    assert dict(things.facet("file")) == {"a.pdf": 5, "b.pdf": 2}
    assert things.facet("version", {"must": {"key": "file", "match": {"value": "a.pdf"}}}) == [(2, 5)]
    assert things.replace({"must": {"key": "file", "match": {"value": "b.pdf"}}}, [], np.zeros((0, DIM))) > second
    assert things.count({"must": {"key": "file", "match": {"value": "b.pdf"}}}) == 0
    assert things.verify() == []


def test_a_document_that_was_written_since_is_not_replaced(things: pqdb.Collection) -> None:
    first = things.replace(("file", "a"), *document("a", 3, 1), if_version=0)
    second = things.replace(("file", "a"), *document("a", 2, 2), if_version=first)
    for expected in (0, first):
        with pytest.raises(pqdb.ConflictError, match=rf"\(2\) are at version {second}, not {expected}"):
            things.replace(("file", "a"), *document("a", 4, 3), if_version=expected)
    assert things.facet("version") == [(2, 2)]
    things.set_payload({"seen": True}, ["a-2-0"])
    with pytest.raises(pqdb.ConflictError):
        things.replace(("file", "a"), *document("a", 4, 3), if_version=second)


@pytest.mark.parametrize("bad", [("a", 1.5), ("a.", "x"), ("a",), 7, {"mast": []}])
def test_what_says_no_document_is_refused(things: pqdb.Collection, bad: Any) -> None:
    with pytest.raises(pqdb.FilterError):
        things.replace(bad, *document("a", 1, 1))
    assert len(things) == ROWS


def test_a_reader_never_sees_half_a_document(db: pqdb.Database) -> None:
    """A story: one thread replaces a document of ever another size, others count it, scroll through it, search it."""
    made = db.create_collection("documents", DIM, "l2")
    made.create_payload_index("version", "integer")
    made.replace(("file", "a"), *document("a", 5, 0))
    halves: list[Any] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            page = made.scroll(100, filter={"must": {"key": "file", "match": {"value": "a"}}})
            versions = Counter(point.payload["version"] for point in page.points if point.payload)
            facets = made.facet("version")
            hits = made.search(np.zeros(DIM), 100, filter={"must": {"key": "file", "match": {"value": "a"}}})
            found = Counter(hit.payload["version"] for hit in hits)
            for seen in (versions, dict(facets), found):
                [(version, count)] = seen.items() if len(seen) == 1 else [(None, None)]
                if version is None or count != 5 + version % 3:
                    halves.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(1, 40):
        made.replace(("file", "a"), *document("a", 5 + version % 3, version))
    over.set()
    for reader in readers:
        reader.join()
    assert halves == []


# -- search


@pytest.mark.parametrize("filter", [EVEN, {}, {"must": {"key": "tags", "match": {"any": ["t0", "t6"]}}}])
def test_search_finds_the_nearest_that_pass(things: pqdb.Collection, filter: Any) -> None:
    passing = [row for row, name in enumerate(IDS) if name in set(ids_of(things.scroll(ROWS, filter=filter).points))]
    queries = clustered(5, DIM, seed=9)
    batch = things.search(queries, 7, filter=filter)
    for query, hits in zip(queries, batch, strict=True):
        distances = np.linalg.norm(VECTORS[passing] - query, axis=1)
        nearest = [IDS[passing[at]] for at in np.argsort(distances, kind="stable")[:7]]
        assert hits.ids == things.search(query, 7, filter=filter).ids == nearest
        assert things.search(query, 7, filter=filter, exact=True).ids == nearest


def test_fewer_pass_than_are_asked_for(things: pqdb.Collection) -> None:
    few = {"must": {"has_id": [3, "a", UUID, 999]}}
    assert set(things.search(VECTORS[0], 10, filter=few).ids) == {3, "a", UUID}
    batch = things.search(VECTORS[:2], 10, filter=few)
    assert batch.counts.tolist() == [3, 3]
    assert batch.ids.shape == (2, 10)
    nobody = {"must": {"has_id": []}}
    assert len(things.search(VECTORS[0], 10, filter=nobody)) == 0
    assert things.search(VECTORS[:3], 10, filter=nobody).counts.tolist() == [0, 0, 0]


def test_search_by_id_leaves_the_point_out(things: pqdb.Collection) -> None:
    for name in (5, "a", UUID.upper()):
        row = IDS.index(name if name != UUID.upper() else UUID)
        distances = np.linalg.norm(VECTORS - VECTORS[row], axis=1)
        nearest = [IDS[at] for at in np.argsort(distances, kind="stable") if at != row]
        assert things.search(name, 6).ids == nearest[:6]
        even = [each for each in nearest if (PAYLOADS[each] or {}).get("even")]
        assert things.search(name, 6, filter=EVEN).ids == even[:6]
    with pytest.raises(pqdb.PointNotFoundError, match="there is no point 'b'"):
        things.search("b")


def test_offset_and_threshold(things: pqdb.Collection) -> None:
    query = VECTORS[0] + 0.01
    hits = things.search(query, 30)
    assert things.search(query, 10, offset=20).ids == hits.ids[20:]
    assert things.search(query, 10, offset=20).scores.tolist() == hits.scores[20:].tolist()
    middle = float(hits.scores[9])
    assert things.search(query, 30, score_threshold=middle).ids == hits.ids[:9]  # nearer than that
    assert things.search(query, 30, score_threshold=middle, offset=4).ids == hits.ids[4:9]
    batch = things.search(np.stack([query, VECTORS[50]]), 30, score_threshold=middle, offset=4)
    assert batch[0].ids == hits.ids[4:9]
    even = things.search(query, 30, filter=EVEN)
    assert things.search(query, 5, filter=EVEN, offset=3).ids == even.ids[3:8]
    assert things.search(query, 5, offset=ROWS).ids == []
    for bad in (-1, 1.5, True):
        with pytest.raises(pqdb.InputError, match="offset must be a whole number"):
            things.search(query, 5, offset=bad)
    with pytest.raises(pqdb.InputError, match="offset=10000 make 10,005, more than the 10,000"):
        things.search(query, 5, offset=10_000)
    for nan in (np.nan, "1"):
        with pytest.raises(pqdb.InputError, match="score_threshold must be a number"):
            things.search(query, 5, score_threshold=nan)


def test_a_threshold_of_similarities_is_a_least(db: pqdb.Database) -> None:
    made = db.create_collection("angles", 2)
    made.upsert([1, 2, 3], [[1, 0], [1, 1], [0, 1]])
    assert made.search([1, 0], score_threshold=0.5).ids == [1, 2]
    assert made.search([1, 0], score_threshold=1).ids == []
