"""A generation: every live row in one list, the same bytes every time, and swapped in whole or not at all."""

from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import WITH_CODES, Metric
from pqdb.search.plan import TARGETS
from pqdb.upkeep import build
from tests.conftest import SEED
from tests.upkeep.conftest import Keep, Kept


def several_lists(monkeypatch: pytest.MonkeyPatch, n_lists: int = 12) -> None:
    monkeypatch.setattr(build, "choose_n_lists", lambda n: n_lists)


def bytes_of(kept: Kept) -> list[bytes]:
    """All that the current generation holds."""
    out = []
    with kept.stores.blocks.read() as view:
        number, n_lists = view.generation, view.n_lists
        out += [view.object(name) for name in ("codebook", "router", "calibration")]
    with kept.stores.blocks.write() as batch:
        for list_no in range(n_lists):
            _, codes, rerank = batch.read_list(number, list_no)
            out += [bytes(codes or b""), bytes(rerank or b"")]
    return out


@pytest.mark.parametrize("metric", WITH_CODES)
def test_every_live_row_is_in_exactly_one_list(keep: Keep, monkeypatch: pytest.MonkeyPatch, metric: Metric) -> None:
    several_lists(monkeypatch)
    kept = keep(700, metric=metric)
    kept.collection.delete(np.arange(0, 700, 7))
    kept.collection.upsert(np.arange(5), kept.vectors[:5])  # row 0 … 4 dead, 700 … 704 alive
    kept.collection.train()
    with kept.stores.points.read() as view:
        alive = view.live_rows().tolist()
    lists = kept.rows_of_lists()
    assert sorted(row for rows in lists for row in rows) == alive
    assert all(rows == sorted(rows) for rows in lists)
    info = kept.collection.info()
    assert (info["generation"], info["fresh"], info["indexed"]) == (1, 0, len(alive))


