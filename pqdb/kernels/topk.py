"""A bounded heap of the best values seen: the smallest of the best k on top."""


from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Array, Real, Whole


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
def push(heap: Array, value: Real) -> None:
    """Put `value` in place of the smallest of a full heap; the caller has seen that it is larger."""
    heap[0] = value
    sift_down(heap, heap.shape[0], 0)


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
def push_pair(heap: Array, items: Array, value: Real, item: Whole) -> None:
    """Put (value, item) in place of the smallest pair of a full heap."""
    heap[0], items[0] = value, item
    sift_down_pair(heap, items, heap.shape[0], 0)


@kernel
def sort_pairs_descending(heap: Array, items: Array) -> None:
    """Turn a heap of pairs into a list, largest value first (the second half of heapsort)."""
    for last in range(heap.shape[0] - 1, 0, -1):
        heap[0], heap[last] = heap[last], heap[0]
        items[0], items[last] = items[last], items[0]
        sift_down_pair(heap, items, last, 0)
