"""The whole search in one kernel: the stages of search/pipeline.py, one after the other.

Each stage called from Python costs two to four microseconds for its arguments, of a search that takes thirty.
"""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.exact import finish
from pqdb.kernels.prepare import prepare_queries
from pqdb.kernels.rerank import rerank_candidates
from pqdb.kernels.route import route_queries
from pqdb.kernels.scan import scan_lists
from pqdb.kernels.tables import build_tables, rotate


@kernel
def search_block(
    asked: Array,  # (q, d) float32
    normalise: bool,  # see prepare.prepare_queries
    least: Real,
    largest: Real,
    mean: Array,
    scale: Real,
    l2: bool,  # of the generation: see route.route_queries
    center: Array,
    route_rows: Array,
    route_scales: Array,
    weights: Array,
    offsets: Array,
    centroids: Array,
    axes: Array,  # (d_out, dpad) int8 rotation, no rows without one
    axis_scales: Array,
    codewords: Array,  # see tables.build_tables
    word_bounds: Array,
    beta: Real,
    top: Whole,
    nbits: Whole,
    record_bytes: Whole,
    table: Array,  # (q, m, ksub) scratch
    margin: Real,  # of the plan
    knots: Array,
    widths: Array,
    most: Whole,  # lists probed at most
    depth: Whole,
    k: Whole,
    keep: Whole,
    codes: Array,  # see scan.scan_lists
    counts: Array,
    rerank: Array,  # see rerank.rerank_candidates
    scan_values: Array,  # scratch of the scan
    scan_bounds: Array,
    scan_rows: Array,
    scan_places: Array,
    kind: Whole,  # see exact.finish
    runs: Array,
    rows_per_run: Whole,
    row_bytes: Whole,
    rescore: bool,
    unit: Real,
    fresh: Whole,
    n_rows: Whole,
    allowed: Array,
    values: Array,  # (q, k) float32 out
    rows: Array,  # (q, k) uint32 out
) -> Whole:
    """Values and rows of each query; returns how many queries were finished before the candidates' room ran out.

    Returns −1 if a query's length is not within the limits.
    """
    n = asked.shape[0]
    queries, moved = np.empty(asked.shape, np.float32), np.empty(asked.shape, np.float32)
    if prepare_queries(asked, normalise, least, largest, mean, scale, queries, moved) == 0:
        return -1
    lists, probed = np.empty((n, most), np.int32), np.empty(n, np.int32)
    bases, margins = np.empty((n, most), np.float32), np.empty((n, most), np.float32)
    route_queries(
        moved, l2, center, route_rows, route_scales, weights, offsets, centroids, margin, knots, widths,
        lists, probed, bases, margins,
    )  # fmt: skip
    coefficients = np.empty((n, 2), np.float32)
    if axes.shape[0] > 0:
        rotated = np.empty((n, axes.shape[0]), np.float32)
        rotate(moved, axes, axis_scales, rotated)
        build_tables(rotated, codewords, word_bounds, beta, top, table, coefficients)
    else:
        build_tables(moved, codewords, word_bounds, beta, top, table, coefficients)
    starts, cuts = np.empty(n + 1, np.int64), np.empty(n, np.float32)
    done = scan_lists(
        nbits, table.shape[1], record_bytes, l2, codes, counts, lists, probed, bases, margins, table, coefficients,
        allowed, np.empty(depth, np.float32), scan_values, scan_bounds, scan_rows, scan_places, starts, cuts,
    )  # fmt: skip
    if done < n:
        return done
    best, best_rows = np.empty((n, keep), np.float32), np.empty((n, keep), np.uint32)
    found, reranked, firsts = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int64)
    for q in range(n):
        firsts[q] = q * keep
    rerank_candidates(
        moved, beta, route_rows.shape[1], rerank, counts, lists, bases, scan_values, scan_bounds, scan_rows,
        scan_places, starts, cuts, np.empty(k, np.float32), best, best_rows, found, reranked,
    )  # fmt: skip
    finish(
        kind, l2, queries, runs, rows_per_run, row_bytes, best_rows.reshape(n * keep), best.reshape(n * keep), firsts,
        found, rescore, unit, fresh, n_rows, allowed, values, rows,
    )  # fmt: skip
    return done
