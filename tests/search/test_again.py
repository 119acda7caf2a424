"""A query like one before goes straight to the kernel that was compiled for it."""

import gc
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest

import pqdb
from pqdb.kernels import road
from pqdb.kernels._cpu import JIT_OFF
from pqdb.verbs import searching
from tests.data import clustered
from tests.search.conftest import Make


@pytest.mark.skipif(JIT_OFF, reason="nothing is compiled")
@pytest.mark.parametrize("kind", ["of bytes", "a column", "read-only", "unaligned", "the other byte order", "a list"])
def test_no_array_has_a_kernel_compiled_for_it(make: Make, kind: str) -> None:
    """A read-only array is another type to numba: such a query took seconds."""
    made = make("cosine")
    query = made.raw[0].copy()
    expected = made.collection.search(query, 5).ids
    compiled = len(road.search_block.signatures)  # type: ignore[attr-defined]
    unaligned = np.zeros(query.nbytes + 1, np.uint8)[1:].view(np.float32)
    unaligned[:] = query
    frozen = query.copy()
    frozen.flags.writeable = False
    asked = {
        "of bytes": np.frombuffer(query.tobytes(), np.float32),
        "a column": np.stack([query, query], axis=1)[:, 0],
        "read-only": frozen,
        "unaligned": unaligned,
        "the other byte order": query.astype(">f4"),
        "a list": query.tolist(),
    }[kind]
    for _ in range(2):
        assert made.collection.search(asked, 5).ids == expected
        assert [hits.ids for hits in made.collection.search(np.asarray([asked, asked]), 5)] == [expected] * 2
        many = np.asarray([asked, asked])
        many.flags.writeable = False
        assert [hits.ids for hits in made.collection.search(many, 5)] == [expected] * 2
    assert len(road.search_block.signatures) == compiled  # type: ignore[attr-defined]


def test_what_was_written_since_is_seen(tmp_path: Path) -> None:
    """By this process and by another; a query like one before must not be answered from what was."""
    vectors = clustered(6_000, 16, seed=3)
    with pqdb.open(tmp_path / "db", upkeep="manual") as database:
        things = database.create_collection("things", 16, "l2")
        things.upsert([f"p{i}" for i in range(6_000)], vectors, [{"at": i} for i in range(6_000)])
        things.optimize()
        for _ in range(2):  # the second goes the short way
            first = things.search(vectors[7], 3)
            assert first.ids[0] == "p7"
            assert first[0].payload == {"at": 7}
            assert things.search(vectors[7], 3, with_payload=False)[0].payload is None
        assert things._again(vectors[7][None], (3, None, None, None)) is not None
        things.delete(["p7"])
        assert things._again(vectors[7][None], (3, None, None, None)) is None
        assert "p7" not in things.search(vectors[7], 3).ids
        run(f"pqdb.open({str(tmp_path / 'db')!r})['things'].upsert(['new'], np.load({saved(tmp_path, vectors[7])!r}))")
        assert things.search(vectors[7], 3).ids[0] == "new"
        before = things.search(vectors[9], 3).ids
        things.compact()
        assert [things.search(vectors[9], 3).ids for _ in range(3)] == [before] * 3
    with pytest.raises(pqdb.ClosedError):
        things.search(vectors[7], 3)


def test_thresholds_and_vectors_go_the_short_way(make: Make) -> None:
    made = make("cosine")
    things, query, terms = made.collection, made.raw[0], (5, None, None, None)
    first = things.search(query, 5, with_vector=True)
    for threshold in (-2.0, float(first.scores[2]), 2.0):
        short, public = things._again(query[None], terms, threshold), things.search(query, 5, score_threshold=threshold)
        better = [name for name, score in zip(first.ids, first.scores, strict=True) if score > threshold]
        assert short is not None
        assert short.ids == public.ids == better
    again = things._again(query[None], terms, with_vector=True)
    assert again is not None
    np.testing.assert_array_equal(again.vectors, first.vectors)
    with pytest.raises(pqdb.InputError):
        things.search(query, 5, score_threshold=True)


def test_learning_ends_the_short_way(make: Make) -> None:
    things, query = make("cosine").collection, make("cosine").raw[0]
    terms = (4, 0.8, None, None)
    things.search(query, 4, recall=0.8)
    assert things._again(query[None], terms) is not None
    index, things._index = things._index, (*things._index[:3], object())  # type: ignore[assignment]  # another than now
    try:
        assert things._again(query[None], terms) is None
    finally:
        things._index = index


def run(statement: str) -> None:
    """In a process of its own."""
    subprocess.run([sys.executable, "-c", f"import numpy as np, pqdb\n{statement}"], check=True, timeout=300)


def saved(folder: Path, vector: np.ndarray) -> str:
    """The file that holds a vector (1, dim)."""
    path = folder / "vector.npy"
    np.save(path, vector[None])
    return str(path)


def test_what_was_learned_counts_for_all_terms(make: Make) -> None:
    """A frame made before is of an index that is no longer searched, whichever terms were asked for since."""
    made = make("cosine")
    things, query = made.collection, made.raw[0]
    for k in (5, 6):
        things.search(query, k)
    generation, version, index, learned = things._index
    assert index is not None
    things._index = generation, version, replace(index), learned
    assert things._again(query[None], (6, None, None, None)) is None
    things.search(query, 6)
    assert things._again(query[None], (6, None, None, None)) is not None


def test_errors_of_lmdb_are_ours_on_the_short_way(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    things, query = make("cosine").collection, make("cosine").raw[0]
    things.search(query, 5)

    def broken(*_: object) -> None:
        raise lmdb.CorruptedError("a page")

    monkeypatch.setattr(searching, "search_framed", broken)
    with pytest.raises(pqdb.CorruptError):
        things.search(query, 5)


def test_the_short_way_enters_in_the_order_of_all_others(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or two threads at the gates of both would wait for each other."""
    things, query = make("cosine").collection, make("cosine").raw[0]
    things.search(query, 5)
    entered = []
    for name, env in (("blocks", things._blocks.env), ("points", things._points.env)):
        enter = env.enter
        monkeypatch.setattr(env, "enter", lambda reader, n=name, e=enter: (entered.append(n), e(reader))[1])
    things.search(query, 5)
    assert entered == ["blocks", "points"]
    things.search(query, 5, exact=True)
    assert entered == ["blocks", "points"] * 2


def test_what_was_kept_of_commits_before_goes() -> None:
    """Of each commit there is a bitmap of all rows, and the addresses of what it holds."""
    vectors = clustered(6_000, 16, seed=3)
    with pqdb.open(upkeep="manual") as database:
        things = database.create_collection("things", 16)
        things.upsert(range(6_000), vectors)
        things.optimize()
        for k in range(1, 9):
            things.upsert([10_000 + k], vectors[:1])
            things.search(vectors[k], k)
            things.search(vectors[:3], k)
        index = things._index[2]
        assert index is not None
        assert len(things._frames) == len([mold for mold in index.molds.values() if mold.frame is not None]) == 1
        known = weakref.ref(index)
        database.drop_collection("things")
        del things, index
        gc.collect()
        assert known() is None
