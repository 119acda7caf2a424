"""Whatever indexes there are, a filter lets through what a plain look at every payload does."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

import pqdb
from pqdb.query import selector
from pqdb.query.conditions import count_named
from pqdb.query.entries import KINDS
from pqdb.query.evaluate import passes
from pqdb.query.parse import parse_filter
from pqdb.query.select import Selection
from tests.query import made

IDS = st.integers(0, 12)
INDEXES = st.dictionaries(st.tuples(st.sampled_from(made.PATHS), st.sampled_from(KINDS)), st.none(), max_size=8)
LONG = "ein langes Wort " * 40
ODD = [
    2**63, -(2**63), 2**63 - 1, 2**53, 2**53 + 1, 10**30, 1e300, -0.0, 0.1, LONG, LONG + "!", "a" * 399, "a" * 400,
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3F2504E0-4F89-11D3-9A0C-0305E82C3301", "\0", "a\0b", "é", "日本語",
]  # fmt: skip


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pqdb.Database]:
    with pqdb.open(tmp_path_factory.mktemp("select") / "db", upkeep="manual") as db:
        yield db


def filled(db: pqdb.Database, payloads: list[Any], indexes: Any) -> pqdb.Collection:
    """A new collection: half of the indexes are made before the points, half after them."""
    if "c" in db:
        db.drop_collection("c")
    points = db.create_collection("c", 1, "dot", quantization=pqdb.Flat())
    early, late = list(indexes)[::2], list(indexes)[1::2]
    for key, kind in early:
        points.create_payload_index(key, kind)
    if payloads:
        points.upsert(range(len(payloads)), np.ones((len(payloads), 1)), payloads)
    for key, kind in late:
        points.create_payload_index(key, kind)
    return points


def held(points: pqdb.Collection) -> dict[Any, Any]:
    return {point.id: point.payload for point in points.scroll(1_000).points}


def check(points: pqdb.Collection, payloads: dict[Any, Any], filters: list[Any]) -> None:
    for asked in filters:
        parsed = parse_filter(asked)
        expected = sorted(name for name, payload in payloads.items() if passes(parsed, payload, name))
        found = [point.id for point in points.scroll(1_000, filter=asked).points]
        assert found == expected, asked
        assert points.count(asked) == len(expected)


QUICK = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])


@settings(QUICK, max_examples=30)
@given(st.lists(made.payloads, max_size=12), INDEXES, st.lists(made.filters, min_size=20, max_size=40))
def test_with_any_indexes(collections: pqdb.Database, payloads: list[Any], indexes: Any, filters: list[Any]) -> None:
    points = filled(collections, payloads, indexes)
    check(points, dict(enumerate(payloads)), filters)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), IDS, made.payloads),
        st.tuples(st.just("delete"), IDS, st.none()),
        st.tuples(st.just("set"), IDS, made.payloads.filter(lambda payload: payload is not None)),
        st.tuples(st.just("overwrite"), IDS, made.payloads.filter(lambda payload: payload is not None)),
        st.tuples(st.just("take out"), IDS, made.paths),
        st.tuples(st.just("clear"), IDS, st.none()),
        st.tuples(st.just("delete all"), st.none(), made.fields),
        st.tuples(st.just("set all"), st.none(), made.fields),
    ),
    max_size=8,
)


def change(points: pqdb.Collection, verb: str, id: Any, given: Any) -> None:
    if verb == "upsert":
        points.upsert([id], np.ones((1, 1)), [given])
    elif verb == "delete":
        points.delete([id])
    elif verb == "set":
        points.set_payload(given, [id])
    elif verb == "overwrite":
        points.overwrite_payload(given, [id])
    elif verb == "take out":
        points.delete_payload([given], [id])
    elif verb == "clear":
        points.clear_payload([id])
    elif verb == "delete all":
        points.delete(filter={"must": given})
    else:
        points.set_payload({"b": [1, "red"]}, filter={"must": given})


@settings(QUICK, max_examples=25)
@given(st.lists(made.payloads, max_size=10), INDEXES, CHANGES, st.lists(made.filters, min_size=5, max_size=15))
def test_after_any_changes(
    collections: pqdb.Database, payloads: list[Any], indexes: Any, changes: list[Any], filters: list[Any]
) -> None:
    points = filled(collections, payloads, indexes)
    for verb, name, each in changes:
        change(points, verb, name, each)
        check(points, held(points), filters[:2])
    check(points, held(points), filters)
    assert points.verify() == []


def asked_of(value: Any) -> list[dict[str, Any]]:
    """Questions that a value might answer."""
    if isinstance(value, str):
        whole = [{"value": value}, {"any": [value, "x"]}, {"except": [value]}, {"prefix": value}, {"substring": value}]
        parts = [{"prefix": value[:1]}, {"prefix": value[:390]}, {"substring": value[-1:]}, {"text": value}]
        return [{"match": each} for each in whole + parts]
    ranges = [{"range": {end: value}} for end in ("gt", "gte", "lt", "lte")]
    if isinstance(value, int):
        ranges += [{"match": {"value": value}}, {"match": {"any": [value]}}, {"match": {"except": [value]}}]
    return ranges


@pytest.mark.parametrize("kind", KINDS)
def test_odd_values_are_found_by_every_index(db: pqdb.Database, kind: str) -> None:
    payloads: list[Any] = [{"a": value} for value in ODD] + [{"a": [value, 1, "x", None]} for value in ODD]
    points = filled(db, payloads, [("a", kind)])
    questions = [{"must": {"key": "a", **question}} for value in ODD for question in asked_of(value)]
    check(points, dict(enumerate(payloads)), questions)
    assert points.verify() == []


def test_places_near_a_border_are_looked_at(db: pqdb.Database, rng: np.random.Generator) -> None:
    """Places in a circle, and all around its border to a millimetre: the index holds them to some of those only."""
    center = (52.52, 13.405)
    angles, metres = rng.uniform(0, 2 * np.pi, 400), 1_000 + rng.choice([-500, -1, -0.001, 0, 0.001, 1, 500], 400)
    lats = center[0] + np.degrees(metres * np.cos(angles) / 6_371_008.8)
    lons = center[1] + np.degrees(metres * np.sin(angles) / 6_371_008.8 / np.cos(np.radians(center[0])))
    payloads: list[Any] = [
        {"a": {"lat": lat, "lon": lon}} for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)
    ]
    payloads += [
        {"a": {"lat": lat, "lon": lon}} for lat in (-90, -89.9, 0, 90) for lon in (-180, -179.99, 0, 179.99, 180)
    ]
    points = filled(db, payloads, [("a", "geo")])
    circles = [(*center, 1_000.0), (*center, 999.999), (90, 5, 20_000.0), (-90, 0, 1.0), (0, 180, 2_000.0), (0, 0, 3e7)]
    questions: list[Any] = [
        {"geo_radius": {"center": {"lat": lat, "lon": lon}, "radius": radius}} for lat, lon, radius in circles
    ]
    for north, west, south, east in ((53, 13, 52, 14), (90, -180, -90, 180), (1, 179.5, -90, -179.5), (0, 0, 0, 0)):
        box = {"top_left": {"lat": north, "lon": west}, "bottom_right": {"lat": south, "lon": east}}
        questions.append({"geo_bounding_box": box})
    ring = [(lats[i], lons[i]) for i in (0, 1, 2)]
    corners = [{"lat": lat, "lon": lon} for lat, lon in [*ring, ring[0]]]
    questions.append({"geo_polygon": {"exterior": {"points": corners}}})
    check(points, dict(enumerate(payloads)), [{"must": {"key": "a", **question}} for question in questions])


def test_filters_are_kept_until_the_next_commit(db: pqdb.Database) -> None:
    points = filled(db, [{"a": 1}, {"a": 2}], [])
    asked = {"must": {"key": "a", "match": {"value": 1}}}
    assert points.count(asked) == points.count(asked) == 1
    points.set_payload({"a": 1}, [1])
    assert points.count(asked) == 2
    points.delete([0])
    assert points.count(asked) == 1


def test_numbers_of_rows_are_kept_only_where_they_are_few() -> None:
    few, many = Selection(BitMap(range(0, 10_000, 5)), 10_000), Selection(BitMap(range(0, 10_000, 2)), 10_000)
    assert few.array is few.array
    assert many.array is not many.array
    assert many.array.tolist() == list(range(0, 10_000, 2))
    assert many.array.dtype == np.uint32
    assert Selection(BitMap(range(50_000)), 1_000_000).has_few


def test_filters_that_name_many_ids_make_room_for_one_another(
    db: pqdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,500 that named 5,000 ids each took a gigabyte beside what was counted."""
    monkeypatch.setattr(selector, "KEPT_BYTES", 1 << 20)
    points = filled(db, [{"a": i} for i in range(50)], [])
    for first in range(40):
        asked = {"must_not": [{"has_id": list(range(first, first + 1_000))}]}
        assert points.count(asked) == first
    made = [each for each in gc.get_objects() if isinstance(each, selector.Selector)]
    kept = [sum(map(count_named, each._kept)) for each in made]
    assert 1_000 < max(kept) * selector.NAMED_BYTES <= 1 << 20
