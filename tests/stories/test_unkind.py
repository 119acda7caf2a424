"""Recall is kept where lengths differ a thousandfold, where all rows lie on a line, and beside rows that went wrong."""

from collections.abc import Callable

import numpy as np
import pytest

import pqdb
from pqdb import PQ, SQ
from pqdb.metric import Metric

Figure = Callable[[str, object], None]
Made = Callable[[np.random.Generator], np.ndarray]
N, DIM = 12_000, 48


def power_law(rng: np.random.Generator) -> np.ndarray:
    """Lengths without a mean: one centroid lies ten thousand times as far away as most."""
    return rng.standard_normal((N, DIM)) * (rng.pareto(1.2, (N, 1)) + 0.01)


def a_line(rng: np.random.Generator) -> np.ndarray:
    """Products with a row are large, and differences of them small: what rounding blurs first."""
    return rng.standard_normal((N, 1)) @ rng.standard_normal((1, DIM))


@pytest.mark.parametrize("made", [power_law, a_line])
def test_recall_is_kept_on_unkind_data(db: pqdb.Database, figure: Figure, made: Made) -> None:
    rng = np.random.default_rng(3)
    vectors = made(rng).astype(np.float32)
    things = db.create_collection("things", DIM, "l2")
    things.upsert(np.arange(N), vectors)
    things.optimize()
    queries = vectors[rng.choice(N, 300, replace=False)]
    for asked in (0.9, 0.95, 0.99):
        measured = things.measure_recall(10, recall=asked, queries=queries)
        figure(f"recall@10, asked {asked}", f"{measured.recall:.3f}")
        assert measured.high >= asked - 0.02  # before a query was seen


@pytest.mark.parametrize("wrong", [1, 100])
@pytest.mark.parametrize("metric", ["l2", "dot"])
@pytest.mark.parametrize("codes", [PQ(), SQ("int8")], ids=["pq", "int8"])
def test_a_few_rows_that_went_wrong_cost_the_others_nothing(
    db: pqdb.Database, figure: Figure, codes: PQ | SQ, metric: Metric, wrong: int
) -> None:
    """A million times as long as the others, one of them made searches look into all lists, at all rows again, and with
    int8 codes find a quarter.
    """
    rng = np.random.default_rng(3)
    kinds = rng.standard_normal((200, DIM))
    vectors, queries = (
        (kinds[rng.integers(0, 200, n)] + 0.5 * rng.standard_normal((n, DIM))).astype(np.float32) for n in (N, 300)
    )
    vectors[rng.choice(N, wrong, replace=False)] *= np.float32(1e6)
    things = db.create_collection("things", DIM, metric, quantization=codes)
    things.upsert(np.arange(N), vectors)
    things.optimize()
    measured = things.measure_recall(10, recall=0.95, queries=queries)
    looked_at = np.mean([things.explain(query, 10, recall=0.95).codes for query in queries[:50]])
    figure("recall@10, asked .95", f"{measured.recall:.3f}")
    figure("codes looked at", f"{looked_at:.0f} of {N}")
    assert measured.high >= 0.93
    assert looked_at < N / 2
