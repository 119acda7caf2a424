"""The exact answer, and how much of it was found."""

import math

import numpy as np

SLACK = 1e-5  # relative: a neighbour as near as the k-th, but for rounding, counts as found (as ann-benchmarks does)


def recall_of(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(q,) share of the k nearest that were found, by value: found (q, k), truth (q, k) float32, nearest first, −inf
    padded.

    A found row counts if it is at least as near as the k-th true one, so that ties are not held against a search.
    """
    there = np.isfinite(truth).sum(axis=1)
    last = np.take_along_axis(truth, np.maximum(there - 1, 0)[:, None], axis=1)
    hits = (found >= last - SLACK * np.maximum(np.abs(last), SLACK)) & np.isfinite(found)
    share: np.ndarray = np.minimum(hits.sum(axis=1), there) / np.maximum(there, 1)
    share[there == 0] = 1.0
    return share


def interval(shares: np.ndarray) -> tuple[float, float, float]:
    """Mean of per-query recalls with its 95 % interval (Wilson 1927, on the number of independent trials the spread
    implies).

    Without any spread the n queries count as n trials, so that "all found" still has a lower bound below 1.
    """
    n, mean = len(shares), float(shares.mean())
    variance = float(shares.var(ddof=1)) / n if n > 1 else 0.0
    trials = mean * (1 - mean) / variance if variance > 0 else float(n)
    z = 1.96
    centre = (mean + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(mean * (1 - mean) / trials + z * z / (4 * trials * trials))
    return mean, min(mean, max(0.0, centre - half)), max(mean, min(1.0, centre + half))  # rounding must not part them
