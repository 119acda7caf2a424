"""Lists are split and merged as the data move: every row stays in one list, the nearest, and is found."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import WITH_CODES
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.upkeep import balance, build, drift, steps
from pqdb.upkeep.balance import Shape, _shape
from pqdb.upkeep.newcomers import stretched
from tests.conftest import SEED
from tests.data import clustered
from tests.upkeep.conftest import Keep, Kept

KINDS: dict[str, dict[str, Any]] = {
    **{metric: {"metric": metric} for metric in WITH_CODES},
    "no rerank": {"rerank": None},
    "codes only": {"source": None},
    "8-bit": {"quantization": pqdb.PQ(m=6, nbits=8)},
}


@pytest.fixture
def grown(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> Any:
    """grown(kind) -> a collection whose first lists hold little, since most points came later and lie elsewhere."""

    def made(kind: str, seed: int = SEED) -> tuple[Kept, np.ndarray]:
        monkeypatch.setattr(build, "choose_n_lists", lambda n: 16)
        kept = keep(1_600, 12, f"things{seed}", seed, **KINDS[kind])
        kept.collection.train()
        later = clustered(2_400, 12, seed=seed + 1, clusters=12) * 0.5 + 2
        kept.collection.upsert(np.arange(1_600, 4_000), later)
        return kept, np.concatenate([kept.vectors, later])

    return made


def counts_of(kept: Kept) -> np.ndarray:
    with kept.stores.blocks.read() as view:
        return view.counts.astype(np.int64)


@pytest.mark.parametrize("kind", KINDS)
def test_uneven_lists_become_even_and_every_row_stays_found(grown: Any, kind: str) -> None:
    kept, vectors = grown(kind)
    kept.collection.optimize()
    counts = counts_of(kept)
    assert counts.max() <= 2 * counts.mean() + 1
    assert counts.min() >= 0.25 * counts.mean() - 1
    assert len(counts) > 16
    assert counts.sum() == 4_000
    assert sorted(row for rows in kept.rows_of_lists() for row in rows) == list(range(4_000))
    info = kept.collection.info()
    assert (info["generation"], info["lists"], info["fresh"]) == (1, len(counts), 0)
    hits = kept.collection.search(vectors[::97], 4_000, nprobe=999, rerank=4_000)
    assert all(sorted(each.ids) == list(range(4_000)) for each in hits)
    if kind in ("cosine", "l2", "8-bit"):
        assert [each.ids[0] for each in hits] == list(range(0, 4_000, 97))
    assert kept.collection.verify() == []
    with kept.stores.blocks.read() as view:
        assert Index.load(view).router.n_lists == len(counts)


@pytest.mark.parametrize("kind", ["cosine", "l2", "8-bit"])
def test_codes_learned_from_other_data_find_most_of_what_is_asked_for(grown: Any, kind: str) -> None:
    """.6 to .96 of what lists that became even hold, from seed to seed: their mean."""
    found = []
    for seed in range(SEED, SEED + 6):
        kept, _ = grown(kind, seed)
        kept.collection.optimize()
        found.append(kept.collection.measure_recall(recall=0.9, sample=100).recall)
    assert np.mean(found) > 0.7, found


def test_spreads_follow_the_lists_where_they_are_cut_and_merged(grown: Any) -> None:
    kept, vectors = grown("l2")
    kept.collection.optimize()
    with kept.stores.blocks.read() as view:
        router = Index.load(view).router
    assert router.spreads is not None
    assert router.spreads.shape == (router.n_lists,) != (16,)
    for number, rows in enumerate(kept.rows_of_lists()):
        residuals = router.to_index_space(vectors[rows]) - router.centroids[number]
        assert router.spreads[number] == pytest.approx((residuals**2).sum(axis=1).mean(), rel=0.35)


def test_merged_lists_give_their_numbers_away(grown: Any) -> None:
    kept, vectors = grown("l2")
    kept.collection.optimize()
    before = counts_of(kept)
    kept.collection.delete(np.arange(1_600))
    kept.collection.optimize()
    after = counts_of(kept)
    assert len(after) < len(before)
    assert after.min() >= 0.25 * after.mean() - 1
    rows = [row for rows in kept.rows_of_lists() for row in rows]
    assert len(set(rows)) == len(rows)
    assert set(range(1_600, 4_000)) <= set(rows)  # and some dead ones, in lists of which less than a quarter is dead
    hits = kept.collection.search(vectors[1_600::50], 1, nprobe=999, rerank=4_000)
    assert hits.ids[:, 0].tolist() == list(range(1_600, 4_000, 50))
    assert kept.collection.verify() == []


def test_codes_without_vectors_are_left_where_they_are(grown: Any, keep: Keep) -> None:
    """source=None and rerank=None: the codes alone are too coarse to be coded anew."""
    kept = keep(1_600, 12, name="codes", source=None, rerank=None)
    kept.collection.train()
    kept.collection.upsert(np.arange(1_600, 4_000), clustered(2_400, 12, seed=SEED + 1, clusters=12) * 0.5 + 2)
    before = kept.collection.info()["lists"]
    kept.collection.optimize()
    assert kept.collection.info()["lists"] == before


def test_equal_points_are_tried_once_and_then_left(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "choose_n_lists", lambda n: 8)
    kept = keep(800, 12)
    kept.collection.train()
    kept.collection.upsert(np.arange(800, 2_000), np.tile(kept.vectors[0], (1_200, 1)))
    tried = list[int]()
    real = balance.balance

    def counting(*arguments: Any, **named: Any) -> int:
        tried.append(real(*arguments, **named))
        return tried[-1]

    monkeypatch.setattr("pqdb.upkeep.steps.balance", counting)
    for _ in range(3):
        kept.collection.optimize()
    assert tried.count(0) == 1
    assert counts_of(kept).max() >= 1_200


def test_more_lists_probe_as_many_rows_as_before() -> None:
    before = Calibration(0.1, (1,), np.zeros(1, np.float32), np.full((1, 10, 1), 4, np.float32))
    assert stretched(before, 1.5, 100).widths.max() == 6
    assert stretched(before, 0.5, 100).widths.max() == 4
    assert stretched(before, 9, 20).widths.max() == 20


@pytest.mark.parametrize("seed", range(30))
def test_numbers_are_given_out_without_gaps(seed: int) -> None:
    """Whatever is cut and merged: every list that stays has one number, and its own centroid there."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    centroids = np.arange(n, dtype=np.float32)[:, None]
    order = rng.permutation(n)
    n_cut, n_freed = int(rng.integers(0, n // 2 + 1)), int(rng.integers(0, n // 2))
    cuts = {
        int(number): (100 * (number + 1) + np.arange(rng.integers(2, 5), dtype=np.float32))[:, None]
        for number in order[:n_cut]
    }
    freed = order[n_cut : n_cut + n_freed].tolist()
    shape: Shape = _shape(centroids, cuts, freed)
    expected = {*range(n)} - set(freed) - set(cuts) | {float(part[0]) for parts in cuts.values() for part in parts}
    assert sorted(shape.centroids[:, 0].tolist()) == sorted(expected)
    kept = {number: number for number in range(n) if number not in freed and number not in cuts}
    for number in kept:  # not coded anew: its centroid must be where its codes go
        place = shape.moved.get(number, number)
        assert shape.centroids[place, 0] == number
        assert place not in shape.rebuilt
    assert {*range(len(shape.centroids))} - {shape.moved.get(number, number) for number in kept} <= shape.rebuilt


def test_lists_that_never_become_even_are_left_alone_until_something_is_written(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what one move takes apart the next puts together, `compact` came to no end."""
    kept, moves = keep(1_600, 12), []
    kept.collection.train()
    monkeypatch.setattr(steps, "n_uneven", lambda stores: 2 + len(moves) % 2)
    monkeypatch.setattr(steps, "balance", lambda *_: moves.append(1) or 1)
    kept.collection.compact()
    assert 0 < len(moves) <= steps.VAIN_MOVES + 2
    moves.clear()
    kept.collection.compact()
    assert moves == []
    kept.collection.upsert([0], kept.vectors[:1])
    kept.collection.compact()
    assert 0 < len(moves) <= steps.VAIN_MOVES + 2


def test_what_a_recall_takes_is_learned_anew_once_lists_are_even(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was learned of lists that are not there any more. Where none was uneven it is learned once."""
    learned, recalibrate = list[int](), drift.recalibrate

    def counted(stores: Any, index: Index, *rest: Any) -> Calibration:
        found = recalibrate(stores, index, *rest)
        learned.append(index.router.n_lists)
        return found

    monkeypatch.setattr(drift, "recalibrate", counted)
    monkeypatch.setattr(steps, "TRAIN_ROWS", 100)
    monkeypatch.setattr(build, "choose_n_lists", lambda n: 20)
    for uneven in (False, True):
        rng = np.random.default_rng(SEED)
        kept = keep(2_000, 12, name=f"uneven {uneven}")
        if uneven:
            monkeypatch.setattr(build, "train", lopsided(build.train, rng))
        kept.collection.optimize()
        counts = counts_of(kept)
        assert counts.max() <= 2 * counts.mean() + 1
        assert learned == ([len(counts)] if uneven else [])


def lopsided(train: Any, rng: np.random.Generator) -> Any:
    """A training that puts most rows into one list."""

    def trained(*args: Any) -> tuple[Any, Any]:
        router, code = train(*args)
        far = router.centroids[1:] + rng.normal(0, 20, router.centroids[1:].shape).astype(np.float32)
        return replace(router, centroids=np.concatenate([router.centroids[:1], far])), code

    return trained


def test_lists_are_moved_on_while_that_makes_fewer_uneven() -> None:
    patience = steps.Patience()
    assert all(patience.allows(7, uneven) for uneven in range(100, 0, -1))
    assert [patience.allows(7, 5) for _ in range(steps.VAIN_MOVES + 1)] == [True] * steps.VAIN_MOVES + [False]
    assert patience.allows(8, 5)
    patience.end()
    assert not patience.allows(8, 5)
