"""What is no filter is refused with its place; what is one becomes a value."""

from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.query.conditions import Field, Filter, MinShould
from pqdb.query.matching import MatchAny, MatchValue
from pqdb.query.parse import MAX_DEPTH, parse_filter
from pqdb.query.path import parse_path

ONE = {"key": "a", "match": {"value": 1}}
RING = {"points": [{"lat": 0, "lon": 0}, {"lat": 0, "lon": 1}, {"lat": 1, "lon": 1}, {"lat": 0, "lon": 0}]}


def must(condition: Any) -> dict[str, Any]:
    return {"must": [condition]}


def field(**predicate: Any) -> dict[str, Any]:
    return must({"key": "a", **predicate})


REFUSED: dict[str, tuple[Any, str]] = {
    "no object": (7, "filter is an object, not 7"),
    "an unknown clause": (
        {"musst": []},
        "filter has an unknown key 'musst'; known here: must, should, must_not, min_should",
    ),
    "a clause that is no list": ({"must": "a"}, "filter.must is an array, not 'a'"),
    "a condition that is no object": ({"must": [ONE, 3]}, r"filter.must\[1\] is an object, not 3"),
    "an unknown condition": (must({"slice": {"total": 2, "index": 0}}), r"filter.must\[0\] has an unknown key 'slice'"),
    "only a key": (must({"key": "a"}), r"filter.must\[0\] says nothing about its key"),
    "two predicates": (
        field(match={"value": 1}, range={"gt": 0}),
        "has match, range: give each a condition of its own",
    ),
    "an unknown predicate": (field(matches={"value": 1}), "unknown key 'matches'"),
    "a key that is no string": (must({"key": 5, "is_null": True}), r"filter.must\[0\].key is a string, not 5"),
    "a malformed key": (must({"key": "a..b", "is_null": True}), r"key 'a..b' is malformed at '.b'"),
    "a malformed end": (must({"key": "a.", "is_null": True}), "is malformed at its end"),
    "a long key": (must({"key": "a" * 1001, "is_null": True}), "at most 1,000 characters, not 1,001"),
    "a far place": (must({"key": "a[99999999999]", "is_null": True}), "99999999999 is no place"),
    "a match of nothing": (field(match={}), r"match has one of value, .*, not none"),
    "a match of two things": (field(match={"value": 1, "text": "a"}), "not value, text"),
    "an unknown match": (field(match={"values": 1}), "unknown key 'values'"),
    "a float value": (field(match={"value": 1.5}), r"match.value is a string, an integer, true or false, not 1.5"),
    "mixed options": (field(match={"any": [1, "a"]}), "either strings or integers"),
    "flags as options": (field(match={"any": [True]}), "either strings or integers"),
    "options that are no list": (field(match={"any": "abc"}), "match.any is an array"),
    "a text that is none": (field(match={"text": 1}), "match.text is a string, not 1"),
    "a bound that is a flag": (field(range={"gt": True}), "range.gt is a number, not True"),
    "a bound that is no number": (field(range={"gt": float("nan")}), "range.gt is a number, not nan"),
    "bounds of two kinds": (field(range={"gt": "2024-01-01", "lt": 5}), "range.lt is a point in time"),
    "a bound that is no time": (field(range={"gt": "soon"}), "range.gt is a point in time as .*, not 'soon'"),
    "an unknown bound": (field(range={"above": 5}), "unknown key 'above'"),
    "half a value": (field(values_count={"gt": 1.5}), "values_count.gt is a whole number"),
    "a flag that is none": (field(is_empty=1), "is_empty is true or false, not 1"),
    "a radius without center": (field(geo_radius={"radius": 1}), "geo_radius.center is an object, not None"),
    "a negative radius": (
        field(geo_radius={"radius": -1, "center": {"lat": 0, "lon": 0}}),
        "at least 0 metres, not -1",
    ),
    "off the earth": (
        field(geo_radius={"radius": 1, "center": {"lat": 91, "lon": 0}}),
        "center.lat lies between -90 and 90 degrees, not 91",
    ),
    "half a place": (field(geo_bounding_box={"top_left": {"lat": 1}, "bottom_right": {}}), "top_left.lon is a number"),
    "a short ring": (field(geo_polygon={"exterior": {"points": RING["points"][:3]}}), "at least 4 points, .*not 3"),
    "an open ring": (
        field(geo_polygon={"exterior": {"points": [*RING["points"][:3], {"lat": 5, "lon": 5}]}}),
        r"is closed: its last point \(5.0, 5.0\) must be its first",
    ),
    "a hole that is none": (field(geo_polygon={"exterior": RING, "interiors": [5]}), r"interiors\[0\] is an object"),
    "not enough": (
        {"min_should": {"conditions": [ONE], "min_count": 0}},
        "min_count is a whole number of at least 1, not 0",
    ),
    "no number of conditions": ({"min_should": {"conditions": [ONE]}}, "min_count is a whole number .*not None"),
    "no conditions": ({"min_should": {"min_count": 1}}, "min_should.conditions is an array"),
    "an id that is none": (must({"has_id": [1, -1]}), r"has_id\[1\]: an integer id is between 0"),
    "ids that are no list": (must({"has_id": 1}), "has_id is an array, not 1"),
    "ids inside nested": (
        must({"nested": {"key": "a", "filter": must({"has_id": [1]})}}),
        "cannot stand inside nested",
    ),
    "two conditions in one": (must({"has_id": [1], "is_null": {"key": "a"}}), "unknown key"),
    "nested without a filter": (must({"nested": {"key": "a"}}), "nested.filter is an object, not None"),
    "nested without a key": (must({"nested": {"filter": {}}}), "nested.key is a string, not None"),
    "is_empty of nothing": (must({"is_empty": {}}), "is_empty.key is a string, not None"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_filter_is_refused(name: str) -> None:
    given, sentence = REFUSED[name]
    with pytest.raises(pqdb.FilterError, match=sentence):
        parse_filter(given)


def test_filters_go_so_deep_and_no_deeper() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH):
        deep = {"must": [deep]}
    parse_filter(deep)
    with pytest.raises(pqdb.FilterError, match="deeper than 50"):
        parse_filter({"must": deep})


def test_a_filter_is_a_value() -> None:
    one = Field(parse_path("a"), MatchValue.of(1))
    assert parse_filter({"must": ONE}) == parse_filter({"must": [ONE]}) == Filter(must=(one,))
    assert parse_filter({"must": ONE, "should": [], "must_not": None}) == Filter(must=(one,))
    assert parse_filter({"min_should": {"conditions": [ONE], "min_count": 1}}) == Filter(
        min_should=MinShould((one,), 1)
    )
    assert parse_filter(Filter(must=(one,))) == Filter(must=(one,))
    assert hash(parse_filter({"must": {"key": '"a"', "match": {"value": 1}}})) == hash(Filter(must=(one,)))
    assert parse_filter(field(match={"value": True})) != parse_filter(field(match={"value": 1}))
    assert parse_filter({"should": []}).asks_nothing
    assert not parse_filter({"must_not": {}}).asks_nothing


def test_arrays_of_the_same_bytes_are_not_the_same() -> None:
    """What was parsed is kept by how it is spelled, and arrays are spelled as their bytes."""
    alike: list[tuple[Any, Any]] = [
        ({"match": {"any": np.array(["a", "b"])}}, {"match": {"any": np.array(["ab"])}}),
        ({"match": {"value": np.True_}}, {"match": {"value": np.int8(1)}}),
        ({"match": {"value": np.int8(1)}}, {"match": {"value": np.uint8(1)}}),
    ]
    for one, other in alike:
        filters = [parse_filter(field(**each)) for each in (one, other)]
        plain = [
            {"match": {name: each.tolist() for name, each in given["match"].items()}} for given in (one, other)
        ]
        assert filters == [parse_filter(field(**each)) for each in plain]
    wide, narrow = np.array([7, 0], np.int32), np.array([7])
    assert wide.tobytes() == narrow.tobytes()
    assert parse_filter(must({"has_id": wide})) == parse_filter(must({"has_id": [7, 0]}))
    assert parse_filter(must({"has_id": narrow})) == parse_filter(must({"has_id": [7]}))


def test_numbers_of_numpy_are_numbers() -> None:
    assert parse_filter(field(match={"value": np.int64(1)})) == parse_filter({"must": ONE})
    found = parse_filter(field(match={"any": np.array([1, 2])}))
    assert found == Filter(must=(Field(parse_path("a"), MatchAny(frozenset({1, 2}))),))
    assert parse_filter(field(range={"gt": np.float32(0.5)})) == parse_filter(field(range={"gt": 0.5}))


def test_ids_are_taken_in_every_spelling() -> None:
    fold = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
    spelled = parse_filter(must({"has_id": [fold.upper(), f"urn:uuid:{fold}", np.int64(3), "x"]}))
    assert spelled == parse_filter(must({"has_id": ["x", 3, fold]}))


def test_a_filter_that_is_asked_again_is_the_same_value_however_its_words_are_shared() -> None:
    words = [f"word {i}" for i in range(200)]
    first = parse_filter(field(match={"any": words}))  # (now these words are shared with it)
    again, copied = (parse_filter(field(match={"any": list(each)})) for each in (words, map("".join, words)))
    assert again is first
    assert copied is first
    assert parse_filter(field(match={"any": words[1:]})) != first
