"""Case by case: what a filter lets through."""

from typing import Any

import pytest

from pqdb.query.evaluate import passes
from pqdb.query.parse import parse_filter

EARTH = {
    "berlin": {"lat": 52.52, "lon": 13.405},
    "paris": {"lat": 48.85, "lon": 2.35},
    "fiji": {"lat": -17, "lon": 179.9},
}


def match(key: str, **what: Any) -> dict[str, Any]:
    return {"key": key, "match": what}


def box(north: float, west: float, south: float, east: float) -> dict[str, Any]:
    corners = {"top_left": {"lat": north, "lon": west}, "bottom_right": {"lat": south, "lon": east}}
    return {"key": "a", "geo_bounding_box": corners}


def inside(key: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"nested": {"key": key, "filter": {"must": list(conditions)}}}


def at_least(count: int, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"min_should": {"conditions": list(conditions), "min_count": count}}


def lets(filter: dict[str, Any], payload: dict[str, Any] | None, id: int | str = 0) -> bool:
    clauses = {"must", "should", "must_not", "min_should"}
    return passes(parse_filter(filter if clauses & filter.keys() else {"must": filter}), payload, id)


YES, NO = True, False
CASES: list[tuple[dict[str, Any], Any, bool]] = [
    # types are strict
    (match("a", value=1), {"a": 1}, YES),
    (match("a", value=1), {"a": 1.0}, NO),
    (match("a", value=1), {"a": "1"}, NO),
    (match("a", value=1), {"a": True}, NO),
    (match("a", value=True), {"a": True}, YES),
    (match("a", value=True), {"a": 1}, NO),
    (match("a", value=2**70), {"a": 2**70}, YES),
    (match("a", value=2**53), {"a": 2**53 + 1}, NO),
    (match("a", any=[1, 2]), {"a": True}, NO),
    # arrays: any element, one level
    (match("a", value=1), {"a": [5, 1]}, YES),
    (match("a", value=1), {"a": [[1]]}, NO),
    (match("a[]", value=1), {"a": [[1]]}, YES),
    (match("a", **{"except": [1]}), {"a": [1, 2]}, YES),
    (match("a", **{"except": [1]}), {"a": [1, None]}, NO),
    (match("a", **{"except": []}), {"a": None}, NO),
    (match("a", **{"except": []}), {"a": {}}, YES),
    (match("a", any=[]), {"a": 1}, NO),
    # keys
    (match("a.b", value=1), {"a": [{"b": 1}]}, NO),
    (match("a[].b", value=1), {"a": [{"b": 1}]}, YES),
    (match("a[1].b", value=1), {"a": [{"b": 0}, {"b": 1}]}, YES),
    (match('"a.b"', value=1), {"a.b": 1}, YES),
    (match("pathSegments.0", value="x"), {"pathSegments": {"0": "x"}}, YES),
    # text
    (match("a", text="RED fox"), {"a": "the fox is Red"}, YES),
    (match("a", text="red fox"), {"a": ["red", "fox"]}, NO),
    (match("a", text_any="red fox"), {"a": ["red", "dog"]}, YES),
    (match("a", phrase="red fox"), {"a": "a red, fox"}, YES),
    (match("a", phrase="red fox"), {"a": "fox red"}, NO),
    (match("a", prefix="Re"), {"a": ["red", "Red"]}, YES),
    (match("a", substring="ed f"), {"a": "red fox"}, YES),
    (match("a", substring="ED"), {"a": "red fox"}, NO),
    # ranges
    ({"key": "a", "range": {"gte": 1, "lt": 2}}, {"a": 1.5}, YES),
    ({"key": "a", "range": {"gte": 1, "lt": 2}}, {"a": "1.5"}, NO),
    ({"key": "a", "range": {"gte": 0}}, {"a": True}, NO),
    ({"key": "a", "range": {"gt": 2**53}}, {"a": 2**53 + 1}, YES),
    ({"key": "a", "range": {"gt": 1, "gte": 5}}, {"a": 3}, NO),
    ({"key": "a", "range": {"gt": 10**400}}, {"a": 1e300}, NO),
    ({"key": "a", "range": {"gte": "2024-01-01"}}, {"a": "2024-01-01T00:00:00Z"}, YES),
    ({"key": "a", "range": {"lt": "2024-01-01"}}, {"a": "2024-01-01T00:30:00+01:00"}, YES),
    ({"key": "a", "range": {"gte": "2024-01-01"}}, {"a": 1_800_000_000}, NO),
    ({"key": "a", "range": {"gt": "2024-01-01 10:59:59 UTC"}}, {"a": "2024-01-01 12:00:00+01"}, YES),
    ({"key": "a", "range": {"gt": "2024-01-01 11:00:00 UTC"}}, {"a": "2024-01-01 12:00:00+01"}, NO),
    # counts
    ({"key": "a", "values_count": {"lt": 1}}, {}, YES),
    ({"key": "a", "values_count": {"gte": 1}}, {"a": "x"}, YES),
    ({"key": "a", "values_count": {"gte": 2}}, {"a": [1, 2]}, YES),
    ({"is_empty": {"key": "a"}}, None, YES),
    ({"is_empty": {"key": "a"}}, {"a": []}, YES),
    ({"is_empty": {"key": "a"}}, {"a": [None]}, NO),
    ({"key": "a", "is_empty": False}, {"a": 0}, YES),
    ({"is_null": {"key": "a"}}, {"a": [1, None]}, YES),
    ({"is_null": {"key": "a"}}, {}, NO),
    ({"key": "a", "is_null": False}, {}, YES),
    # places
    ({"key": "a", "geo_radius": {"center": EARTH["berlin"], "radius": 880_000}}, {"a": EARTH["paris"]}, YES),
    ({"key": "a", "geo_radius": {"center": EARTH["berlin"], "radius": 870_000}}, {"a": EARTH["paris"]}, NO),
    ({"key": "a", "geo_radius": {"center": EARTH["berlin"], "radius": 1e9}}, {"a": {"lat": 91, "lon": 0}}, NO),
    (
        box(0, 170, -20, -170),
        {"a": EARTH["fiji"]},
        YES,
    ),
    # one element of an array, all by itself
    (inside("a", match("b", value=1), match("c", value=2)), {"a": [{"b": 1, "c": 2}]}, YES),
    (inside("a", match("b", value=1), match("c", value=2)), {"a": [{"b": 1}, {"c": 2}]}, NO),
    (inside("a", match("b", value=1)), {"a": {"b": 1}}, NO),
    # points
    ({"has_vector": ""}, None, YES),
    ({"has_vector": "other"}, None, NO),
    ({"has_id": []}, None, NO),
    # clauses
    ({"must": [], "should": [], "must_not": []}, None, YES),
    ({"should": [match("a", value=1)], "must": match("b", value=1)}, {"b": 1}, NO),
    ({"must_not": [match("a", value=1), match("a", value=2)]}, {"a": 2}, NO),
    (at_least(2, match("a", value=1), match("b", value=1), match("c", value=1)), {"a": 1, "c": 1}, YES),
    (at_least(2, match("a", value=1)), {"a": 1}, NO),
]  # fmt: skip


@pytest.mark.parametrize(("filter", "payload", "expected"), CASES, ids=range(len(CASES)))
def test_case(filter: dict[str, Any], payload: Any, expected: bool) -> None:
    assert lets(filter, payload) is expected


def test_ids() -> None:
    assert lets({"has_id": [3, "x"]}, None, 3)
    assert lets({"has_id": [3, "x"]}, None, "x")
    assert not lets({"has_id": ["3"]}, None, 3)
