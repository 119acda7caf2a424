"""An index of tenants finds what any other finds, among fewer rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pqdb
from tests.query.made import filters, payloads

DIM = 4
OWNERS = ("ada", "bo", "cy", None)


def vectors(n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, DIM)).astype(np.float32)


def of(owner: object, **more: Any) -> dict[str, Any]:
    return {"must": [{"key": "owner", "match": {"value": owner}}], **more}


@pytest.fixture
def shared(db: pqdb.Database) -> pqdb.Collection:
    """Two hundred points of three tenants and nobody."""
    made = db.create_collection("shared", DIM, "l2")
    made.create_payload_index("owner", "keyword", is_tenant=True)
    made.upsert(range(200), vectors(200), [{"owner": OWNERS[i % 4], "n": i} for i in range(200)])
    return made


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[pqdb.Collection, pqdb.Collection]]:
    """Two collections alike, but for the index."""
    with pqdb.open(upkeep="manual") as db:
        made = []
        for name, is_tenant in (("plain", False), ("tenants", True)):
            each = db.create_collection(name, DIM)
            each.create_payload_index("owner", "keyword", is_tenant=is_tenant)
            each.create_payload_index("a", "integer")
            made.append(each)
        yield made[0], made[1]


@given(held=st.lists(payloads, min_size=1, max_size=8), asked=filters, owner=st.sampled_from(["ada", "bo", "nobody"]))
@settings(max_examples=20, deadline=None)
def test_a_filter_passes_the_same_with_and_without(
    pair: tuple[pqdb.Collection, pqdb.Collection], held: list[Any], asked: dict[str, Any], owner: str
) -> None:
    owned = [{**(payload or {}), "owner": OWNERS[i % 4]} for i, payload in enumerate(held)]
    deep = {"must": [asked, {"must": [{"key": "owner", "match": {"any": [owner, "bo"]}}]}]}
    flat = of(owner, must_not=[asked])
    for each in pair:
        each.replace({}, range(len(owned)), vectors(len(owned)), owned)
    for whole in (deep, flat):
        plain, tenants = ([point.id for point in each.scroll(100, filter=whole).points] for each in pair)
        assert plain == tenants


def test_only_the_payloads_of_the_tenant_are_read(shared: pqdb.Collection) -> None:
    said = shared.explain(np.zeros(DIM), 100, filter=of("ada", should=[{"key": "n", "range": {"lt": 100}}]))
    assert said.filter is not None
    assert (said.filter.matches, said.filter.scanned, said.filter.indexes) == (25, 50, ("owner (keyword)",))
    alone = shared.explain(np.zeros(DIM), filter=of("ada")).filter
    assert alone is not None
    assert (alone.matches, alone.scanned, alone.way) == (50, 0, "rows")
    assert shared.count(of("nobody")) == 0
    assert shared.count({"must": [{"key": "owner", "match": {"value": 7}}]}) == 0
    assert shared.count({"must_not": of("ada")["must"]}) == 150
    assert shared.count({"should": of("ada")["must"]}) == 50


def test_a_tenant_follows_every_write(shared: pqdb.Collection) -> None:
    assert shared.count(of("ada")) == 50
    shared.delete([0, 1])
    shared.upsert([300], vectors(1), [{"owner": "ada"}])
    shared.set_payload({"owner": "bo"}, ids=[4, 8])
    assert shared.count(of("ada")) == 48
    assert shared.count(of("bo")) == 51
    assert shared.delete(filter=of("cy")) == 50
    wanted = {*range(12, 200, 4), 300}
    assert set(shared.search(np.zeros(DIM), 100, filter=of("ada")).ids) == wanted
    shared.optimize()
    assert set(shared.search(np.zeros(DIM), 100, filter=of("ada")).ids) == wanted


def test_a_tenant_has_the_vectors_its_points_have(db: pqdb.Database) -> None:
    made = db.create_collection("named", vectors={"a": pqdb.VectorConfig(DIM), "b": pqdb.VectorConfig(DIM)})
    made.create_payload_index("owner", "keyword", is_tenant=True)
    held = vectors(40)
    given_ = {"a": held, "b": [held[i] if i % 3 else None for i in range(40)]}
    made.upsert(range(40), given_, [{"owner": OWNERS[i % 2]} for i in range(40)])
    assert set(made.search(held[0], 40, using="a", filter=of("ada")).ids) == set(range(0, 40, 2))
    wanted = set(range(0, 40, 2)) - set(range(0, 40, 3))
    assert set(made.search(held[0], 40, using="b", filter=of("ada")).ids) == wanted
    lacks = of("ada", must_not=[{"has_vector": "b"}])
    assert {point.id for point in made.scroll(40, filter=lacks).points} == set(range(0, 40, 2)) - wanted


def test_whether_an_index_is_of_tenants_is_kept_and_changed(shared: pqdb.Collection, db_path: Path) -> None:
    told = {"key": "owner", "kind": "keyword"}
    assert shared.info()["payload_indexes"] == [{**told, "is_tenant": True}]
    assert not shared.create_payload_index("owner", "keyword", is_tenant=True)
    assert not shared.create_payload_index("owner", "keyword")
    assert shared.info()["payload_indexes"] == [told]
    assert not shared.create_payload_index("owner", "keyword", is_tenant=True)
    with pqdb.open(db_path, read_only=True) as again:
        assert again["shared"].info()["payload_indexes"] == [{**told, "is_tenant": True}]
        assert again["shared"].count(of("bo")) == 50
    for kind in ("float", "text", "geo", "bool", "datetime"):
        with pytest.raises(pqdb.InputError, match=f"keyword or integer or uuid, not {kind}"):
            shared.create_payload_index("other", kind, is_tenant=True)
    assert shared.create_payload_index("n", "integer", is_tenant=True)
    assert shared.count({"must": [{"key": "n", "match": {"value": 7}}]}) == 1
    assert shared.verify() == []
