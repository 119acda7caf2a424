"""Queries made of rows."""

import numpy as np
import pytest

from pqdb.upkeep.queries import _lengths, made_queries, profiles, strangers


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_made_queries_lie_as_far_from_the_mean_as_rows_but_for_l2(metric: str) -> None:
    """However much all rows have in common: a question that is hard is no nearer to what they share."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((600, 32)).astype(np.float32) + np.float32(3)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean = rows.mean(axis=0)
    queries, n_rows = made_queries(rows, metric, seed=1, rows=300, made=100)
    assert n_rows == 300
    assert (queries[:300] == rows[:300] / (_lengths(rows[:300]) if metric == "cosine" else 1)).all()
    far = np.linalg.norm(queries - mean, axis=1)
    usual, made = np.median(far[:300]), [np.median(far[at : at + 100]) for at in (300, 400, 500)]
    if metric == "l2":
        assert made[1] < 0.6 * usual
        assert made[2] > 1.5 * usual
        return
    assert np.allclose(made, usual, rtol=0.1)
    alike = [np.mean((queries[300:] - mean) @ (row - mean) / (usual * usual)) for row in rows]
    assert max(alike) < 0.1, "they are made of many rows"


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_strangers_share_some_of_the_mean_and_are_like_no_row(metric: str) -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((600, 32)).astype(np.float32) + np.float32(3)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others = strangers(rows, metric, seed=1, count=300)
    assert others.shape == (300, 32)
    mean = rows.mean(axis=0)
    if metric == "cosine":
        assert np.allclose(np.linalg.norm(others, axis=1), 1, rtol=1e-5)
        return
    shares = others @ mean / (mean @ mean)
    assert -0.5 < shares.min() < 0.1
    assert 0.9 < shares.max() < 1.5
    apart = others - np.clip(shares, 0, 1)[:, None] * mean
    assert np.median(np.linalg.norm(apart, axis=1)) == pytest.approx(32**0.5, rel=0.1)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_profiles_are_means_of_few_rows_and_of_many(metric: str) -> None:
    rows = np.random.default_rng(8).standard_normal((900, 32)).astype(np.float32)
    if metric == "cosine":
        rows /= _lengths(rows)
    made = profiles(rows, metric, seed=1, count=200)
    assert made.shape == (200, 32)
    assert made.dtype == np.float32
    lengths = np.linalg.norm(made, axis=1)
    if metric == "cosine":
        assert np.allclose(lengths, 1, atol=1e-6)
    else:  # of n rows without a common part a mean is 1/√n as long
        usual = np.median(np.linalg.norm(rows, axis=1))
        assert np.median(lengths[:20]) == pytest.approx(usual / 2**0.5, rel=0.15)
        assert np.median(lengths[-20:]) == pytest.approx(usual / 30**0.5, rel=0.2)


def test_they_are_made_of_the_longest_rows_there_may_be() -> None:
    """Their squares, and those of the noise between them, are more than float32 holds."""
    rows = np.random.default_rng(7).standard_normal((600, 32)).astype(np.float32) * np.float32(1e18)
    queries = np.concatenate([made_queries(rows, "dot", 1, 300, 100)[0], strangers(rows, "dot", 1, 300)])
    assert np.isfinite(queries).all()
    assert (np.linalg.norm(queries.astype(np.float64), axis=1) > 1e17).all()
