"""The best values seen: short lists kept in order, heaps where they are long."""

import numpy as np
import pytest

from pqdb.kernels import topk

LENGTHS = [1, 2, 3, 10, 64, topk.LISTED, topk.LISTED + 1]


@pytest.mark.parametrize("k", LENGTHS)
@pytest.mark.parametrize("n", [1, 10, 2_000])
def test_the_best_k_come_out_in_order(rng: np.random.Generator, k: int, n: int) -> None:
    values = rng.integers(0, 500, n).astype(np.float32)  # with equals among them
    best, items = np.full(k, -np.inf, np.float32), np.zeros(k, np.uint32)
    for item, value in enumerate(values):
        if value > best[0]:
            topk.push_pair(best, items, value, item)
    topk.largest_first(best, items)
    kept = min(k, n)
    assert best[:kept].tolist() == sorted(values.tolist(), reverse=True)[:kept]
    assert np.all(best[kept:] == -np.inf)
    assert np.array_equal(values[items[:kept]], best[:kept])
    assert len(set(items[:kept].tolist())) == kept


@pytest.mark.parametrize("k", [1, 7, topk.LISTED, topk.LISTED + 1])
def test_the_smallest_comes_first_and_the_kth_is_known(rng: np.random.Generator, k: int) -> None:
    values = rng.standard_normal(3 * k + 50).astype(np.float32)
    best, seen = np.full(k, -np.inf, np.float32), np.zeros(0, np.float32)
    pairs, items, near = np.full(k, -np.inf, np.float32), np.zeros(k, np.uint32), (k + 1) // 2
    for item, value in enumerate(values):
        seen = np.append(seen, value)
        if value > best[0]:
            topk.push(best, value)
            topk.push_pair(pairs, items, value, item)
        ordered = np.sort(seen)[::-1]
        assert best[0] == pairs[0] == (ordered[k - 1] if len(seen) >= k else -np.inf)
        nearest = topk.among_best(pairs, near)
        kth = ordered[near - 1] if len(seen) >= near else -np.inf
        assert nearest == kth if k <= topk.LISTED else pairs[0] <= nearest <= kth
    assert np.array_equal(np.sort(best), np.sort(values)[-k:])
