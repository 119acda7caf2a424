"""Answers cut: the first ones left out, and those that score too little."""

import numpy as np

from pqdb.errors import InputError
from pqdb.kernels.frame import named
from pqdb.metric import DISTANCES, Metric, scores
from pqdb.search.found import Found


def trimmed(found: Found, offset: int, threshold: float | None, metric: Metric) -> Found:
    """Without the `offset` nearest of each query, and without what does not score better than a threshold.

    Better is more for cosine and dot, less for distances. Raises InputError for a threshold that is no number.
    """
    words = found.words[:, offset:].copy()
    answers = named(words)
    if threshold is not None:
        answers["value"][~_better(answers["value"], threshold, metric)] = -np.inf
    return Found(words, int((answers["value"] > -np.inf).sum()), found.every)


def _better(values: np.ndarray, threshold: object, metric: Metric) -> np.ndarray:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or np.isnan(threshold):
        raise InputError(f"score_threshold must be a number, not {threshold!r}")
    least = np.float32(threshold)
    if metric not in DISTANCES:
        better: np.ndarray = values > least
        return better
    nearer: np.ndarray = (scores(values, metric) < least) & (values > -np.inf)
    return nearer
