"""Sparse vectors: points have them beside dense ones, and a search finds exactly those that plain arithmetic finds."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.search import sparse as search_sparse
from pqdb.store.layout import run_key, seal
from pqdb.store.segments import SEGMENT_ROWS
from tests import naive
from tests.compiled import compiled
from tests.conftest import SEED
from tests.processes import Children, heard, say
from tests.query import engine

N = SEGMENT_ROWS + 1_200  # a segment, parts that a process turns round for itself, and a few rows behind them
VECTORS: dict[str, Any] = {
    "title": pqdb.VectorConfig(4, "l2"),
    "words": pqdb.SparseConfig(),
    "rare": pqdb.SparseConfig(idf=True),
}
WORDS: Any = {"using": "words"}
Words = dict[int, float]
Said = dict[int, Words]  # id → its vector
children = Children("tests.test_sparse")


def words(rng: np.random.Generator, most: int = 12) -> Words:
    """As texts have them: some are everywhere, most are rare. With whole weights, sums are exact, and many the same."""
    dims = np.unique((300 * rng.random(int(rng.integers(1, most + 1))) ** 3).astype(int)) * 14_316_557
    return dict(zip(dims.tolist(), rng.integers(1, 5, len(dims)).astype(float).tolist(), strict=True))


def words_of(number: int) -> Words:
    """The words of a point."""
    return words(np.random.default_rng([SEED, number]))


def filled(db: pqdb.Database, n: int = N, name: str = "docs") -> tuple[pqdb.Collection, Said]:
    """n points, of which five in six have words."""
    made = db.create_collection(name, vectors=VECTORS)
    said = {i: words_of(i) for i in range(n) if i % 6}
    given = [said.get(i) for i in range(n)]
    titles = np.random.default_rng(1).standard_normal((n, 4))
    made.upsert(range(n), {"title": titles, "words": given, "rare": given}, [{"tenth": i % 10} for i in range(n)])
    return made, said


@pytest.fixture
def docs(db: pqdb.Database) -> pqdb.Collection:
    """A hundred points, ids 0 to 99."""
    return filled(db, 100)[0]


def agrees(hits: pqdb.Hits, query: Words, said: Said, k: int, idf: bool = False) -> None:
    """Refuse hits that are not the k best of what was said: the scores, and whose they are."""
    if idf:
        n = len(said)
        query = {dim: value * naive.search.idf(n, naive.search.naming(dim, said, said)) for dim, value in query.items()}
    best = naive.search.sparse(query, said, said.keys(), len(said))
    of_id = {id_: score for score, id_ in best}
    assert len(hits) == min(k, len(best))
    assert np.allclose(hits.scores, [score for score, _ in best[:k]], rtol=1e-5)
    assert len(set(hits.ids)) == len(hits)
    for id_, score in zip(hits.ids, hits.scores, strict=True):
        assert np.isclose(score, of_id[id_], rtol=1e-5), id_


def same(hits: pqdb.Hits, others: pqdb.Hits) -> bool:
    return (hits.ids, hits.scores.tolist()) == (others.ids, others.scores.tolist())


def asked(seed: int) -> Words:
    return words(np.random.default_rng([SEED, 77, seed]), 6)


# -- the value


def test_a_vector_is_sorted_kept_and_compared_by_what_it_says() -> None:
    one = pqdb.SparseVector([9, 2**32 - 1, 0], [1, 0.5, -2.0])
    assert one.indices.tolist() == [0, 9, 2**32 - 1]
    assert one.values.tolist() == [-2.0, 1.0, 0.5]
    assert (one.indices.dtype, one.values.dtype, len(one)) == (np.uint32, np.float32, 3)
    assert repr(one) == "SparseVector.of({0: -2, 9: 1, 4294967295: 0.5})"
    assert repr(pqdb.SparseVector(range(6), range(6))) == "SparseVector.of({0: 0, 1: 1, 2: 2, 3: 3, 4: 4, …})"
    assert one.to_dict() == {"indices": [0, 9, 2**32 - 1], "values": [-2.0, 1.0, 0.5]}
    alike = [
        pqdb.SparseVector.of(one.to_dict()),
        pqdb.SparseVector.of({9: 1, 0: -2, 2**32 - 1: 0.5}),
        pqdb.SparseVector.of(([0, 9, 2**32 - 1], (-2, 1, 0.5))),
        pqdb.SparseVector.of([np.array([9, 0, 2**32 - 1], np.uint64), np.array([1, -2, 0.5], np.float16)]),
        pqdb.SparseVector.from_bytes(one.to_bytes()),
        pickle.loads(pickle.dumps(one)),
        copy.deepcopy(one),
    ]
    assert all(other == one and hash(other) == hash(one) for other in alike)
    assert pqdb.SparseVector.of(one) is one
    assert one != pqdb.SparseVector([0, 9], [-2, 1])
    assert one != "one"
    assert pqdb.SparseVector() == pqdb.SparseVector.of({}) == pqdb.SparseVector.of({"indices": [], "values": []})
    none, minus = pqdb.SparseVector([1], [0.0]), pqdb.SparseVector([1], [-0.0])
    assert none == minus
    assert hash(none) == hash(minus)
    assert len(pqdb.SparseVector(np.arange(16_384), np.ones(16_384))) == 16_384
    given = np.array([1.0, 2.0], np.float32)
    kept = pqdb.SparseVector([0, 1], given)
    given[:] = 9
    assert kept.values.tolist() == [1.0, 2.0]
    for array in (kept.indices, kept.values):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3
    tiny = pqdb.SparseVector([3], [1e-45])
    assert tiny.values[0] > 0


REFUSED: list[tuple[tuple[Any, Any], str]] = [
    (([1], [1, 2]), "a sparse vector has a value for each index, not 2 for 1"),
    (([7, 3, 7], [1, 2, 3]), "a sparse vector names each dimension once, and this one 7 twice"),
    (([-1], [1]), "indices of a sparse vector are 0 to 4,294,967,295, not -1"),
    (([2**32], [1]), "indices of a sparse vector are 0 to 4,294,967,295, not 4,294,967,296"),
    (([2**64], [1]), "indices of a sparse vector are whole numbers, not [18446744073709551616]"),
    (([1.5], [1]), "indices of a sparse vector are whole numbers, not [1.5]"),
    ((["a"], [1]), "indices of a sparse vector are whole numbers, not ['a']"),
    (([True], [1]), "indices of a sparse vector are whole numbers, not [True]"),
    (([[1]], [1]), "indices of a sparse vector are a list of numbers, not [[1]]"),
    (([[1], [2, 3]], [1]), "indices of a sparse vector are a list of numbers, not [[1], [2, 3]]"),
    ((None, None), "indices of a sparse vector are a list of numbers, not None"),
    (([1], "x"), "values of a sparse vector are a list of numbers, not 'x'"),
    (([1], ["x"]), "values of a sparse vector are numbers, not ['x']"),
    (([1], [None]), "values of a sparse vector are numbers, not [None]"),
    (([1], [True]), "values of a sparse vector are numbers, not [True]"),
    (([1, 2], [1, float("nan")]), "values of a sparse vector are finite float32 numbers, and values[1] is nan"),
    (([1], [-np.inf]), "values of a sparse vector are finite float32 numbers, and values[0] is -inf"),
    (([1], [1e39]), "values of a sparse vector are finite float32 numbers, and values[0] is 1e+39"),
    ((range(16_385), np.ones(16_385)), "a sparse vector names at most 16,384 dimensions, not 16,385"),
]


@pytest.mark.parametrize(("given", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_sparse_vector_is_refused(given: tuple[Any, Any], sentence: str) -> None:
    for make in (lambda: pqdb.SparseVector(*given), lambda: pqdb.SparseVector.of(given)):
        with pytest.raises(pqdb.InputError) as refusal:
            make()
        assert str(refusal.value) == sentence


def test_what_is_written_otherwise_is_refused() -> None:
    for given in (None, 3, "ab", [1, 2, 3], np.ones(3), ()):
        with pytest.raises(pqdb.InputError, match=r"SparseVector\(indices, values\) or \{index: value\}, not"):
            pqdb.SparseVector.of(given)
    for given in ({"indices": [1]}, {"values": []}, {"indices": [1], "values": [1], "more": 1}):
        with pytest.raises(pqdb.InputError, match="has indices and values and no more, not"):
            pqdb.SparseVector.of(given)
    with pytest.raises(pqdb.InputError, match=r"SparseConfig\(idf=1\): True or False"):
        pqdb.SparseConfig(idf=1)  # type: ignore[arg-type]


# -- making


def test_a_collection_says_what_its_sparse_vectors_are(db: pqdb.Database) -> None:
    made = db.create_collection("docs", vectors=VECTORS)
    assert list(made.vectors) == ["title"]
    assert made.sparse_vectors == {"words": pqdb.SparseConfig(), "rare": pqdb.SparseConfig(idf=True)}
    assert repr(made) == "Collection('docs', vectors={'title': 4 l2, 'words': sparse, 'rare': sparse})"
    assert db.create_collection("docs", vectors=VECTORS, exist_ok=True) is made
    for other in ({**VECTORS, "rare": pqdb.SparseConfig()}, {"title": VECTORS["title"]}):
        with pytest.raises(pqdb.CollectionExistsError, match="made otherwise"):
            db.create_collection("docs", vectors=other, exist_ok=True)
    assert db.create_collection("plain", 3).sparse_vectors == {}
    told = made.info()
    assert told["sparse_vectors"] == {"words": {"points": 0, "idf": False}, "rare": {"points": 0, "idf": True}}
    assert told["config"]["sparse"] == [{"name": "words", "idf": False}, {"name": "rare", "idf": True}]
    assert list(told["vectors"]) == ["title"]
    for refused, sentence in (
        ({str(i): pqdb.SparseConfig() for i in range(65)}, "at most 64 sparse vectors with names, not 65"),
        ({"a": pqdb.SparseConfig}, "must be a VectorConfig.dim=…. or a SparseConfig.., not"),
        ({"x" * 256: pqdb.SparseConfig()}, "at most 255 characters"),
    ):
        with pytest.raises(pqdb.InputError, match=sentence):
            db.create_collection("x", vectors=refused)
    most = {f"dense {i}": pqdb.VectorConfig(1) for i in range(64)} | {f"{i}": pqdb.SparseConfig() for i in range(64)}
    many = db.create_collection("many", vectors=most)
    many.upsert(1, {"dense 63": [1.0], "0": {1: 1.0}, "63": {2: 2.0}})
    assert many.search({2: 1.0}, using="63").ids == [1]
    assert many.search({2: 1.0}, using="0").ids == []


def test_sparse_vectors_are_all_a_collection_has(db: pqdb.Database) -> None:
    only = db.create_collection("only", vectors={"": pqdb.SparseConfig()})
    assert only.vectors == {}
    only.upsert([1, 2, 3], [{1: 1.0}, {1: 2.0, 2: 1.0}, None])  # without a name, as with a dense one
    only.upsert(4, pqdb.SparseVector([2], [5.0]))
    assert only.search({1: 1.0, 2: 1.0}).ids == [4, 2, 1]
    assert [hits.ids for hits in only.search([{1: 1.0}, {2: 1.0}], 1)] == [[2], [4]]
    assert only.search(2).ids == [4, 1]
    assert only.get(1, with_vector=True)[0].vector == {"": pqdb.SparseVector([1], [1.0])}
    assert only.get(3, with_vector=True)[0].vector == {}
    only.optimize()
    only.compact()
    only.train()
    told = only.info()
    assert (told["points"], told["indexed"], told["vectors"]) == (4, 0, {})
    assert only.verify() == []
    beside = db.create_collection("beside", vectors={"": pqdb.VectorConfig(2, "dot"), "words": pqdb.SparseConfig()})
    beside.upsert([1, 2], {"": [[1, 2], [3, 4]], "words": [{5: 1.0}, None]})
    beside.upsert([3], [[9, 9]])
    assert beside.search([1, 1]).ids == [3, 2, 1]
    assert beside.search({5: 1.0}, **WORDS).ids == [1]
    assert beside.get(1, with_vector=True)[0].vector["words"] == pqdb.SparseVector([5], [1.0])


# -- points


def test_vectors_are_given_in_every_way_people_write_them(docs: pqdb.Collection) -> None:
    same = pqdb.SparseVector([3, 9], [0.5, 2.0])
    written = [same, {3: 0.5, 9: 2.0}, ([9, 3], [2.0, 0.5]), {"indices": [3, 9], "values": [0.5, 2.0]}]
    docs.upsert(range(200, 205), {"words": [*written, None]})
    docs.upsert(np.arange(210, 214), {"words": tuple(written), "rare": written})
    for at, one in enumerate(written):
        docs.upsert(220 + at, {"words": one})
        docs.upsert([230 + at], {"words": [one], "rare": one})
    for id_ in (*range(200, 204), *range(210, 214), *range(220, 224), *range(230, 234)):
        assert docs.get(id_, with_vector=["words"])[0].vector == {"words": same}, id_
    assert docs.get([230], with_vector=["rare"])[0].vector == {"rare": same}
    assert docs.get([204], with_vector=True)[0].vector == {}
    docs.upsert(240, {"words": None, "rare": {}})
    assert docs.get(240, with_vector=True)[0].vector == {"rare": pqdb.SparseVector()}
    docs.upsert([7, 7], {"words": [{1: 1.0}, None], "rare": [None, {2: 2.0}]})  # of equal ids the last wins
    assert docs.get(7, with_vector=True)[0].vector == {"rare": pqdb.SparseVector([2], [2.0])}
    assert docs.verify() == []


def test_bad_vectors_change_nothing(docs: pqdb.Collection) -> None:
    before = state(docs)
    refused: list[tuple[Any, str]] = [
        ({"words": [{1: 1.0}]}, "2 ids for 1 vectors 'words'"),
        ({"words": [{1: 1.0}, {1: float("nan")}]}, r"vectors 'words': values .* values\[0\] is nan"),
        ({"words": np.ones((2, 4))}, "vectors 'words': a sparse vector is SparseVector"),
        ({"words": [[0.1, 0.2, 0.3]] * 2}, "vectors 'words': a sparse vector is SparseVector"),
        ({"words": [[0.1, 0.2]] * 2}, "vectors 'words': indices of a sparse vector are a list of numbers, not 0.1"),
        ({"words": "ab"}, "must be a sequence, one a point, not str"),
        ({"words": {1: 1.0}}, "must be a sequence, one a point, not dict"),
        ({"words": pqdb.SparseVector([1], [1.0])}, "must be a sequence, one a point, not SparseVector"),
        ({"title": [pqdb.SparseVector([1], [1.0])] * 2}, "vectors must be numbers in rows of equal length"),
        ({"wurds": [{1: 1.0}] * 2}, "has the vectors 'title', 'words', 'rare'; there is none named 'wurds'"),
        ([{1: 1.0}] * 2, "give a mapping of names to vectors"),
    ]
    for vectors, sentence in refused:
        for write in (docs.upsert, docs.set_vectors):
            with pytest.raises(pqdb.InputError, match=sentence):
                write([1, 2], vectors)
    with pytest.raises(pqdb.InputError, match="1 ids for 2 vectors 'words'"):
        docs.upsert(1, {"words": [{1: 1.0}, {2: 1.0}]})
    assert state(docs) == before
    assert docs.verify() == []


def state(collection: pqdb.Collection) -> list[Any]:
    """All points there are, with all of their vectors."""
    shown = [
        (point.id, point.payload, {name: one(vector) for name, vector in point.vector.items()}, point.version)
        for point in collection.scroll(10_000, with_vector=True).points
    ]
    return sorted(shown, key=lambda each: each[0])


def one(vector: Any) -> Any:
    return vector if isinstance(vector, pqdb.SparseVector) else vector.tolist()


def test_one_vector_of_a_point_changes_and_the_others_stay(docs: pqdb.Collection) -> None:
    before = {point.id: point for point in docs.scroll(100, with_vector=True).points}
    docs.set_vectors([1, 2, 6], {"words": [{8: 8.0}, None, {9: 9.0}]})
    docs.set_vectors(3, {"title": [1.0, 2.0, 3.0, 4.0]})
    found = {point.id: point for point in docs.scroll(100, with_vector=True).points}
    for id_, mine in ((1, {8: 8.0}), (6, {9: 9.0})):
        assert found[id_].vector["words"] == pqdb.SparseVector.of(mine)
        assert found[id_].vector["title"].tolist() == before[id_].vector["title"].tolist()
        assert found[id_].payload == before[id_].payload
    assert found[2].vector["words"] == before[2].vector["words"]
    assert found[3].vector["words"] == before[3].vector["words"]
    assert docs.search({8: 1.0}, **WORDS).ids == [1]
    assert docs.delete_vectors("words", [1, 6, 12, 999]) == 3
    assert docs.search({8: 1.0, 9: 1.0}, **WORDS).ids == []
    assert list(docs.get(6, with_vector=True)[0].vector) == ["title"]
    assert docs.get(12)[0].version == before[12].version  # it had none
    assert docs.delete_vectors(["words", "rare"], filter={"must": {"key": "tenth", "match": {"value": 4}}}) == 10
    assert list(docs.get(4, with_vector=True)[0].vector) == ["title"]
    assert docs.info()["sparse_vectors"]["rare"]["points"] == 83 - 7
    assert docs.verify() == []


# -- searching


@pytest.fixture(scope="module")
def many() -> Iterator[tuple[pqdb.Collection, Said]]:
    """What is only searched."""
    with pqdb.open(upkeep="manual") as database:
        yield filled(database)


@compiled
@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("k", [1, 10, 10_000])
def test_a_search_finds_what_plain_arithmetic_finds(many: tuple[pqdb.Collection, Said], idf: bool, k: int) -> None:
    docs, said = many
    queries = [asked(seed) for seed in range(6)] + [{1: 1.0}, {}, {0: -1.0}, {0: 0.0}]
    using = "rare" if idf else "words"
    for query in queries:
        agrees(docs.search(query, k, using=using), query, said, k, idf)
    several = docs.search([pqdb.SparseVector.of(query) for query in queries], k, using=using)
    assert len(several) == len(queries)
    for hits, query in zip(several, queries, strict=True):
        agrees(hits, query, said, k, idf)
    first = docs.search(tuple(queries), k, using=using)[0]
    assert same(first, several[0])


@compiled
def test_filters_narrow_a_search(many: tuple[pqdb.Collection, Said]) -> None:
    docs, said = many
    filters: list[tuple[Any, Any]] = [
        ({"must": [{"key": "tenth", "match": {"value": 3}}]}, lambda id_: id_ % 10 == 3),
        ({"must_not": [{"key": "tenth", "match": {"any": [1, 2, 3, 4, 5]}}]}, lambda id_: id_ % 10 in (0, 6, 7, 8, 9)),
        ({"must": [{"has_vector": "words"}]}, lambda _: True),
        ({"must_not": [{"has_vector": "rare"}]}, lambda _: False),
        ({"must": [{"has_id": [1, 2, 4_500, 5_200, 10**9]}]}, lambda id_: id_ in (1, 2, 4_500, 5_200)),
        ({"must": [{"key": "tenth", "range": {"gt": 99}}]}, lambda _: False),
        ({}, lambda _: True),
    ]
    for narrowed, passes in filters:
        among = {id_: vector for id_, vector in said.items() if passes(id_)}
        for seed in range(3):
            agrees(docs.search(asked(seed), 20, filter=narrowed, **WORDS), asked(seed), among, 20)
    assert docs.count({"must": [{"has_vector": "words"}]}) == len(said)
    # what is rare is rare among all points that have the vector, whatever is filtered
    whole = docs.search(asked(1), 10_000, using="rare")
    few = docs.search(asked(1), 9, using="rare", filter=filters[0][0])
    of_id = dict(zip(whole.ids, whole.scores, strict=True))
    assert len(few) == 9
    assert [of_id[id_] for id_ in few.ids] == pytest.approx(few.scores)


@compiled
def test_pages_of_hits_are_those_of_one_long_answer(many: tuple[pqdb.Collection, Said]) -> None:
    docs, _ = many
    query = asked(2)
    whole = docs.search(query, 10_000, **WORDS)
    for k in (1, 7, 100):
        paged = [docs.search(query, k, offset=offset, **WORDS) for offset in range(0, 300, k)]
        assert [id_ for hits in paged for id_ in hits.ids] == whole.ids[: k * len(paged)]
    assert docs.search(query, 5, offset=len(whole) - 2, **WORDS).ids == whole.ids[-2:]
    assert docs.search(query, 5, offset=5_000, **WORDS).ids == []
    least = whole.scores[40]
    better = docs.search(query, 10_000, score_threshold=least, **WORDS)
    assert better.scores.tolist() == [score for score in whole.scores.tolist() if score > least]
    assert docs.search(query, 3, offset=2, score_threshold=least, **WORDS).ids == whole.ids[2:5]
    assert docs.search(query, score_threshold=1e9, **WORDS).ids == []


@compiled
def test_hits_show_what_is_asked_for(many: tuple[pqdb.Collection, Said]) -> None:
    docs, said = many
    hits = docs.search(asked(3), 5, with_vector=["words"], **WORDS)
    assert all(hit.vector == {"words": pqdb.SparseVector.of(said[hit.id])} for hit in hits)
    assert all(hit.payload == {"tenth": hit.id % 10} for hit in hits)
    assert list(docs.search(asked(3), 1, with_vector=True, **WORDS)[0].vector) == ["title", "words", "rare"]
    bare = docs.search(asked(3), 5, with_payload=False, **WORDS)
    assert bare.ids == hits.ids
    assert all(hit.payload is None and hit.vector is None for hit in bare)
    by_title = docs.search(np.zeros(4), 3, using="title", with_vector=["rare"])
    for hit in by_title:
        assert hit.vector == ({"rare": pqdb.SparseVector.of(said[hit.id])} if hit.id in said else {})


@compiled
def test_a_point_finds_others_like_it(many: tuple[pqdb.Collection, Said]) -> None:
    docs, said = many
    for id_ in (1, 5_000):
        others = {other: vector for other, vector in said.items() if other != id_}
        hits = docs.search(id_, 10, **WORDS)
        agrees(hits, said[id_], others, 10)
    for absent, sentence in ((10**6, "there is no point 1000000 in"), (6, "point 6 of .* has no vector 'words'")):
        with pytest.raises(pqdb.PointNotFoundError, match=sentence):
            docs.search(absent, **WORDS)


@compiled
def test_groups_are_those_of_the_whole_answer(many: tuple[pqdb.Collection, Said]) -> None:
    docs, _ = many
    query = asked(4)
    whole = docs.search(query, 10_000, **WORDS)
    groups: dict[int, list[Any]] = {}
    for id_ in whole.ids:
        groups.setdefault(int(id_) % 10, []).append(id_)
    for limit, size in ((3, 2), (10, 1), (20, 4)):
        found = docs.search_groups(query, "tenth", limit, size, **WORDS)
        assert [(group.id, [hit.id for hit in group.hits]) for group in found] == [
            (value, ids[:size]) for value, ids in list(groups.items())[:limit]
        ]
    narrowed = docs.search_groups(
        query, "tenth", 9, 1, filter={"must_not": {"key": "tenth", "match": {"value": 3}}}, with_payload=False, **WORDS
    )
    assert 3 not in [group.id for group in narrowed]
    assert all(hit.payload is None for group in narrowed for hit in group.hits)
    with pytest.raises(pqdb.InputError, match="groups are those of one query, not of 2"):
        docs.search_groups([query, query], "tenth", **WORDS)


def test_what_has_no_meaning_for_a_sparse_vector_is_refused(docs: pqdb.Collection) -> None:
    query = {1: 1.0}
    only = "vector 'words' is sparse: search and search_groups are all there is for it"
    refused: list[tuple[Any, str]] = [
        (lambda: docs.search_mmr(query, **WORDS), only),
        (lambda: docs.recommend([1], **WORDS), only),
        (lambda: docs.explain(query, **WORDS), only),
        (lambda: docs.measure_recall(**WORDS), only),
        (lambda: docs.lists_of([query], **WORDS), only),
        (lambda: docs.train(**WORDS), only),
        (lambda: docs.rollback(**WORDS), only),
        (lambda: docs.search(query, nprobe=3, **WORDS), "vector 'words' is sparse and has no lists, so nprobe= has no"),
        (lambda: docs.search(query, rerank=30, **WORDS), "rerank is set by hand together with nprobe"),
        (lambda: docs.search(query, 0, **WORDS), "k must be a whole number from 1 to 10,000, not 0"),
        (lambda: docs.search(query, 10_001, **WORDS), "k must be a whole number from 1 to 10,000, not 10001"),
        (lambda: docs.search(query, offset=-1, **WORDS), "offset must be a whole number of at least 0"),
        (lambda: docs.search(query, recall=2, **WORDS), "recall must lie between 0 and 1"),
        (lambda: docs.search(query, score_threshold="x", **WORDS), "score_threshold must be a number, not 'x'"),
        (lambda: docs.search(query), "has the vectors 'title', 'words', 'rare': using= says which"),
        (lambda: docs.search(query, using="wurds"), "none named 'wurds'"),
        (lambda: docs.search(query, with_vector=["wurds"], **WORDS), "none named 'wurds'"),
        (lambda: docs.delete_vectors("wurds", [1]), "none named 'wurds'"),
        (lambda: docs.search([0.1, 0.2, 0.3, 0.4], **WORDS), "a sparse vector is SparseVector.indices, values. or"),
        (lambda: docs.search(np.ones(4), **WORDS), "a sparse vector is SparseVector.indices, values. or"),
        (lambda: docs.search([], **WORDS), "a sparse vector is SparseVector.indices, values. or"),
        (lambda: docs.search(None, **WORDS), "a sparse vector is SparseVector.indices, values. or"),
        (lambda: docs.search([0.1, 0.2], **WORDS), "indices of a sparse vector are a list of numbers, not 0.1"),
        (lambda: docs.search(query, using="title"), "a query is 4 numbers, rows of so many, or the id of a point, not"),
        (lambda: docs.search(pqdb.SparseVector(), using="title"), "a query is 4 numbers, rows of so many, or the id"),
        (lambda: docs.dim, "have names"),
    ]
    for call, sentence in refused:
        with pytest.raises(pqdb.InputError, match=sentence):
            call()
    assert docs.search(query, exact=True, recall=0.5, **WORDS).ids == docs.search(query, **WORDS).ids


# -- changes


@compiled
def test_what_is_written_and_deleted_is_found_and_is_not(db: pqdb.Database, rng: np.random.Generator) -> None:
    docs, said = filled(db, 3_000)
    for turn in range(14):
        ids = [int(id_) for id_ in rng.choice(4_000, 400, replace=False)]
        kind = ("upsert", "delete", "set", "take", "upsert", "add", "compact")[turn % 7]
        new = {id_: words(rng) for id_ in ids}
        if kind in ("upsert", "add"):
            ids = ids if kind == "upsert" else [10_000 + turn * 1_000 + at for at in range(400)]
            new = {id_: words(rng) for id_ in ids}
            docs.upsert(ids, {"words": list(new.values()), "rare": list(new.values())})
            said |= new
        elif kind == "delete":
            docs.delete(ids)
            said = {id_: vector for id_, vector in said.items() if id_ not in new}
        elif kind == "set":
            there = [point.id for point in docs.get(ids)]
            given = [new[int(id_)] for id_ in there]
            docs.set_vectors(there, {"words": given, "rare": given})
            said |= {int(id_): new[int(id_)] for id_ in there}
        elif kind == "take":
            docs.delete_vectors(["words", "rare"], ids)
            said = {id_: vector for id_, vector in said.items() if id_ not in new}
        else:
            docs.compact()
        for seed in range(2):
            query = asked(100 * turn + seed)
            agrees(docs.search(query, 15, **WORDS), query, said, 15)
            agrees(docs.search(query, 15, using="rare"), query, said, 15, idf=True)  # of those that live
    assert docs.info()["sparse_vectors"]["words"]["points"] == len(said)
    assert docs.verify() == []
    docs.delete(filter={})
    assert docs.search(asked(0), **WORDS).ids == []
    assert docs.verify() == []


@compiled
@pytest.mark.parametrize("dense", [False, True])
def test_rows_move_and_what_the_dead_held_is_given_back(db: pqdb.Database, dense: bool) -> None:
    made = db.create_collection("docs", vectors=VECTORS if dense else {"words": pqdb.SparseConfig()})
    said = {i: words_of(i) for i in range(2 * SEGMENT_ROWS)}
    titles: dict[str, Any] = {"title": np.ones((len(said), 4))} if dense else {}
    made.upsert(range(len(said)), {"words": list(said.values()), **titles})
    gone = [id_ for id_ in said if id_ % 16]
    made.delete(gone)
    said = {id_: vector for id_, vector in said.items() if id_ % 16 == 0}
    before = made.info()["disk"]["points"]["databases"]
    made.compact()
    after = made.info()["disk"]["points"]["databases"]
    assert after["segments"] < before["segments"] / 2
    assert after["sparse"] < before["sparse"] / 2
    assert made.info()["dead_rows"] < 1_000
    assert made.verify() == []
    for seed in range(5):
        agrees(made.search(asked(seed), 30, **WORDS), asked(seed), said, 30)
    with pqdb.open(made.folder.parent, upkeep="manual") as database:
        agrees(database["docs"].search(asked(1), 30, **WORDS), asked(1), said, 30)


@compiled
def test_all_of_it_is_there_after_reopening(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as database:
        docs, said = filled(database)
        docs.delete(range(1_000))
        before = state(docs)
        hits = docs.search(asked(5), 50, using="rare")
    with pqdb.open(db_path, upkeep="manual") as database:
        docs = database["docs"]
        assert docs.sparse_vectors == {"words": pqdb.SparseConfig(), "rare": pqdb.SparseConfig(idf=True)}
        assert state(docs) == before
        again = docs.search(asked(5), 50, using="rare")
        assert same(again, hits)
        database.rename_collection("docs", "texts")
        database.set_alias("now", "texts")
        agrees(database["now"].search(asked(6), **WORDS), asked(6), {i: v for i, v in said.items() if i >= 1_000}, 10)
        with pytest.raises(pqdb.PointNotFoundError, match="collection 'texts'"):
            database["texts"].search("nobody", **WORDS)
    assert pqdb.check(db_path).problems == []


# -- others at the same time


@compiled
def test_other_processes_write_and_are_seen(db_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as database:
        _, said = filled(database, 4_000)
    with pqdb.open(db_path, read_only=True) as database:
        docs = database["docs"]
        with children.talk("write_when_told", db_path) as child:
            for part in range(5):
                agrees(docs.search(asked(part), 20, **WORDS), asked(part), said, 20)
                agrees(docs.search(asked(part), 20, using="rare"), asked(part), said, 20, idf=True)
                child.tell(str(part))
                assert child.hear() == "written"
                first = 10_000 + 300 * part
                said |= {id_: words_of(id_) for id_ in range(first, first + 300)}
                said = {id_: vector for id_, vector in said.items() if id_ % 97 != part}
            child.tell("compact")
            assert child.hear() == "written"
            agrees(docs.search(asked(9), 20, **WORDS), asked(9), said, 20)
            child.tell("")
            assert child.wait() == 0, child.complaint()
        with pytest.raises(pqdb.ReadOnlyError):
            docs.upsert(1, {"words": {1: 1.0}})
    assert pqdb.check(db_path).problems == []


def write_when_told(path: str) -> None:
    """The child of the above: a few hundred points at a word, and some deleted."""
    with pqdb.open(path, upkeep="manual") as database:
        docs = database["docs"]
        while word := heard():
            if word == "compact":
                docs.delete(range(1, 4_000, 2))
                again = [i for i in range(1, 4_000, 2) if i % 97 > 4]
                docs.upsert(again, {name: [words_of(i) for i in again] for name in ("words", "rare")})
                docs.compact()
            else:
                first = 10_000 + 300 * int(word)
                given = [words_of(id_) for id_ in range(first, first + 300)]
                docs.upsert(range(first, first + 300), {"words": given, "rare": given})
                docs.delete([point.id for point in docs.scroll(10_000).points if int(point.id) % 97 == int(word)])
            say("written")


@compiled
def test_threads_search_while_others_write(db_path: Path) -> None:
    """Each commit replaces all points of a generation: an answer is of one of them, whole."""
    kept, failed, done = 300, [], threading.Event()
    with pqdb.open(db_path, upkeep="background", upkeep_share=1) as database:
        sparse = {"words": pqdb.SparseConfig(), "rare": pqdb.SparseConfig(idf=True)}
        docs = database.create_collection("docs", vectors=sparse)

        def write(generation: int) -> None:
            given: Any = [{7: 1.0, 8: float(generation)}] * kept
            docs.upsert(range(kept), {"words": given, "rare": given})

        def look() -> None:
            try:
                while not done.is_set():
                    for using in ("words", "rare"):
                        hits = docs.search({7: 1e-3, 8: 1.0}, kept + 1, using=using)
                        assert sorted(hits.ids) == list(range(kept)), using
                        assert len(set(hits.scores)) == 1, (using, set(hits.scores))
            except BaseException as error:
                failed.append(error)
                raise

        write(1)
        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for generation in range(2, 60):  # through four segments
            write(generation)
            if generation % 20 == 0:
                docs.compact()
        done.set()
        for thread in threads:
            thread.join()
        assert not failed
        assert docs.verify() == []


@compiled
def test_an_older_snapshot_is_read_as_it_was(db: pqdb.Database) -> None:
    from pqdb.search.sparse import SparseSearch

    docs, said = filled(db, 4_500)
    searched = SparseSearch(idf=True)
    store = docs._points.slot(2)
    query = pqdb.SparseVector.of(asked(3))

    def ids(view: Any, found: Any) -> list[Any]:
        answers = found.answers[0]
        return view.ids_of(answers["row"][answers["value"] > -np.inf])

    def find(view: Any) -> list[Any]:
        return ids(view, searched.find(view, [query], view.findable, 40))

    with store.read() as old:
        first = find(old)

        def others() -> None:
            docs.delete([int(id_) for id_ in first])
            docs.upsert(range(10_000, 14_000), {"words": [words_of(i) for i in range(4_000)]})
            with store.read() as new:
                assert not set(find(new)) & set(first)

        thread = threading.Thread(target=others)
        thread.start()
        thread.join()
        assert find(old) == first
    with store.read() as new:
        assert not set(find(new)) & set(first)
    assert set(first) <= said.keys()


# -- moving and saving


def test_a_backup_has_them_all(db: pqdb.Database, docs: pqdb.Collection, tmp_path: Path) -> None:
    before = state(docs)
    db.backup(tmp_path / "copy")
    docs.delete(range(50))
    with pqdb.open(tmp_path / "copy", upkeep="manual") as copied:
        assert state(copied["docs"]) == before
        assert copied["docs"].verify() == []
    pqdb.restore(tmp_path / "copy", tmp_path / "restored")
    with pqdb.open(tmp_path / "restored", upkeep="manual") as restored:
        assert state(restored["docs"]) == before


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_json_lines_carry_them_there_and_back(
    db: pqdb.Database, docs: pqdb.Collection, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"docs.{ending}"
    docs.upsert([200, 201], {"words": [{2**32 - 1: 1e-45, 0: -0.0, 5: 1 / 3}, {}]})
    pqdb.export_points(docs, file)
    pqdb.import_points(db, "again", file)
    again = db["again"]
    assert list(again.sparse_vectors) == ["words", "rare"]

    def said(collection: pqdb.Collection) -> list[Any]:
        return [(id_, payload, vectors) for id_, payload, vectors, _ in state(collection)]

    assert [each[:2] for each in said(again)] == [each[:2] for each in said(docs)]
    other = db.create_collection("other", vectors=VECTORS)
    pqdb.import_points(db, "other", file)
    assert said(other) == said(docs)
    vector = other.get(200, with_vector=["words"])[0].vector["words"]
    assert vector.values.tolist() == [0.0, float(np.float32(1 / 3)), float(np.float32(1e-45))]
    assert np.signbit(vector.values[0])
    assert other.verify() == []


def test_other_forms_have_no_place_for_them(db: pqdb.Database, docs: pqdb.Collection, tmp_path: Path) -> None:
    for ending in ("npy", "npz", "parquet", "hdf5"):
        with pytest.raises(pqdb.InputError, match="have names: only JSON lines have a place for those"):
            pqdb.export_points(docs, tmp_path / f"docs.{ending}")
    assert list(tmp_path.glob("docs*")) == []
    lines = {
        '{"id": 1, "vector": {"words": {"indices": [1, 1], "values": [1, 2]}}}': "names each dimension once",
        '{"id": 1, "vector": {"words": {"indices": [1]}}}': "has indices and values and no more",
        '{"id": 1, "vector": {"words": {"indices": [1], "values": [NaN]}}}': "finite",
        '{"id": 1, "vector": {"words": [0.1, 0.2, 0.3]}}': "a sparse vector is",
        '{"id": 1, "vector": {"title": {"indices": [1], "values": [1]}}}': "vectors must be numbers",
    }
    file = tmp_path / "bad.jsonl"
    for line, sentence in lines.items():
        file.write_text(line + "\n")
        with pytest.raises(pqdb.PqdbError, match=sentence):
            pqdb.import_points(db, "docs", file)
    assert docs.count() == 100


def test_damaged_points_are_told_and_what_is_whole_is_saved(db_path: Path, tmp_path: Path) -> None:
    with pqdb.open(db_path, upkeep="manual") as database:
        docs, said = filled(database, 600)
        truth = {point.id: point for point in docs.scroll(1_000, with_vector=True).points}
        marker = pqdb.SparseVector.of(said[77]).to_bytes()
        file = docs._points.data_file
    raw = bytearray(file.read_bytes())
    at = raw.find(marker)
    while at >= 0:  # of both names
        raw[at + 1] ^= 4
        at = raw.find(marker, at + 1)
    file.write_bytes(raw)
    problems = pqdb.check(db_path).problems
    assert any("the sparse vector of slot 2 of row 77 is not what was written" in problem for problem in problems)
    report = pqdb.repair(db_path, save=tmp_path / "saved")
    assert report.done == []
    assert "docs: its points are damaged" in report.refused[0]
    lines = [json.loads(line) for line in (tmp_path / "saved" / "docs.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines} == truth.keys() - {77}
    with pqdb.open(tmp_path / "new", upkeep="manual") as database:
        database.create_collection("docs", vectors=VECTORS)
        pqdb.import_points(database, "docs", tmp_path / "saved" / "docs.jsonl")
        for point in database["docs"].scroll(1_000, with_vector=True).points:
            shown = {name: one(vector) for name, vector in point.vector.items()}
            assert shown == {name: one(vector) for name, vector in truth[point.id].vector.items()}
    shutil.rmtree(tmp_path / "new")


# -- the second oracle


@compiled
@pytest.mark.skipif(engine.edge is None, reason="qdrant-edge-py is not installed: no second oracle")
def test_another_engine_finds_the_same(db: pqdb.Database, tmp_path: Path, rng: np.random.Generator) -> None:
    """Scores and who has them, with idf and without. (Its idf counts points that are deleted, so none are.)"""
    edge = engine.edge
    sparse = {
        "words": edge.EdgeSparseVectorParams(),
        "rare": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf),
    }
    shard = edge.EdgeShard.create(str(tmp_path / "shard"), edge.EdgeConfig(sparse_vectors=sparse, wal_enabled=False))
    made = db.create_collection("docs", vectors={"words": pqdb.SparseConfig(), "rare": pqdb.SparseConfig(idf=True)})
    n = SEGMENT_ROWS + 900
    said = {i: {dim: float(np.float32(value * rng.normal())) for dim, value in words_of(i).items()} for i in range(n)}
    theirs = {i: edge.SparseVector(list(vector), list(vector.values())) for i, vector in said.items()}
    shard.update(
        edge.UpdateOperation.upsert_points(
            [edge.Point(i, {"words": each, "rare": each}, {"tenth": i % 10}) for i, each in theirs.items()]
        )
    )
    made.upsert(
        range(n), {name: list(said.values()) for name in ("words", "rare")}, [{"tenth": i % 10} for i in range(n)]
    )
    fours: Any = {"must": [{"key": "tenth", "match": {"value": 4}}]}
    for seed in range(20):
        query = {dim: float(np.float32(value * rng.normal())) for dim, value in asked(seed).items()}
        for using in ("words", "rare"):
            for narrowed in (None, fours):
                found = shard.query(
                    edge.QueryRequest(
                        limit=25,
                        query=edge.Query.Nearest(edge.SparseVector(list(query), list(query.values())), using),
                        filter=None if narrowed is None else engine.filter_of(narrowed),
                    )
                )
                hits = made.search(query, 25, using=using, filter=narrowed)
                assert np.allclose(hits.scores, [point.score for point in found], rtol=1e-4, atol=1e-5)
                if len(set(np.round(hits.scores, 4))) == len(hits):
                    assert hits.ids == [point.id for point in found]
    shard.close()


def test_vectors_of_a_collection_have_names(db: pqdb.Database) -> None:
    with pytest.raises(pqdb.InputError, match="vectors is a mapping of names to"):
        db.create_collection("docs", vectors=[pqdb.SparseConfig()])  # type: ignore[arg-type]


def test_what_models_give_is_taken() -> None:
    class Embedding:
        indices, values = np.array([9, 3]), np.array([0.5, 1.0])

    assert pqdb.SparseVector.of(Embedding()) == pqdb.SparseVector([3, 9], [1.0, 0.5])
    with pytest.raises(pqdb.InputError):
        pqdb.SparseVector.of(np.ones(3))


def test_a_name_stands_for_one_vector() -> None:
    with pytest.raises(pqdb.InputError, match="'words' for two"):
        pqdb.NamedConfig({"words": pqdb.VectorConfig(4)}, {"words": pqdb.SparseConfig()})


def test_a_vector_of_no_whole_pairs_is_told_by_searches(db: pqdb.Database) -> None:
    docs = db.create_collection("docs", vectors={"words": pqdb.SparseConfig()})
    docs.upsert([1, 2], {"words": [{3: 1.0}, {4: 1.0}]})
    env = docs._points.env
    txn = env.begin_write()
    txn.put(run_key(1, 1), seal(b"abc"), db=env.dbs["sparse"])
    txn.commit()
    env.end_write()
    with pytest.raises(pqdb.CorruptError, match="row 1 has 3 bytes"):
        docs.search({3: 1.0}, using="words")


def test_counts_are_kept_for_so_many_words_only(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_sparse, "MOST_COUNTS", 2)
    docs = db.create_collection("docs", vectors={"words": pqdb.SparseConfig(idf=True)})
    docs.upsert([1, 2], {"words": [{3: 1.0, 5: 1.0}, {4: 1.0, 5: 2.0}]})
    alone = [docs.search({dim: 1.0}, using="words").scores.tolist() for dim in (3, 4, 5)]
    assert alone == [docs.search({dim: 1.0}, using="words").scores.tolist() for dim in (3, 4, 5)]
    assert len(docs._sparse["words"]._searched._kept.counts) == 2  # type: ignore[attr-defined]  # of a named one


def test_scores_beyond_float32_are_numbers(db: pqdb.Database) -> None:
    docs = db.create_collection("docs", vectors={name: pqdb.SparseConfig(name == "rare") for name in ("words", "rare")})
    huge = [{3: 3e38}, {3: -3e38}, {3: 1.0}]
    docs.upsert([1, 2, 3], {"words": huge, "rare": huge})
    largest = np.finfo(np.float32).max
    for name in ("words", "rare"):
        hits = docs.search({3: 3e38}, using=name)
        assert hits.ids == [1, 3, 2]
        assert np.isfinite(hits.scores).all()
        assert hits.scores[0] == largest == -hits.scores[2]
