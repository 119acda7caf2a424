"""Recall is kept where lengths differ a thousandfold, and where all rows lie on a line."""

from collections.abc import Callable

import numpy as np
import pytest

import pqdb

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
