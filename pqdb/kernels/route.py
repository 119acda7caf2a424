"""One query against every centroid: which lists to scan, in which order, and how many."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.scan import dot_i8
from pqdb.kernels.vectors import FLOAT32, distance, dot, quantize_i8

BUCKETS = 1024


@kernel_inline
def interpolate(x: Real, knots: Array, heights: Array) -> Real:
    """Piecewise linear through (knots, heights), flat outside; knots ascending."""
    last = knots.shape[0] - 1
    if x <= knots[0]:
        return heights[0]
    for i in range(last):
        if x < knots[i + 1]:
            share = (x - knots[i]) / (knots[i + 1] - knots[i])
            return heights[i] + share * (heights[i + 1] - heights[i])
    return heights[last]


@kernel_inline
def select_largest(keys: Array, n: Whole, lists: Array, q: Whole, histogram: Array) -> None:
    """lists[q, :n] = positions of the n largest keys, largest first to within a bucket's width.

    A counting sort over the upper half of the range; keys below it share the last bucket.
    """
    high, low, mean = keys[0], keys[0], np.float32(0)
    for i in range(keys.shape[0]):
        high, low = max(high, keys[i]), min(low, keys[i])
        mean += keys[i]
    if 2 * n < keys.shape[0]:
        mean /= np.float32(keys.shape[0])
        above = 0
        for i in range(keys.shape[0]):
            above += keys[i] >= mean
        if above >= n:  # else keys are skewed, and the last bucket would be taken in no order
            low = mean
    width = np.float32(BUCKETS - 1) / (high - low) if high > low else np.float32(0)
    histogram[:] = 0
    last = np.int32(BUCKETS - 1)
    for i in range(keys.shape[0]):
        histogram[min(np.int32((high - keys[i]) * width), last)] += 1
    start = np.int32(0)
    for b in range(BUCKETS):
        count = histogram[b]
        histogram[b] = start
        start += count
        if start >= n:
            for rest in range(b + 1, BUCKETS):
                histogram[rest] = n
            break
    for i in range(keys.shape[0]):
        bucket = min(np.int32((high - keys[i]) * width), last)
        place = histogram[bucket]
        if place < n:
            lists[q, place] = i
            histogram[bucket] = place + 1


@kernel
def route_queries(
    queries: Array,  # (q, d) float32
    l2: bool,
    center: Array,  # (d,) float32 mean of the centroids
    rows: Array,  # (n_lists, dpad) int8 centroids less the center
    scales: Array,  # (n_lists,) float32 undoing the rounding
    weights: Array,  # (n_lists,) float32 1/|c|; 1 for l2
    offsets: Array,  # (n_lists,) float32 0; |c − center|² for l2
    centroids: Array,  # (n_lists, d) float32
    noise: Real,  # z·σ: margin of an estimate in units of the query's distance and the code's scale
    knots: Array,  # (b,) float32 best key
    widths: Array,  # (b,) float32 how many lists to probe at each
    lists: Array,  # (q, p) int32 out
    probed: Array,  # (q,) int32 out
    bases: Array,  # (q, p) float32 out
    margins: Array,  # (q, p) float32 out
) -> None:
    """Rank lists by ⟨q, c⟩/|c| (inner product) or −|q − c|² (l2) and take as many as the query's own difficulty asks
    for.

    The difficulty is the key of the nearest centroid: `widths` is calibrated against it (docs/architecture.md).
    """
    n_lists, dim = centroids.shape
    keys = np.empty(n_lists, np.float32)
    histogram = np.empty(BUCKETS, np.int32)
    moved = np.empty(dim, np.float32)
    small = np.empty(rows.shape[1], np.int8)
    size = np.uint64(rows.shape[1])
    center_at, moved_at = np.uint64(center.ctypes.data), np.uint64(moved.ctypes.data)
    small_at, centroids_at = np.uint64(small.ctypes.data), np.uint64(centroids.ctypes.data)
    for q in range(queries.shape[0]):
        query_at = np.uint64(queries.ctypes.data) + np.uint64(4 * q * dim)
        base = np.float32(0) if l2 else dot(FLOAT32, center_at, query_at, dim)
        for i in range(dim):
            moved[i] = queries[q, i] - center[i] if l2 else queries[q, i]
        step = quantize_i8(moved, small) * np.float32(2 if l2 else 1)
        best = -np.float32(np.inf)
        row_at = np.uint64(rows.ctypes.data)
        for i in range(n_lists):
            product = np.float32(dot_i8(row_at, small_at, size))
            keys[i] = (base + step * scales[i] * product) * weights[i] - offsets[i]
            best = max(best, keys[i])
            row_at += size
        length = dot(FLOAT32, moved_at, moved_at, dim)
        if l2:
            best -= length
        wanted = np.int64(np.ceil(interpolate(best, knots, widths)))
        n = min(max(wanted, 1), lists.shape[1])
        select_largest(keys, n, lists, q, histogram)
        probed[q] = n
        margin = np.float32(noise) * np.sqrt(length)
        for p in range(n):
            centroid_at = centroids_at + np.uint64(4 * dim * lists[q, p])
            if l2:
                apart = distance(FLOAT32, centroid_at, query_at, dim, np.float32(1))
                bases[q, p] = -apart
                margins[q, p] = np.float32(2 * noise) * np.sqrt(apart)
            else:
                bases[q, p] = dot(FLOAT32, centroid_at, query_at, dim)
                margins[q, p] = margin
