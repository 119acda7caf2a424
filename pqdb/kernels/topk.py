"""The best values seen, the smallest of them first: a sorted list, or a heap where a list would be too long.

A value goes into a sorted list in one pass without a branch, sixteen places at a time. With a hundred of them that is a
third of the time a heap takes, where each step waits for the one before and is foretold half of the time.
"""

from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Array, Real, Whole

LISTED = 256  # values at most: so long is a list faster


@kernel
def push(best: Array, value: Real) -> None:
    """Put `value` in place of the smallest; the caller has seen that it is larger."""
    last = best.shape[0] - 1
    if last >= LISTED:
        best[0] = value
        sift_down(best, best.shape[0], 0)
        return
    for i in range(last):
        best[i] = min(best[i + 1], max(best[i], value))
    best[last] = max(best[last], value)


@kernel
def push_pair(best: Array, items: Array, value: Real, item: Whole) -> None:
    """As `push`, moving items[] along with best[]: behind those of its value, or one of these would be there twice."""
    last = best.shape[0] - 1
    if last >= LISTED:
        best[0], items[0] = value, item
        sift_down_pair(best, items, best.shape[0], 0)
        return
    for i in range(last):
        here, above = best[i], best[i + 1]
        moved = items[i + 1] if above <= value else item
        items[i] = items[i] if here > value else moved
        best[i] = min(above, max(here, value))
    if best[last] <= value:
        best[last], items[last] = value, item


@kernel
def among_best(best: Array, k: Whole) -> Real:
    """The k-th largest of what `push_pair` filled; of a heap the smallest, which is no more than that."""
    n = best.shape[0]
    return best[n - k] if n <= LISTED else best[0]


@kernel
def largest_first(best: Array, items: Array) -> None:
    """Turn what `push_pair` filled round: the largest value first."""
    n = best.shape[0]
    if n > LISTED:
        sort_heap(best, items)
        return
    for i in range(n // 2):
        best[i], best[n - 1 - i] = best[n - 1 - i], best[i]
        items[i], items[n - 1 - i] = items[n - 1 - i], items[i]


@kernel
def sift_down(heap: Array, size: Whole, at: Whole) -> None:
    """Restore the heap order of heap[:size] below `at`, after heap[at] has grown."""
    value = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value


@kernel
def sift_down_pair(heap: Array, items: Array, size: Whole, at: Whole) -> None:
    """As `sift_down`, moving items[] along with heap[]."""
    value, item = heap[at], items[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[at], items[at] = heap[child], items[child]
        at = child
    heap[at], items[at] = value, item


@kernel
def sort_heap(heap: Array, items: Array) -> None:
    """Turn a heap of pairs into a list, largest value first (the second half of heapsort)."""
    for last in range(heap.shape[0] - 1, 0, -1):
        heap[0], heap[last] = heap[last], heap[0]
        items[0], items[last] = items[last], items[0]
        sift_down_pair(heap, items, last, 0)
