"""Payloads changed in place: as the engine of qdrant-edge-py changes them."""

import copy
from typing import Any

import pytest

from pqdb.query.path import parse_path
from pqdb.query.payloads import merged, without
from tests.query import engine

PAYLOAD: dict[str, Any] = {
    "a": {"b": 1, "c": [1, 2, {"d": 1, "e": 2}, {"d": 3}]},
    "x": [{"y": 1}, {"y": 2, "z": 1}],
    "n": None,
    "s": 5,
}
OUT = [
    "a.b", "a.c", "a.c[]", "a.c[0]", "a.c[].d", "a.c[2].d", "x[].y", "x.y", "x[0]", "q", "q.x", "s.t", "a",
    "n.q", "a.c[9]",
]  # fmt: skip
IN = [
    "a", "a.b", "a.q", "q", "q.r", "x", "x[]", "x[0]", "x[].y", "x[9]", "n", "s", "s.t", "a.c[0]", "x[1].w",
    "q[]", "q[0]", "q[].r",
]  # fmt: skip
second_oracle = pytest.mark.skipif(engine.edge is None, reason="qdrant-edge-py is not installed: no second oracle")


def theirs(make: str, *arguments: Any) -> Any:
    with engine.Engine([PAYLOAD]) as shard:
        shard.shard.update(getattr(engine.edge.UpdateOperation, make)([0], *arguments))
        return shard.shard.retrieve([0], with_payload=True, with_vector=False)[0].payload


@second_oracle
@pytest.mark.parametrize("key", OUT)
def test_keys_are_taken_out_alike(key: str) -> None:
    assert without(PAYLOAD, [parse_path(key)]) == theirs("delete_payload", [key])


@second_oracle
@pytest.mark.parametrize("key", IN)
def test_keys_are_merged_deep_inside_alike(key: str) -> None:
    assert merged(PAYLOAD, {"new": 1}, parse_path(key)) == theirs("set_payload", {"new": 1}, key)


def test_the_payload_given_stays_as_it_was() -> None:
    before = copy.deepcopy(PAYLOAD)
    changed = merged(PAYLOAD, {"b": 2}, parse_path("a"))
    assert changed["a"] == {**before["a"], "b": 2}
    assert without(PAYLOAD, [parse_path("a.b"), parse_path("x")]).keys() == {"a", "n", "s"}
    assert before == PAYLOAD


NULLS: list[tuple[dict[str, Any], str | None]] = [
    ({"s": None, "q": None, "new": {"x": None}}, None),
    ({"b": None, "q": 1}, "a"),
    ({"d": None}, "a.c[2]"),
]


@second_oracle
@pytest.mark.parametrize(("new", "key"), NULLS, ids=["top", "in an object", "in an array"])
def test_null_takes_a_key_away_alike(new: dict[str, Any], key: str | None) -> None:
    path = None if key is None else parse_path(key)
    assert merged(PAYLOAD, new, path) == theirs("set_payload", new, *([] if key is None else [key]))


def test_null_takes_a_key_away() -> None:
    assert merged(PAYLOAD, {"s": None, "new": {"x": None}}).keys() == {"a", "x", "n", "new"}
    assert merged(PAYLOAD, {"b": None}, parse_path("a"))["a"].keys() == {"c"}