def test_the_same_points_give_the_same_bytes(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    several_lists(monkeypatch)
    first, second = keep(700), keep(700, name="again")
    for kept in (first, second):
        kept.collection.train()
    assert bytes_of(first) == bytes_of(second)


@pytest.mark.parametrize("rows", [1, 50, 333])
def test_parts_of_bounded_memory_give_the_same_bytes(keep: Keep, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    several_lists(monkeypatch)
    whole, in_parts = keep(700), keep(700, name="parts")
    whole.collection.train()
    monkeypatch.setattr(build, "PART_BYTES", 4 * 12 * rows)
    monkeypatch.setattr(build, "ASSIGN_ROWS", 64)
    in_parts.collection.train()
    assert bytes_of(whole) == bytes_of(in_parts)


def test_one_generation_back_is_kept_and_older_ones_go(keep: Keep) -> None:
    kept = keep(300)
    for expected in ([1], [1, 2], [2, 3], [3, 4]):
        kept.collection.train()
        assert kept.stores.blocks.generations() == expected
        assert kept.collection.info()["generation"] == expected[-1]
    assert kept.collection.verify() == []


@pytest.mark.parametrize("stage", ["centroids", "codebook", "assign", "encode"])
def test_progress_that_raises_ends_the_build_and_leaves_the_generation(keep: Keep, stage: str) -> None:
    kept = keep(600)
    kept.collection.train()
    before = bytes_of(kept)

    def stop(now: str, share: float) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.collection.train(stop)
    assert kept.collection.info()["generation"] == 1
    assert bytes_of(kept) == before
    kept.collection.train()  # what was left half built is taken away
    assert kept.stores.blocks.generations() == [1, 2]
    assert kept.collection.verify() == []


def test_progress_goes_through_the_stages(keep: Keep) -> None:
    kept, seen = keep(600), list[tuple[str, float]]()
    kept.collection.train(lambda stage, share: seen.append((stage, share)))
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert stages == ["centroids", "codebook", "assign", "encode"]
    for stage in stages:
        shares = [share for name, share in seen if name == stage]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("metric", WITH_CODES)
@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_a_handful_of_points_can_be_trained(keep: Keep, metric: Metric, n: int) -> None:
    kept = keep(n, metric=metric)
    kept.collection.train()
    assert kept.collection.info()["generation"] == 1
    hits = kept.collection.search(kept.vectors[0], 17)
    assert sorted(hits.ids) == list(range(n))


@pytest.mark.parametrize("metric", WITH_CODES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_points_in_a_few_of_many_dimensions_can_be_trained(
    db: pqdb.Database, rng: np.random.Generator, metric: Metric, scale: float
) -> None:
    """Their covariance has no inverse, nor, in float64, a Cholesky factor."""
    flat = (scale * rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40))).astype(np.float32)
    things = db.create_collection("flat", 40, metric)
    things.upsert(np.arange(300), flat)
    things.train()
    assert len(things.search(flat[0], 300, nprobe=9, rerank=300)) == 300
    if metric != "dot":
        assert things.search(flat[0], 1).ids == [0]


@pytest.mark.parametrize("metric", WITH_CODES)
def test_more_recall_takes_more_lists(keep: Keep, monkeypatch: pytest.MonkeyPatch, metric: Metric) -> None:
    from pqdb.search.index import Index
    from pqdb.search.plan import Calibration

    several_lists(monkeypatch, 30)
    kept = keep(2_000, metric=metric)
    kept.collection.train()
    with kept.stores.blocks.read() as view:
        calibration = Index.load(view).calibration
    assert calibration.widths.shape[1] == len(TARGETS)
    assert np.all(np.diff(calibration.knots) >= 0)
    assert np.all(np.diff(calibration.widths, axis=1) >= 0)
    assert calibration.widths.min() >= 1
    assert calibration.widths.max() <= 30
    again = Calibration.from_bytes(calibration.to_bytes())
    assert (again.noise, again.ks, again.spare) == (calibration.noise, calibration.ks, calibration.spare)
    assert np.array_equal(again.widths, calibration.widths)
    for k in (1, 10, 500):
        rising = [float(calibration.widths_for(k, recall).mean()) for recall in (0.5, 0.9, 0.96, 0.99, 0.9995)]
        assert rising == sorted(rising)


def test_a_damaged_calibration_is_told() -> None:
    from pqdb.search.plan import Calibration

    for damaged in (b"", b"{}", b"not json", b'{"noise": 1}'):
        with pytest.raises(pqdb.CorruptError, match="the calibration is damaged"):
            Calibration.from_bytes(damaged)


def test_usual_codes_need_no_more_margin_than_usual(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    """What widening costs is paid only where it is needed: short codes yes, a bit a dimension at 96 dimensions no."""
    from pqdb.search.index import Index

    measured, measure_noise = list[float](), build.measure_noise

    def noted(*args: Any) -> tuple[float, float]:
        found = measure_noise(*args)
        measured.append(found[0])
        return found

    monkeypatch.setattr(build, "measure_noise", noted)
    spares, wider = list[float](), list[float]()
    for dim in (4, 96):
        kept = keep(1_500, dim, name=f"d{dim}", quantization=pqdb.PQ(bits_per_dim=1))
        kept.collection.train()
        with kept.stores.blocks.read() as view:
            calibration = Index.load(view).calibration
        spares.append(calibration.spare)
        wider.append(calibration.noise / measured[-1])
        assert kept.collection.measure_recall(10, nprobe=9_999, queries=kept.vectors[:100]).recall > 0.99
    assert spares[0] > spares[1] == 1
    assert wider[0] > wider[1] == 1


@pytest.mark.parametrize("apart", [0, 0.001])
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_rows_that_have_copies_do_not_speak_for_questions(metric: Metric, apart: float) -> None:
    """A row's nearest are then its copies: their estimates are right, and they lie in its own list."""
    from pqdb.search.index import Index

    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((100, 96))
    rows, queries = (centres[rng.integers(100, size=n)] + 0.7 * rng.standard_normal((n, 96)) for n in (500, 300))
    noises, recalls = [], []
    for copies in (1, 20):
        vectors = np.repeat(rows, copies, axis=0)
        vectors += apart * rng.standard_normal(vectors.shape)
        with pqdb.open(upkeep="manual") as db:
            made = db.create_collection("c", 96, metric=metric)
            made.upsert(np.arange(len(vectors)), vectors[rng.permutation(len(vectors))].astype(np.float32))
            made.train()
            with made._blocks.read() as view:
                noises.append(Index.load(view).calibration.noise)
            recalls.append(made.measure_recall(10, recall=0.95, queries=queries.astype(np.float32)).recall)
    assert noises[1] > 0.6 * noises[0]
    assert recalls[1] > 0.92


def test_recall_is_kept_where_int8_centroids_cannot_tell_lists_apart() -> None:
    """Rows on a circle: the keys of the nearest lists differ by less than a step of an int8 centroid."""
    rng = np.random.default_rng(SEED)
    rows = (rng.standard_normal((20_000, 2)) @ rng.standard_normal((2, 96))).astype(np.float32)
    with pqdb.open(upkeep="manual") as db:
        circle = db.create_collection("circle", 96)
        circle.upsert(np.arange(len(rows)), rows)
        circle.optimize()
        report = circle.measure_recall(10, rows[::200], recall=0.95)
    assert report.recall >= 0.94
