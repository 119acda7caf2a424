"""The heap of the best."""

import numpy as np
import pytest

from pqdb.kernels import topk


@pytest.mark.parametrize("k", [1, 2, 3, 10, 64])
@pytest.mark.parametrize("n", [1, 10, 500])
def test_the_best_k_come_out_in_order(rng: np.random.Generator, k: int, n: int) -> None:
    values = rng.integers(0, 50, n).astype(np.float32)  # with equals among them
    heap, items = np.full(k, -np.inf, np.float32), np.zeros(k, np.uint32)
    for item, value in enumerate(values):
        if value > heap[0]:
            topk.push_pair(heap, items, value, item)
    topk.sort_pairs_descending(heap, items)
    kept = min(k, n)
    assert heap[:kept].tolist() == sorted(values.tolist(), reverse=True)[:kept]
    assert np.all(heap[kept:] == -np.inf)
    assert np.array_equal(values[items[:kept]], heap[:kept])
    assert len(set(items[:kept].tolist())) == kept


def test_the_top_of_the_heap_is_always_its_smallest(rng: np.random.Generator) -> None:
    heap, seen = np.full(7, -np.inf, np.float32), []
    for value in rng.standard_normal(200).astype(np.float32):
        seen.append(value)
        if value > heap[0]:
            topk.push(heap, value)
        best = sorted(seen, reverse=True)[:7]
        assert heap[0] == (best[-1] if len(best) == 7 else -np.inf)
