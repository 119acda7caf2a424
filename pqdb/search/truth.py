"""The exact answer, and how much of it was found."""

import numpy as np

Answers = tuple[np.ndarray, np.ndarray]  # values (q, k) float32, −inf where there are fewer, and rows (q, k) uint32

SLACK = 1e-5  # relative: a neighbour as near as the k-th, but for rounding, counts as found (as ann-benchmarks does)


def recall_of(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(q,) share of the k nearest that were found, by value: found (q, k), truth (q, k) float32, nearest first, −inf
    padded.

    A found row counts if it is at least as near as the k-th true one, so that ties are not held against a search.
    """
    there = np.isfinite(truth).sum(axis=1)
    last = np.take_along_axis(truth, np.maximum(there - 1, 0)[:, None], axis=1)
    hits = (found >= last - SLACK * np.abs(last)) & np.isfinite(found)
    share: np.ndarray = np.minimum(hits.sum(axis=1), there) / np.maximum(there, 1)
    share[there == 0] = 1.0
    return share


def without_itself(answers: Answers, itself: np.ndarray) -> Answers:
    """Answers (q, k + 1) without the row that each query itself is (q,), −1 for none; who did not find itself gives up
    its last. What was not found says row 0, and stays.
    """
    values, rows = answers
    keep = (rows != itself[:, None]) | ~np.isfinite(values)
    keep[keep.all(axis=1), -1] = False
    return values[keep].reshape(len(values), -1), rows[keep].reshape(len(values), -1)
