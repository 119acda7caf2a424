"""Payload selectors and paths: what is kept, what is left out, and the payload itself untouched."""

import copy

import pytest

from pqdb_server.errors import Refusal
from pqdb_server.selectors import PayloadSelector, parse_path

PAYLOAD = {
    "a": {"b": 1, "c": {"d": 2, "e": 3}},
    "list": [{"x": 1, "y": 2}, {"x": 3}, 7, [{"x": 5, "y": 6}]],
    "a.b": "dotted",
    "0": "digit",
    "null": None,
}


def selected(selector: object) -> dict:
    before = copy.deepcopy(PAYLOAD)
    result = PayloadSelector.parse(selector, "with_payload", default=False).of(PAYLOAD)
    assert before == PAYLOAD
    return result


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a[].b", ("a", "[]", "b")),
        ("a[0][12]", ("a", "[0]", "[12]")),
        ('"a.b".c', ("a.b", "c")),
        ("path Segments.0-ü", ("path Segments", "0-ü")),
    ],
)
def test_paths(path, steps):
    assert parse_path(path) == steps


NO_PATHS = ["", ".", "a.", ".a", "a..b", "[]", "[0].a", "a[", "a[x]", "a]b", 'a"b"', '"a', "a[]b"]


@pytest.mark.parametrize("path", NO_PATHS)
def test_paths_that_are_none(path):
    with pytest.raises(Refusal, match="is not a payload path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("include", "kept"),
    [
        ([], {}),
        (["a"], {"a": PAYLOAD["a"]}),
        (["a.c.d"], {"a": {"c": {"d": 2}}}),
        (["a.b", "a.c.e"], {"a": {"b": 1, "c": {"e": 3}}}),
        (["a", "a.b"], {"a": PAYLOAD["a"]}),
        (["list[].x"], {"list": [{"x": 1}, {"x": 3}]}),
        (["list[1]"], {"list": [{"x": 3}]}),
        (["list[0].y", "list[3][].y"], {"list": [{"y": 2}, [{"y": 6}]]}),
        (['"a.b"', "0", "null", "none"], {"a.b": "dotted", "0": "digit", "null": None}),
        (["a.none"], {"a": {}}),
        (["null.b"], {}),
    ],
)
def test_include(include, kept):
    assert selected(include) == kept
    assert selected({"include": include}) == kept


def test_exclude():
    assert selected({"exclude": []}) == PAYLOAD
    assert selected({"exclude": ["list", "a", '"a.b"', "null", "none"]}) == {"0": "digit"}
    assert selected({"exclude": ["a.c.d"]})["a"] == {"b": 1, "c": {"e": 3}}
    assert selected({"exclude": ["list[].x"]})["list"] == [{"y": 2}, {}, 7, [{"x": 5, "y": 6}]]
    assert selected({"exclude": ["list[1]", "list[3][0].y"]})["list"] == [{"x": 1, "y": 2}, 7, [{"x": 5}]]


def test_all_or_nothing():
    assert PayloadSelector.parse(None, "p", default=True).wanted
    assert not PayloadSelector.parse(None, "p", default=False).wanted
    assert not PayloadSelector.parse(False, "p", default=True).wanted
    assert selected(True) == PAYLOAD
