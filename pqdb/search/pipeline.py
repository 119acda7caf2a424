"""The search, on one page.

    queries ─route→ lists ─tables→ ─scan→ candidates ─rerank→ best ─finish→ values, rows

    route    each query against every centroid: the lists most likely to hold its neighbours, as many as the query's own
             difficulty asks for
    tables   each query against every codeword, once for all lists: an estimate is then a sum of table entries
    scan     every code of those lists; who could still be among the best goes on
    rerank   the survivors' int8 residuals, the likeliest first, until no other can win
    finish   the exact values of the last few, and of fresh rows that are in no list yet
    again    all of it, by the value that the k-th reached, where a filter's answer turns out to be doubtful

A value is larger the nearer: the inner product, or the distance (l2: its square) negated. All arrays below belong to
one block of q queries (one query is a block of one); kernels release the GIL, so blocks run side by side on threads.
"""

import numpy as np

from pqdb.kernels import exact, rerank, route, scan, tables
from pqdb.kernels.cells import CELLS
from pqdb.kernels.choose import choose_queries
from pqdb.kernels.doubt import find_doubtful
from pqdb.kernels.fresh import rows_with_fresh
from pqdb.kernels.scan_values import round_queries, scan_values
from pqdb.kernels.vectors import FLOAT16, INT8
from pqdb.quantization.pack import padded_dim, value_row_bytes
from pqdb.quantization.values import ValueCode
from pqdb.search.found import joined
from pqdb.search.frame import Among, most_missed
from pqdb.search.index import Index
from pqdb.search.once import search_at_once
from pqdb.search.passed import Best, Candidates, Routed
from pqdb.search.plan import Plan
from pqdb.search.scratch import borrow, give_back
from pqdb.search.snapshot import Snapshot
from pqdb.search.trace import Trace, mark

FEW = 4  # queries that are looked at again together: candidates of more would hardly have room
CLOSER = 1000  # more of the reranked are scored exactly where answers are doubtful: int8 has its luck too

_NO_WORDS, _NO_FIRSTS, _NO_ROWS = np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int32)
_NO_VALUES = np.zeros(0, np.float32)

Answers = tuple[np.ndarray, np.ndarray, np.ndarray]  # values and rows (q, k), places of those that are doubtful


