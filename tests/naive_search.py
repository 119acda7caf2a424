"""Search in plain numpy, as the papers write it: slow, obvious, and right.

Codes, sums and tables are those of Jégou, Douze, Schmid 2011 (asymmetric distance computation); everything
is float64 unless it is a whole number.
"""

from itertools import pairwise

import numpy as np

PADDING_ROW = 0xFFFFFFFF


# -- what near means


def prepared(vectors, metric):
    """Vectors (n, d) as they are compared: unit length for cosine (a zero vector stays zero), else as they
    are."""
    vectors = np.atleast_2d(np.asarray(vectors, np.float64))
    if metric != "cosine":
        return vectors
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    vectors = vectors / np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def stored(vectors, source):
    """Prepared vectors (n, d) after a stay on disk in one of the source forms."""
    single = np.asarray(vectors, np.float32)
    if source == "float16":
        return single.astype(np.float16).astype(np.float64)
    if source == "int8":
        scale = np.abs(single).max(axis=1, keepdims=True) / np.float32(127)
        steps = np.rint(single / np.where(scale > 0, scale, 1))
        return (steps * scale).astype(np.float64)
    return single.astype(np.float64)


def scores(queries, rows, metric):
    """(q, n) scores as users see them: similarity, or the distance for l2 and l1; queries and rows prepared."""
    if metric == "l1":
        return np.stack([np.abs(rows - query).sum(axis=1) for query in queries])
    if metric != "l2":
        return queries @ rows.T
    return np.stack([np.sqrt(((rows - query) ** 2).sum(axis=1)) for query in queries])


def nearest(queries, rows, metric, k):
    """((q, k) scores, (q, k) row numbers) of the k nearest, nearest first, the lower row first among
    equals."""
    found = scores(queries, rows, metric)
    order = np.argsort(found if metric in ("l2", "l1") else -found, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(found, order, axis=1), order


def recall(found, truth, metric, slack=1e-5):
    """Mean share of the k nearest found, by score: found and truth (q, k), NaN where there were fewer
    hits."""
    last = truth[:, -1:]
    slack = slack * np.maximum(np.abs(last), 1e-3)
    near = found <= last + slack if metric == "l2" else found >= last - slack
    return float((near & np.isfinite(found)).sum(axis=1).mean() / truth.shape[1])


# -- the scan


def group_sums(record, table, nbits):
    """(32,) sums of table look-ups of one group; record the bytes of its codes, table (m, ksub) whole
    numbers."""
    m = len(table)
    sums = np.zeros(32, np.int64)
    for v in range(32):
        for j in range(m):
            if nbits == 8:
                code = record[32 * j + v]
            else:
                byte = record[32 * (j // 2) + 16 * (j % 2) + v % 16]
                code = byte >> 4 if v >= 16 else byte & 15
            sums[v] += int(table[j, code])
    return sums


def group_values(sums, factors, biases, base, a, b, g, floor):
    """(values, upper bounds) of a group: A + B + s(b + a·sum), and g times s or the floor more."""
    values = base + biases.astype(np.float64) + factors.astype(np.float64) * (b + a * sums)
    return values, values + np.maximum(factors.astype(np.float64), floor) * g


def table(query, bounds, codewords, beta, top):
    """Table (m, ksub) of whole numbers, and (a, b): β⟨q, codeword⟩ ≈ entry·a + the least of its row; b is
    the sum of those."""
    products = np.stack(
        [beta * (query[lo:hi] @ codewords[lo:hi].astype(np.float64)) for lo, hi in pairwise(bounds)]
    )
    least = products.min(axis=1, keepdims=True)
    a = (products - least).max() / top or 1.0
    return np.floor((products - least) / a + 0.5).astype(np.int64), a, float(least.sum())


def scan(lists, codes_of, tables_of, allowed, depth, nbits, floor):
    """Candidates {row: (value, bound)} of one query whose bound reaches the depth-th best value, and that
    value. What the rounding of the table's entries adds up to widens a margin: m errors, even within half of a.

    lists: for each probed list (base, margin, s (n,), B (n,), rows (n,)); codes_of its codes (n, m);
    tables_of (table, a, b).
    """
    table_, a, b = tables_of
    everything = {}
    for (base, margin, s, bias, rows), codes in zip(lists, codes_of, strict=True):
        blur = np.sqrt(margin**2 + 9 * codes.shape[1] * a**2 / 12) if margin > 0 else margin
        for code, scale, offset, row in zip(codes, s, bias, rows, strict=True):
            if allowed[row]:
                total = sum(int(table_[j, c]) for j, c in enumerate(code))
                value = base + float(offset) + float(scale) * (b + a * total)
                everything[int(row)] = (value, value + max(float(scale), floor) * blur)
    values = sorted((value for value, _ in everything.values()), reverse=True)
    cut = values[depth - 1] if len(values) >= depth else -np.inf
    return {row: pair for row, pair in everything.items() if pair[1] >= cut}, cut


# -- routes


def rows_above(threshold, values, lengths, l2, query_length, shares, scatter, passing):
    """(lists,) how many of each list's rows that pass are expected above a threshold; scatter: low, step and shift."""
    low, step, shift = scatter
    nearer = (values[None, :] > values[:, None]).sum(axis=1)
    belts = (nearer * 24 >= len(values)).astype(int) + (nearer * 6 >= len(values))
    units = (2 * np.sqrt(-values.astype(np.float64)) if l2 else query_length) * lengths
    above = (threshold - (values - shift * lengths**2)) / units
    steps = low + step * np.arange(shares.shape[1])
    return passing * np.array([np.interp(at, steps, shares[belt]) for at, belt in zip(above, belts, strict=True)])


def keys(queries, centroids, metric):
    """(q, lists) how likely a list is to hold neighbours: ⟨q, c⟩/|c|, or the squared distance negated."""
    if metric == "l2":
        return -np.stack([((centroids - query) ** 2).sum(axis=1) for query in queries])
    lengths = np.linalg.norm(centroids, axis=1)
    return queries @ centroids.T / np.where(lengths < 1e-6, 1, lengths)


def to_int8(vector):
    """(int8 (d,), scale) of a vector: the nearest steps of the largest entry / 127, halves upward."""
    largest = float(np.abs(vector).max()) if len(vector) else 0.0
    steps = np.floor(vector * (127 / largest) + 0.5) if largest else np.zeros(len(vector))
    return steps.astype(np.int8), largest / 127


# -- sparse vectors: each a mapping of dimensions to weights


def sparse(query, vectors, allowed, k):
    """[(score, row)] of the k best of vectors {row: {dimension: weight}}, among the rows allowed that name a dimension
    of the query: the largest inner products first, of equal ones the smaller rows."""
    found = [
        (sum(value * vector[dim] for dim, value in query.items() if dim in vector), row)
        for row, vector in vectors.items()
        if row in allowed and not query.keys().isdisjoint(vector)
    ]
    return sorted(found, key=lambda each: (-each[0], each[1]))[:k]


def naming(dim, vectors, allowed):
    """How many of the rows allowed name a dimension."""
    return sum(row in allowed and dim in vector for row, vector in vectors.items())


def idf(n, naming):
    """What a dimension counts that so many of n vectors name (Robertson, Zaragoza 2009)."""
    return np.log(1 + (n - naming + 0.5) / (naming + 0.5))
