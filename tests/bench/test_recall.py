"""Recall by distance: ties count, repetition does not, a short answer misses."""

import numpy as np
import pytest

from bench.recall import recalls

TRUTH = np.array([[0.1, 0.2, 0.2, 0.5]])


def _of(ids, distances, k=3):
    loose, strict = recalls(np.array([ids]), np.array([distances]), TRUTH, k)
    return float(loose[0]), float(strict[0])


@pytest.mark.parametrize(
    ("ids", "distances", "loose", "strict"),
    [
        ([4, 7, 9], [0.1, 0.2, 0.2], 1, 1),
        ([4, 7, 8], [0.1, 0.2, 0.5], 2 / 3, 2 / 3),
        ([4, 4, 7], [0.1, 0.1, 0.2], 2 / 3, 2 / 3),  # the same row twice is one answer
        ([4, -1, -1], [0.1, np.inf, np.inf], 1 / 3, 1 / 3),
        ([4, 7, 8], [0.1, 0.2, 0.2005], 1, 2 / 3),  # inside ann-benchmarks' slack, outside float32 rounding
        ([-1, -1, -1], [np.inf] * 3, 0, 0),
    ],
)
def test_recall(ids, distances, loose, strict):
    assert _of(ids, distances) == pytest.approx((loose, strict))
