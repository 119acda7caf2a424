"""Keeping lists even: small ones give up their centroid, large ones are cut in two or more."""

import heapq

import numpy as np
from numpy.typing import NDArray

LARGE = 2.0  # lists over this many times the mean are split
SMALL = 0.25  # lists under this share of the mean are merged into their neighbours


def parts_of_lists(counts: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Into how many lists each list of `counts` (k,) rows goes over: 0 merges it, 2 and more split it.

    They add up to `wanted`, unless there are fewer rows. Lists under SMALL of the mean go first, then as
    many of the smallest as it takes to cut down those over LARGE; what is left to give goes where the parts
    are the largest.
    """
    mean = counts.sum() / wanted
    kept = counts >= SMALL * mean
    needed = int(np.ceil(counts[kept] / (LARGE * mean)).sum()) - wanted
    if needed > 0:
        candidates = np.flatnonzero(kept & (counts < mean))
        kept[candidates[np.argsort(counts[candidates], kind="stable")[:needed]]] = False
    return shares(np.where(kept, counts, 0), wanted)


def shares(counts: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """`wanted` parts (k,) shared by groups of `counts` members so that the largest part is least.

    Every group that has members gets one, none more than it has; the lowest number wins a tie.
    """
    given = np.minimum(counts, 1)
    heap = [(-int(counts[i]), int(i)) for i in np.flatnonzero(given)]
    heapq.heapify(heap)
    for _ in range(min(wanted, int(counts.sum())) - len(heap)):
        while given[heap[0][1]] >= counts[heap[0][1]]:
            heapq.heappop(heap)
        i = heap[0][1]
        given[i] += 1
        heapq.heapreplace(heap, (-counts[i] / given[i], i))
    return given
