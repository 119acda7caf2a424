"""The second oracle: the filters of pqdb let through what the engine of qdrant-edge-py lets through."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pqdb.query.evaluate import passes
from pqdb.query.parse import parse_filter
from tests.query import engine, made

pytestmark = pytest.mark.skipif(engine.edge is None, reason="qdrant-edge-py is not installed: no second oracle")

PAYLOADS: list[dict[str, Any] | None] = [
    {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": [1, "x"]}, {"a": [[1]]}, {"a": None}, {}, {"a": []},
    {"a": {"b": 1}}, {"a": [None]}, {"a": [{"b": 1}, {"b": [1, 2]}]}, None,
]  # fmt: skip


def ours(payloads: list[dict[str, Any] | None], filter: dict[str, Any]) -> list[int]:
    parsed = parse_filter(filter)
    return [number for number, payload in enumerate(payloads) if passes(parsed, payload, number)]


QUICK = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])


@settings(QUICK, max_examples=40)
@given(st.lists(made.payloads, min_size=1, max_size=12), st.lists(made.filters, min_size=30, max_size=60))
def test_made_filters_on_made_payloads(payloads: list[Any], filters: list[Any]) -> None:
    with engine.Engine(payloads) as shard:
        for asked in filters:
            assert ours(payloads, asked) == shard.matching(asked), asked


@settings(QUICK, max_examples=10)
@given(st.lists(made.filters_of(made.conditions), min_size=50, max_size=100))
def test_made_filters_on_corner_cases(filters: list[Any]) -> None:
    with engine.Engine(PAYLOADS) as shard:
        for asked in filters:
            assert ours(PAYLOADS, asked) == shard.matching(asked), asked


TEXTS = [
    "The quick brown Fox", "fox-trot quick", "foxes", "naïve Ünïcode ÉCOLE", "a_b c", "don't stop", "",
    "日本語 テキスト", "x²  ½ Ⅷ", "हिन्दी भाषा", "STRASSE ßeta İstanbul",
    "quick  brown,fox", "e\u0301cole", "v1.2.3 foo@bar.com",
]  # fmt: skip
ASKED = [
    "fox", "FOX quick", "fo", "", "!!", "école", "naïve", "a_b", "t", "日本", "日本語", "x²", "½",
    "ⅷ", "हिन्दी", "strasse", "ßeta", "istanbul", "İstanbul", "ecole", "v1", "2",
    "bar com", "quick brown", "brown fox", "foo@bar",
]  # fmt: skip


def test_words_are_cut_alike() -> None:
    payloads: list[dict[str, Any] | None] = [{"a": text} for text in TEXTS]
    with engine.Engine(payloads) as shard:
        for kind in ("text", "text_any", "phrase", "prefix"):
            for words in ASKED:
                asked = {"must": {"key": "a", "match": {kind: words}}}
                assert ours(payloads, asked) == shard.matching(asked), asked


DATES = [
    "2024-01-01T00:00:00Z", "2024-01-01", "2024-01-01T01:00:00+01:00", "2024-01-01 00:00:00", "2024-01-01T00:00",
    "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.123456789Z", "yesterday", "2024-1-1", "20240101", "2024-01",
    "2024-01-01t00:00:00z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00 +00:00", "2024-01-01T00:00:00+0000",
    " 2024-01-01", "2024-01-01T00:00:60Z", "2023-12-31T23:59:60Z", "0001-01-01", "9999-12-31", "10000-01-01",
    "2024-W01-1", "2024-001", "2024-13-01", "2024-02-30", "1969-12-31T23:59:59.5Z",
]  # fmt: skip
BOUNDS = [
    "2024-01-01",
    "2024-01-01T00:00:00.123456Z",
    "2023-12-31T23:59:59-00:30",
    "1970-01-01",
    "9999-12-31T23:59:59Z",
]


@pytest.mark.parametrize("end", ["gt", "gte", "lt", "lte"])
def test_points_in_time_are_read_alike(end: str) -> None:
    payloads: list[dict[str, Any] | None] = [{"a": date} for date in DATES]
    with engine.Engine(payloads) as shard:
        for bound in BOUNDS:
            asked = {"must": {"key": "a", "range": {end: bound}}}
            assert ours(payloads, asked) == shard.matching(asked), asked


KEYS = [
    "a.b", "a b", "a-b", "a.0", "0", '"a.b"', "é", '""', '"a[]"', '"a"b"', "a[].b[].c", "a/b", "日本", 'a.""', "1a",
    "a..b", "a[", "", "a[-1]", "a.", ".a", 'a"b', "a[].", "a[]b", "a[x]", " a", '"a', "a.[0]", '"x\\y"',
    "[0]", "a[00]", "a]",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_malformed_alike(key: str) -> None:
    asked = {"must": {"key": key, "match": {"value": 1}}}
    payloads: list[dict[str, Any] | None] = [
        {"a.b": 1},
        {"a": {"b": 1, "0": 1, "": 1}},
        {"": 1, "é": 1, "日本": 1, "0": 1},
    ]
    with engine.Engine(payloads) as shard:
        try:
            said: list[int] | None = shard.matching(asked)
        except ValueError:
            said = None
    try:
        found: list[int] | None = ours(payloads, asked)
    except ValueError:
        found = None
    assert found == said
