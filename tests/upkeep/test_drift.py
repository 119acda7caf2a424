"""Drift: noticed, corrected where that is cheap, and a new generation only where it proves better; and the way back."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.search.index import Index
from pqdb.upkeep import build, fresh, proof, rollback, steps
from pqdb.upkeep.drift import has_drifted, has_moved, is_off, is_recall_due
from pqdb.upkeep.proof import Worth, is_better
from pqdb.upkeep.watch import About, Watch, errors_of, imbalance, reach_of
from tests.conftest import SEED
from tests.data import clustered
from tests.upkeep.conftest import Keep, Kept

DIM = 16


def shifted(n: int, seed: int = SEED + 1) -> np.ndarray:
    """Points of another kind: other clusters, tighter, elsewhere."""
    return clustered(n, DIM, seed=seed, clusters=30, spread=0.3) + np.float32(3)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred points are worth what thousands are."""
    monkeypatch.setattr(steps, "TRAIN_ROWS", 500)
    monkeypatch.setattr(build, "choose_n_lists", lambda n: max(1, n // 40))


def watch_of(kept: Kept) -> Watch:
    with kept.stores.blocks.read() as view:
        return Watch.load(view)


# -- what is seen


def test_errors_of_other_data_are_larger(rng: np.random.Generator) -> None:
    from pqdb.quantization.train import train_codebook

    rows = (rng.standard_normal((3_000, 8)) * [4, 4, 1, 1, 0.2, 0.2, 0.1, 0.1]).astype(np.float32)
    book = train_codebook(rows[:2_000], 4, 4, vectors=rows[:2_000], metric="l2", seed=0)
    same, other = errors_of(book, rows[2_000:]), errors_of(book, rows[2_000:, ::-1].copy())
    assert same is not None
    assert other is not None
    assert other[1] > 1.5 * same[1]
    longer = errors_of(book, 3 * rows[2_000:])
    assert longer is not None
    assert longer[0] == pytest.approx(9 * same[0], rel=1e-4)
    assert longer[1] == pytest.approx(same[1], rel=1e-4)
    assert errors_of(book, np.zeros((5, 8), np.float32)) is None


def test_the_error_of_inserts_is_a_running_mean() -> None:
    about, watch = About(trained_rows=100_000), Watch()
    watch = watch.after((1.0, 0.1), 500, about)
    assert (watch.inserted, watch.error, watch.code_error) == (500, 1.0, 0.1)
    for _ in range(20):
        watch = watch.after((3.0, 0.2), 500, about)
    assert 2 < (watch.error or 0) < 3
    assert watch.inserted == 10_500
    assert watch.after(None, 7, about).error == watch.error


def test_even_lists_have_an_imbalance_of_one() -> None:
    assert imbalance(np.full(9, 7)) == 1
    assert imbalance(np.array([10, 0])) == 2
    assert imbalance(np.zeros(3)) == 1


def test_notes_of_another_version_are_passed_over() -> None:
    assert About.load(b'{"trained_rows": 7, "n_lists": 2, "mood": "fine"}') == About(7, 2)
    assert Watch.load_bytes(b"") == Watch()
    watch = Watch(5, 0.1, 0.2, 0.95, 0.9, 0.91, 5, 4, 3)
    assert Watch.load_bytes(watch.to_bytes()) == watch
    about = About(5, 2, 0.1, 0.2, 0.3, 2.5, 4)
    assert About.load(about.to_bytes()) == about


def test_info_shows_what_is_watched(small: None, keep: Keep) -> None:
    kept = keep(600, DIM, metric="l2")
    assert kept.collection.info()["drift"] is None
    kept.collection.optimize()
    empty = dict.fromkeys(("error", "code_error", "asked", "recall"))
    assert {**kept.collection.info()["drift"], "imbalance": 1} == {**empty, "inserted": 0, "imbalance": 1}
    near = kept.vectors[:100] + 0.1 * kept.vectors.std(axis=0) * clustered(100, DIM, seed=3)
    kept.collection.upsert(np.arange(600, 700), near)
    kept.collection.optimize()
    seen = kept.collection.info()["drift"]
    assert seen["inserted"] == 100
    assert 0.5 < seen["error"] < 2
    assert 0.7 < seen["code_error"] < 1.5
    assert (seen["asked"], seen["recall"] > 0.9) == (0.95, True)
    assert 1 <= seen["imbalance"] < 2


# -- what is decided


def test_when_recall_is_looked_at() -> None:
    seen = Watch(inserted=1_000, recall_rows=10_000, recall_inserted=1_000)
    assert not is_recall_due(seen, 10_500)
    assert is_recall_due(seen, 11_500)
    assert is_recall_due(seen, 8_000)  # deleted
    assert is_recall_due(Watch(inserted=2_100, recall_rows=10_000, recall_inserted=1_000), 10_000)  # replaced


def test_when_what_a_recall_takes_was_learned_of_other_lists() -> None:
    assert not has_moved(Watch(recall_rows=10_000), 10_000)
    assert has_moved(Watch(recall_rows=10_000).after_move(1), 10_000), "nothing has come or gone: all is even now"
    assert not has_moved(Watch(recall_rows=10_000).after_move(900), 9_750), "nor as long as points are deleted"
    assert not has_moved(Watch(inserted=500).after_move(900), 10_000), "as long as rows come, lists are cut and cut"
    assert has_moved(Watch(inserted=500).after_move(600).after_move(600), 10_000)


def test_when_recall_is_off() -> None:
    assert not is_off(0.95, 0.95)
    assert not is_off(0.942, 0.95)
    assert is_off(0.93, 0.95)
    assert is_off(0.98, 0.95)
    assert not is_off(0.98, 0.975)  # as it was when all was well


def test_when_a_new_generation_is_worth_a_try() -> None:
    about = About(10_000, 80, 1.0, 0.1)
    fine = Watch(inserted=5_000, error=1.2, code_error=0.105, recall=0.95)
    assert not has_drifted(about, fine, 15_000)
    for worse in ({"error": 1.6}, {"code_error": 0.12}, {"recall": 0.92}):
        drifted = Watch(**{**vars(fine), **worse})
        assert has_drifted(about, drifted, 15_000), worse
        assert not has_drifted(about, Watch(**{**vars(drifted), "inserted": 900}), 10_900)  # too few to learn from
        refused = Watch(**{**vars(drifted), "refused_inserted": 4_000})
        assert not has_drifted(about, refused, 15_000)
        assert has_drifted(about, refused, 3_000)
    assert not has_drifted(About(10_000, 80), fine, 15_000)  # an older generation, of which nothing is known


@pytest.mark.parametrize(
    ("before", "after", "strictly", "plainly"),
    [
        ((0.95, 100), (0.95, 90), True, True),
        ((0.95, 100), (0.95, 100), False, True),
        ((0.95, 100), (0.95, 130), False, False),
        ((0.99, 100), (0.945, 90), True, True),  # both keep the promise, one for less
        ((0.95, 100), (0.90, 50), False, False),
        ((0.90, 100), (0.95, 300), True, True),  # only one keeps it
        ((0.80, 100), (0.85, 100), True, True),
        ((0.80, 100), (0.805, 100), False, True),
        ((0.80, 100), (0.79, 10), False, False),
    ],
)
def test_what_is_better(
    before: tuple[float, float], after: tuple[float, float], strictly: bool, plainly: bool
) -> None:
    assert is_better(Worth(*before), Worth(*after), strictly=True) is strictly
    assert is_better(Worth(*before), Worth(*after), strictly=False) is plainly


# -- what is done


def test_newcomers_get_lists_of_their_own(small: None, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.Steps, "_follow", lambda *_: False)
    monkeypatch.setattr(steps.Steps, "_balance", lambda *_: False)
    kept = keep(1_000, DIM, metric="l2")
    kept.collection.optimize()
    with kept.stores.blocks.read() as view:
        before, about = Index.load(view), About.load(view.object("about"))
    far = shifted(300)
    kept.collection.upsert(np.arange(1_000, 1_300), far)
    kept.collection.optimize()
    with kept.stores.blocks.read() as view:
        after = Index.load(view)
    assert after.generation == before.generation
    assert np.array_equal(after.router.centroids[: before.router.n_lists], before.router.centroids)
    rows = kept.rows_of_lists()
    new = {row for list_rows in rows[before.router.n_lists :] for row in list_rows}
    assert len(new) > 280
    assert min(new) >= 1_000
    moved = after.router.to_index_space(far)
    for number, list_rows in enumerate(rows[before.router.n_lists :], before.router.n_lists):
        lengths = np.linalg.norm(moved[np.array(list_rows, int) - 1_000] - after.router.centroids[number], axis=1)
        assert np.median(lengths) < (about.reach or 0)
        assert after.router.spreads[number] == pytest.approx((lengths**2).mean(), rel=0.5)
    hits = kept.collection.search(far[::10], 1, nprobe=2)
    assert [each.ids[0] for each in hits] == list(range(1_000, 1_300, 10))
    assert kept.collection.verify() == []


def test_a_few_outliers_get_no_list(small: None, keep: Keep) -> None:
    kept = keep(1_000, DIM, metric="l2")
    kept.collection.optimize()
    lists = kept.collection.info()["lists"]
    kept.collection.upsert(np.arange(1_000, 1_010), shifted(10))
    kept.collection.optimize()
    assert kept.collection.info()["lists"] == lists


def test_reach_is_a_good_deal_beyond_what_was_trained_on(rng: np.random.Generator) -> None:
    residuals = rng.standard_normal((1_000, 4)).astype(np.float32)
    assert (np.linalg.norm(residuals, axis=1) < reach_of(residuals)).mean() > 0.999
    assert reach_of(residuals) < 7


def test_recall_that_is_off_is_corrected(small: None, keep: Keep) -> None:
    """A calibration that probes too little, and one that probes far too much, for the data there are."""
    kept = keep(2_000, DIM, metric="l2")
    kept.collection.optimize()
    well = kept.collection.measure_recall(recall=0.95, sample=400).recall
    for factor in (0.01, 20.0):
        with kept.stores.blocks.read() as view:
            index = Index.load(view)
        widths = np.clip(index.calibration.widths * factor, 1, index.router.n_lists).astype(np.float32)
        spoiled = build.replace(index.calibration, widths=widths)
        with kept.stores.blocks.write() as batch:
            batch.put_object(index.generation, "calibration", spoiled.to_bytes())
            batch.put_note(index.generation, "watch", Watch().to_bytes())
        before = kept.collection.measure_recall(recall=0.95, sample=400).recall
        assert before < 0.93 if factor < 1 else before > 0.99
        kept.collection.optimize()
        assert kept.collection.measure_recall(recall=0.95, sample=400).recall == pytest.approx(well, abs=0.015)
        assert kept.collection.info()["generation"] == 1
        watch = watch_of(kept)
        assert watch.recall == watch.settled == pytest.approx(well, abs=0.025)


def drifted(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generation that says it fits badly, with enough new points to learn from."""
    kept.collection.optimize()
    kept.collection.upsert(np.arange(5_000, 5_300), shifted(300))
    with monkeypatch.context() as patch:
        patch.setattr(steps.Steps, "_follow", lambda *_: False)
        patch.setattr(steps.Steps, "_look", lambda *_: False)
        kept.collection.optimize()
    with kept.stores.blocks.write() as batch:
        about = About.load(batch.get_object(1, "about") or b"")
        batch.put_object(1, "about", build.replace(about, code_error=1e-6).to_bytes())


def test_a_generation_that_proves_better_takes_over_and_can_be_left_again(
    small: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(1_200, DIM, metric="l2")
    drifted(kept, monkeypatch)
    monkeypatch.setattr(proof, "is_better", lambda *_: True)
    kept.collection.optimize()
    info = kept.collection.info()
    assert (info["generation"], info["previous"], info["drift"]["inserted"]) == (2, 1, 0)
    kept.collection.upsert([9_999], shifted(1, 77))
    assert kept.collection.rollback() == 1
    info = kept.collection.info()
    assert (info["generation"], info["previous"], info["fresh"]) == (1, None, 1)
    every = sorted(kept.collection.search(kept.vectors[0], 2_000, nprobe=999, rerank=2_000).ids)
    assert every == [*range(1_200), *range(5_000, 5_300), 9_999]
    with pytest.raises(pqdb.InputError, match="there is no generation before 1 to go back to"):
        kept.collection.rollback()
    kept.collection.optimize()  # and it is not left again at once
    assert kept.collection.info()["generation"] == 1
    assert kept.collection.verify() == []
    kept.collection.train()
    assert kept.stores.blocks.generations() == [1, 2]


def test_a_generation_that_is_no_better_is_not_swapped_in(
    small: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(1_200, DIM, metric="l2")
    drifted(kept, monkeypatch)
    asked = list[tuple[Worth, Worth, bool]]()

    def refuses(before: Worth, after: Worth, strictly: bool) -> bool:
        asked.append((before, after, strictly))
        return False

    monkeypatch.setattr(proof, "is_better", refuses)
    for _ in range(2):
        kept.collection.optimize()
    assert len(asked) == 1  # and not tried again before more has come
    before, after, strictly = asked[0]
    assert 0.8 < before.recall <= 1
    assert 0.8 < after.recall <= 1
    assert min(before.cost, after.cost) > 10
    assert strictly
    assert kept.stores.blocks.generations() == [1]
    assert watch_of(kept).refused_inserted == 300
    kept.collection.upsert(np.arange(6_000, 6_500), shifted(500, 5))
    kept.collection.optimize()
    assert len(asked) == 2


def test_what_is_written_during_a_build_is_in_it_or_fresh(
    small: None, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads and writes go on; the old generation is fed, the new one catches up, nothing is missed at the swap."""
    monkeypatch.setattr(steps, "FRESH_ROWS", 100)
    monkeypatch.setattr(fresh, "FRESH_ROWS", 100)
    monkeypatch.setattr(build, "PART_BYTES", 4 * DIM * 200)
    monkeypatch.setattr(proof, "is_better", lambda *_: True)
    kept = keep(1_200, DIM, metric="l2")
    drifted(kept, monkeypatch)
    written, watermarks = [10_000], set[int]()
    swap = build._swap

    def meanwhile(stage: str, share: float) -> None:
        if stage not in ("assign", "encode"):
            return
        kept.collection.upsert(np.arange(written[0], written[0] + 60), shifted(60, written[0]))
        kept.collection.delete([written[0] + 1])
        written[0] += 60
        with kept.stores.blocks.read() as view:
            watermarks.add(view.watermark)
        newest = shifted(60, written[0] - 60)[59]
        assert kept.collection.search(newest, 1, nprobe=999, rerank=500).ids == [written[0] - 1]

    def checked(blocks: Any, index: Index, watermark: int, about: About) -> None:
        with kept.stores.points.read() as view:
            assert view.n_rows - watermark < 100  # caught up
        swap(blocks, index, watermark, about)

    monkeypatch.setattr(build, "_swap", checked)
    kept.collection.optimize(meanwhile)
    assert written[0] > 10_500
    assert len(watermarks) > 2  # the old generation was fed meanwhile
    assert kept.collection.info()["generation"] == 2
    expected = {*range(1_200), *range(5_000, 5_300)} | {
        each for start in range(10_000, written[0], 60) for each in range(start, start + 60) if each != start + 1
    }
    hits = kept.collection.search(kept.vectors[0], len(expected) + 5, nprobe=999, rerank=5_000)
    assert sorted(hits.ids) == sorted(expected)
    assert kept.collection.verify() == []


# -- codes only


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_without_a_source_a_new_generation_is_learned_from_int8_rows(small: None, keep: Keep, metric: str) -> None:
    kept = keep(2_000, DIM, metric=metric, source=None)
    kept.collection.optimize()
    kept.collection.upsert(np.arange(2_000, 2_010), clustered(10, DIM, seed=3))
    queries = clustered(2_000, DIM, seed=SEED)[::20]
    before = kept.collection.search(queries, 10, nprobe=999, rerank=500)
    for generation in (2, 3, 4):
        kept.collection.train()
        assert kept.collection.info()["generation"] == generation
        after = kept.collection.search(queries, 10, nprobe=999, rerank=500)
        same = [len({*one.ids} & {*other.ids}) for one, other in zip(before, after, strict=True)]
        assert np.mean(same) > 9  # of ten: each time the rows are rounded anew
        every = kept.collection.search(queries[0], 3_000, nprobe=999, rerank=3_000)
        assert sorted(every.ids) == list(range(2_010))
    assert kept.collection.verify() == []


def test_without_a_source_there_is_no_way_back_past_forgotten_rows(small: None, keep: Keep) -> None:
    kept = keep(1_000, DIM, source=None)
    kept.collection.optimize()
    kept.collection.train()
    assert kept.collection.rollback() == 1
    kept.collection.train()
    kept.collection.upsert(np.arange(1_000, 2_000), clustered(1_000, DIM, seed=3))
    kept.collection.optimize()
    with pytest.raises(pqdb.InputError, match=r"source=None keeps no vectors of the .* rows that came after"):
        kept.collection.rollback()
    assert kept.collection.info()["generation"] == 2


def test_the_one_before_is_the_newest_of_the_older() -> None:
    assert rollback.previous([1, 2, 4], 4) == 2
    assert rollback.previous([4, 5], 4) is None


# -- meanwhile


def test_no_query_fails_while_generations_are_swapped_and_rolled_back(small: None, keep: Keep) -> None:
    kept = keep(1_000, DIM, metric="l2")
    kept.collection.train()
    stop, failures, searches = threading.Event(), list[BaseException](), [0]

    def search() -> None:
        try:
            while not stop.is_set():
                number = searches[0] % 1_000
                assert kept.collection.search(kept.vectors[number], 1, nprobe=999).ids == [number]
                searches[0] += 1
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for _ in range(3):
        kept.collection.train()
        kept.collection.rollback()
    stop.set()
    thread.join()
    assert not failures
    assert searches[0] > 0


def test_every_step_can_be_stopped(small: None, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """What progress raises in any stage leaves a collection that answers and can go on."""
    kept = keep(1_200, DIM, metric="l2")
    drifted(kept, monkeypatch)
    monkeypatch.setattr(proof, "is_better", lambda *_: True)

    def stop_at(wanted: str) -> Callable[[str, float], None]:
        def report(stage: str, share: float) -> None:
            if stage == wanted:
                raise KeyboardInterrupt

        return report

    for stage in ("measure", "centroids", "codebook", "assign", "encode"):
        with pytest.raises(KeyboardInterrupt):
            kept.collection.optimize(stop_at(stage))
        assert kept.collection.search(kept.vectors[7], 1, nprobe=999, rerank=500).ids == [7]
        if stage == "measure":  # looked at, so that training is next
            with kept.stores.blocks.write() as batch:
                seen = build.replace(watch_of(kept), recall=0.95, recall_rows=1_500, recall_inserted=300)
                batch.put_note(1, "watch", seen.to_bytes())
    kept.collection.optimize()
    assert kept.collection.info()["generation"] == 2
    assert kept.collection.verify() == []
