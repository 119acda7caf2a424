"""The held-out check counts what a search by estimates would find."""

import numpy as np
import pytest

from pqdb.metric import Metric
from pqdb.quantization.heldout import HeldOut
from pqdb.quantization.train import train_codebook
from tests import naive_quantization as naive


@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_share_found_is_counted_row_by_row(rng: np.random.Generator, metric: Metric) -> None:
    centroids = rng.standard_normal((4, 8)).astype(np.float32)[rng.integers(0, 4, 120)]
    residuals = rng.standard_normal((120, 8)).astype(np.float32)
    queries = rng.standard_normal((6, 8)).astype(np.float32)
    codebook = train_codebook(residuals, 4, layout="plain")
    codes, s = naive.encode(codebook, residuals)
    guesses = s[:, None] * naive.decode(codebook, codes)
    vectors = centroids + residuals
    found = 0
    for query in queries:
        if metric == "l2":
            far = ((query - vectors) ** 2).sum(axis=1)
            near_by_estimate = ((query - centroids) ** 2).sum(axis=1) + (residuals**2).sum(axis=1)
            near_by_estimate = near_by_estimate - 2 * ((query - centroids) * guesses).sum(axis=1)
        else:
            far, near_by_estimate = -(vectors @ query), -((centroids + guesses) @ query)
        found += len(np.intersect1d(far.argsort()[:10], near_by_estimate.argsort()[:12]))
    check = HeldOut.build(queries, vectors, residuals, metric)
    assert check.share_found(codebook, front=12) == pytest.approx(found / 60)
    assert 0.2 < found / 60 < 1


def test_a_code_without_loss_finds_all(rng: np.random.Generator) -> None:
    residuals = rng.standard_normal((16, 6)).astype(np.float32)
    codebook = train_codebook(residuals, 6, layout="plain")  # a word for every row
    check = HeldOut.build(residuals[:5] * 1.01, residuals, residuals, "l2")
    assert check.share_found(codebook, front=10) == 1.0


def test_fewer_rows_than_neighbours(rng: np.random.Generator) -> None:
    residuals = rng.standard_normal((4, 6)).astype(np.float32)
    check = HeldOut.build(residuals[:1], residuals, residuals, "dot")
    assert check.share_found(train_codebook(residuals, 2, layout="plain")) == 1.0