def search(
    snapshot: Snapshot,
    queries: np.ndarray,
    plan: Plan | None,
    allowed: np.ndarray,
    k: int,
    trace: Trace | None = None,
    among: Among | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of each query: values (q, k) float32, −inf where there are fewer, and rows (q, k) uint32.

    queries (q, d) float32 as metric.prepare leaves them; `allowed` a bitmap of the rows that may be found, without
    bytes where all may; `among` where these lie, if a filter chose them, and how they are looked for: a query for which
    that takes too much finds nothing.
    Without an index, or without a plan, every row is compared exactly.
    """
    index = snapshot.index
    if index is None or plan is None:
        return finish_exactly(snapshot, queries, allowed, k)
    if trace is None and snapshot.config.rerank == "int8":
        values, rows, doubtful = search_at_once(snapshot, index, queries, plan, allowed, k, among)
    else:
        values, rows, doubtful = search_in_stages(snapshot, index, queries, plan, allowed, k, trace, among)
    if among is not None and len(doubtful):
        kth, some = values[doubtful, -1], queries[doubtful]
        values[doubtful], rows[doubtful] = search_again(snapshot, some, plan, allowed, kth, k, among, trace)
    return values, rows


def search_again(
    snapshot: Snapshot, queries: np.ndarray, plan: Plan, allowed: np.ndarray, kth: np.ndarray, k: int, among: Among,
    trace: Trace | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """As `search`, for queries whose answers are doubtful: the value (q,) that the k-th of each reached is its cut."""
    index = snapshot.index
    assert index is not None
    closer = plan.closer(CLOSER if snapshot.config.rerank else snapshot.n_rows)
    reached, blocks = kth / np.float32(index.router.unit) ** 2, range(0, len(queries), FEW)
    return joined([
        search_in_stages(
            snapshot, index, queries[i : i + FEW], closer, allowed, k, trace, among, reached[i : i + FEW]
        )[:2]
        for i in blocks
    ])  # fmt: skip


def search_in_stages(
    snapshot: Snapshot, index: Index, queries: np.ndarray, plan: Plan, allowed: np.ndarray, k: int,
    trace: Trace | None, among: Among | None, reached: np.ndarray = _NO_VALUES,
) -> Answers:  # fmt: skip
    """Values and rows (q, k), and the places of the queries whose answers are doubtful. reached: (q,) values that k
    rows of each are known to reach, as the scan has them; or none.
    """
    moved = index.router.to_index_space(queries)
    routed = route_queries(index, moved, plan, among)
    mark(trace, "route")
    table, coefficients = build_tables(index, moved)
    mark(trace, "tables")
    candidates = scan_lists(snapshot, index, routed, table, coefficients, plan, allowed, among, reached)
    mark(trace, "scan")
    done = len(candidates.cuts)
    best, reranked = rerank_candidates(snapshot, index, moved[:done], routed, candidates, plan)
    mark(trace, "rerank")
    best = with_fresh(snapshot, index, routed, table, coefficients, candidates, best, plan, allowed)
    mark(trace, "fresh")
    values, rows = finish(snapshot, index, queries[:done], best, allowed, k)
    give_back(candidates.scratch)
    doubtful = _NO_ROWS if among is None else doubtful_of(index, routed, candidates, values)
    values[routed.probed[:done] < 0] = -np.inf
    mark(trace, "finish")
    if trace:
        trace.scanned(snapshot, index, moved, routed, candidates, reranked, plan, among)
    if done == len(queries):
        return values, rows, doubtful
    others = queries[done:]  # for whose candidates there was no room
    *found, more = search_in_stages(snapshot, index, others, plan, allowed, k, None, among, reached[done:])
    return *joined([(values, rows), found]), np.concatenate([doubtful, done + more])


def doubtful_of(index: Index, routed: Routed, candidates: Candidates, values: np.ndarray) -> np.ndarray:
    """The places of the queries whose answers are doubtful."""
    unit, doubtful = np.float32(index.router.unit) ** 2, np.empty(len(values), np.uint8)
    find_doubtful(candidates.cuts, routed.margins, routed.floors, values, unit, doubtful)
    return np.flatnonzero(doubtful)


def route_queries(index: Index, moved: np.ndarray, plan: Plan, among: Among | None = None) -> Routed:
    """Which lists, in which order, how many; −1 where it would take too many."""
    router, q, p = index.router, len(moved), plan.most
    chosen = q if among is not None and among.aim else 0
    routed = Routed(
        np.empty((q, p), np.int32),
        np.empty(q, np.int32),
        np.empty((q, p), np.float32),
        np.empty((q, p), np.float32),
        np.empty(q, np.float32),
        np.zeros(q, np.int64),
        np.zeros(chosen, np.int32),
        np.empty((chosen, CELLS, 4), np.float32),
        np.empty((chosen, router.n_lists), np.int32),
    )
    known = (
        moved, router.l2, router.center, router.banks, router.scales, router.weights, router.leads, router.offsets,
        router.fine, router.fine_scales, index.centroids, plan.margin, plan.within, plan.knots, plan.widths,
    )  # fmt: skip
    if among is None or not among.aim:
        route.route_queries(*known, routed.lists, routed.probed, routed.bases, routed.margins)
    else:
        scatter, passing = index.calibration.scatter, among.passing
        choose_queries(
            *known, passing.listed.kinds, passing.listed.kind_lengths, scatter.shares, scatter.low, scatter.step,
            scatter.shift, passing.rows, passing.groups, plan.k, among.aim, passing.listed.mean_groups, among.limit,
            routed.lists, routed.probed, routed.there, routed.wanted, routed.cells, routed.cell_of, routed.bases,
            routed.margins,
        )  # fmt: skip
    scan.least_scales(index.usual_scales, routed.lists, routed.probed, routed.floors)
    return routed


def build_tables(index: Index, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance tables (q, m, ksub) of small integers, and (q, 2) float32 that turn a sum of entries into ⟨q, r⟩.

    For codes that are scanned value by value: see rounded_queries.
    """
    if isinstance(index.codebook, ValueCode):
        return rounded_queries(index.codebook, index.beta, moved)
    codebook = index.book
    rotated = moved
    if codebook.rotation is not None:
        rotated = np.empty((len(moved), codebook.d_out), np.float32)
        tables.rotate(moved, *index.axes, rotated)
    table: np.ndarray = np.empty((len(moved), codebook.m, codebook.ksub), index.table_type)
    coefficients = np.empty((len(moved), 2), np.float32)
    tables.build_tables(rotated, index.codewords, index.bounds, index.beta, index.top, table, coefficients)
    return table, coefficients


def rounded_queries(code: ValueCode, beta: float, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Queries as rows of values are multiplied with: int8, padded (q, dpad), or float32 (q, d); and (q,) float32 that
    turn a product into ⟨q, r⟩, but for the row's scale.
    """
    factors = np.full(len(moved), beta, np.float32)
    if code.form == "float16":
        return moved, factors
    small = np.empty((len(moved), padded_dim(code.dim)), np.int8)
    round_queries(moved, factors, small)
    return small, factors


def scan_lists(
    snapshot: Snapshot, index: Index, routed: Routed, table: np.ndarray, coefficients: np.ndarray, plan: Plan,
    allowed: np.ndarray, among: Among | None = None, reached: np.ndarray = _NO_VALUES,
) -> Candidates:  # fmt: skip
    """Every code of the probed lists, query after query until the candidates' room is full; by cuts that were
    `reached`, where that is known.
    """
    blocks, code = snapshot.blocks, index.codebook
    scratch = borrow(int(blocks.watermark) + 65_536)
    candidates = Candidates(scratch, np.empty(len(table) + 1, np.int64), np.empty(len(table), np.float32))
    where = blocks.codes, blocks.counts, routed.lists, routed.probed, routed.bases, routed.margins, routed.floors
    out = scratch.values, scratch.bounds, scratch.rows, scratch.places, candidates.starts, candidates.cuts
    heap = np.empty(plan.depth, np.float32)
    words, firsts, passing, groups, missed = _NO_WORDS, _NO_FIRSTS, _NO_ROWS, _NO_ROWS, 0.0
    if among is not None:
        lies = among.passing
        words, firsts, passing, groups = lies.words, lies.listed.firsts, lies.rows, lies.groups
        missed = most_missed(plan.k, among)
    shares = index.calibration.scatter.shares
    more = routed.there, passing, groups, shares, routed.cells, routed.cell_of, missed
    if isinstance(code, ValueCode):
        kind, size = (INT8, table.shape[1]) if code.form == "int8" else (FLOAT16, code.dim)
        done = scan_values(
            kind, size, code.code_bytes, *where, table, coefficients, allowed, *more, reached, heap, *out
        )
        return candidates.first(done)
    done = scan.scan_lists(
        code.nbits, code.m, index.record_bytes, index.router.l2, *where, table, coefficients, allowed, words, firsts,
        *more, reached, heap, np.empty(scan.SPACE, np.uint64), *out,
    )  # fmt: skip
    return candidates.first(done)


def rerank_candidates(
    snapshot: Snapshot, index: Index, moved: np.ndarray, routed: Routed, candidates: Candidates, plan: Plan
) -> tuple[Best, np.ndarray]:
    """The candidates worth an exact look, by their residuals where the collection keeps a tier of them."""
    held, starts, q = candidates.scratch, candidates.starts, len(moved)
    there, tier = np.diff(starts).astype(np.int32), snapshot.config.reranked_values
    if snapshot.config.rerank == "source":
        return Best(held.rows, held.values, starts[:-1], there, in_order=False), there
    # Without a tier of its own, a rerank asked for by hand is one from the source.
    keep = plan.keep if snapshot.config.rerank else max(plan.keep, plan.depth)
    if tier is None and keep >= there.max(initial=0):
        return Best(held.rows, held.values, starts[:-1], there, in_order=False), np.zeros(q, np.int32)
    best = np.empty((q, keep), np.float32)
    rows = np.empty((q, keep), np.uint32)
    found, reranked = np.empty(q, np.int32), np.zeros(q, np.int32)
    if tier is not None:
        by = rerank.rerank_candidates if tier == "int8" else rerank.rerank_by_halves
        by(
            moved, index.beta, index.router.dpad if tier == "int8" else value_row_bytes(index.codebook.dim, tier),
            snapshot.blocks.rerank, routed.lists, routed.bases, held.values, held.bounds, held.rows, held.places,
            starts, candidates.cuts, plan.k, best, rows, found, reranked,
            np.empty(index.router.dpad, np.int8),
        )  # fmt: skip
    else:
        rerank.keep_estimates(held.values, held.rows, starts, best, rows, found)
    return Best(rows.reshape(-1), best.reshape(-1), np.arange(q) * keep, found), reranked


def with_fresh(
    snapshot: Snapshot, index: Index, routed: Routed, table: np.ndarray, coefficients: np.ndarray,
    candidates: Candidates, best: Best, plan: Plan, allowed: np.ndarray,
) -> Best:  # fmt: skip
    """The best rows, and fresh rows on their way to these lists that by their codes could still be among the k nearest.
    """
    coded = snapshot.coded
    if coded is None:
        return best
    cuts, firsts, found = candidates.cuts, best.firsts.copy(), best.found.copy()
    if best.in_order:
        last = np.minimum(firsts + plan.k - 1, len(best.values) - 1)
        cuts = np.where(found >= plan.k, best.values[last], np.float32(-np.inf))
    rows = rows_with_fresh(
        index.book.nbits, index.book.m, index.record_bytes, index.router.l2, np.uint64(coded.records.ctypes.data),
        coded.rows, coded.starts, snapshot.fresh_from, routed.lists, routed.probed, routed.bases, routed.margins,
        routed.floors, table, coefficients, cuts, allowed, best.rows, firsts, found,
    )  # fmt: skip
    return Best(rows, np.zeros(len(rows), np.float32), firsts, found)


def finish(
    snapshot: Snapshot, index: Index | None, queries: np.ndarray, best: Best, allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Exact values of the best rows and of all fresh rows; the k nearest of each query, in order."""
    points = snapshot.points
    values, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.uint32)
    unit = index.router.unit if index is not None else 1.0
    exact.finish(
        snapshot.source_kind, snapshot.by, queries, points.runs, snapshot.rows_per_run, snapshot.row_bytes,
        best.rows, best.values, best.firsts, best.found, snapshot.config.source is not None, unit * unit,
        snapshot.compared_from if index is not None else 0, snapshot.n_rows, allowed,
        np.empty(exact.SCORED, np.float32), values, rows,
    )  # fmt: skip
    return values, rows


def finish_exactly(
    snapshot: Snapshot, queries: np.ndarray, allowed: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every row compared with every query."""
    nothing = np.zeros(len(queries), np.int32)
    best = Best(np.empty(0, np.uint32), np.empty(0, np.float32), nothing.astype(np.int64), nothing)
    return finish(snapshot, None, queries, best, allowed, k)
