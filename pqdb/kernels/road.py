"""The whole search in one kernel: the stages of search/pipeline.py, one after the other.

Each stage called from Python costs two to four microseconds for its arguments, of a search that takes thirty.
"""

from typing import Any

import numpy as np

from pqdb.kernels._jit import kernel_inline_with_arrays, kernel_with_arrays
from pqdb.kernels._types import Address, Array, Real, Whole
from pqdb.kernels.cells import BELTS, CELLS, KINDS
from pqdb.kernels.choose import choose_queries
from pqdb.kernels.doubt import find_doubtful
from pqdb.kernels.exact import SCORED, finish
from pqdb.kernels.frame import (
    answers_of,
    banks_at,
    cells_at,
    f32_at,
    frame_at,
    i8_at,
    i8_matrix_at,
    i32_at,
    i32_matrix_at,
    i64_at,
    matrix_at,
    u8_at,
    u32_at,
    u32_matrix_at,
    u64_at,
)
from pqdb.kernels.fresh import rows_with_fresh
from pqdb.kernels.gather import write_answers
from pqdb.kernels.prepare import prepare_queries
from pqdb.kernels.rerank import rerank_candidates
from pqdb.kernels.room import room_at
from pqdb.kernels.route import BUCKETS, Centroids, Desk, Fine, rank_queries
from pqdb.kernels.scan import SPACE, least_scales, scan_lists
from pqdb.kernels.tables import tabulate, turn
from pqdb.kernels.together import scan_together


@kernel_inline_with_arrays
def prepare_framed(frame: Any, asked: Array, raw: bool, queries: Array, moved: Array) -> Whole:
    """Queries as exact values are made of them, and in the index's space; 0 if a raw one's length is not within the
    limits.
    """
    least, largest = (frame["least"], frame["largest"]) if raw else (np.float32(0), np.float32(np.inf))
    mean, scale = f32_at(frame["mean_at"], frame["dim"]), np.float32(1) / frame["unit"]
    return prepare_queries(asked, raw and frame["normalise"] != 0, least, largest, mean, scale, queries, moved)


@kernel_inline_with_arrays
def route_framed(
    frame: Any, room: Any, moved: Array, lists: Array, probed: Array, bases: Array, margins: Array, there: Array,
    cells: Array, cell_of: Array,
) -> None:  # fmt: skip
    """The stage route; outputs as route_queries has them, or choose_queries where lists are chosen."""
    dim, n_lists, n_knots = frame["dim"], frame["n_lists"], frame["n_knots"]
    center, banks = f32_at(frame["center_at"], dim), banks_at(frame["banks_at"], frame["n_banks"], frame["bank_steps"])
    scales, weights = f32_at(frame["scales_at"], n_lists), f32_at(frame["weights_at"], n_lists)
    leads, offsets = f32_at(frame["leads_at"], frame["n_leads"]), f32_at(frame["offsets_at"], n_lists)
    knots = f32_at(frame["knots_at"], n_knots)
    fine = i8_matrix_at(frame["fine_at"], frame["n_fine"], frame["dpad"])
    fine_scales = f32_at(frame["fine_scales_at"], frame["n_fine"])
    centroids, widths = matrix_at(frame["centroids_at"], frame["n_centroids"], dim), f32_at(frame["widths_at"], n_knots)
    if frame["aim"] > 0:
        choose_queries(
            moved, frame["l2"] != 0, center, banks, scales, weights, leads, offsets, fine, fine_scales, centroids,
            frame["margin"], frame["within"], knots, widths, u8_at(frame["kinds_at"], n_lists),
            f32_at(frame["lengths_at"], KINDS), shares_framed(frame), frame["low"], frame["step"], frame["shift"],
            i32_at(frame["passing_at"], n_lists), i32_at(frame["groups_at"], n_lists), frame["k"], frame["aim"],
            frame["mean_groups"], frame["limit"], lists, probed, there, np.empty(len(moved), np.int64), cells, cell_of,
            bases, margins,
        )  # fmt: skip
    else:
        rank_queries(
            moved, Centroids(frame["l2"] != 0, center, banks, scales, weights, leads, offsets),
            Fine(fine, fine_scales, centroids), frame["margin"], frame["within"], knots, widths, lists, probed, bases,
            margins, desk_framed(frame, room), i32_at(room["histogram_at"], BUCKETS),
            i32_at(room["picked_at"], 2 * n_lists + 1), f32_at(room["low_at"], 1),
        )  # fmt: skip


@kernel_inline_with_arrays
def desk_framed(frame: Any, room: Any) -> Any:
    """Room for the route of one query."""
    n_lists, products = frame["n_lists"], i32_at(room["products_at"], 64 * frame["n_banks"])
    moved, small = f32_at(room["centred_at"], frame["dim"]), i8_at(room["small_at"], frame["dpad"])
    keys, values = f32_at(room["keys_at"], n_lists), f32_at(room["centroid_values_at"], n_lists)
    return Desk(moved, small, products, values, keys)


@kernel_inline_with_arrays
def shares_framed(frame: Any) -> Any:
    """How rows scatter about their centroids, as choose_lists has it."""
    return matrix_at(frame["shares_at"], len(BELTS) + 1, frame["n_shares"])


@kernel_inline_with_arrays
def tabulate_framed(frame: Any, room: Any, moved: Array, table: Array, coefficients: Array) -> None:
    """The stage tables; outputs as build_tables has them."""
    dim, d_out, turned = frame["dim"], frame["d_out"], moved
    codewords = matrix_at(frame["codewords_at"], d_out, frame["ksub"])
    bounds = i32_at(frame["word_bounds_at"], frame["m"] + 1)
    if frame["axis_banks"] > 0:
        turned = matrix_at(room["rotated_at"], len(moved), d_out)
        axes = banks_at(frame["axes_at"], frame["axis_banks"], (dim + 3) // 4)
        small, products = i8_at(room["small_at"], 4 * axes.shape[1]), i32_at(room["products_at"], 64 * axes.shape[0])
        turn(moved, axes, f32_at(frame["axis_scales_at"], d_out), small, products, turned)
    raw, span = matrix_at(room["raw_at"], table.shape[1], table.shape[2]), f32_at(room["span_at"], 1)
    tabulate(turned, codewords, bounds, frame["beta"], frame["top"], raw, span, table, coefficients)


@kernel_inline_with_arrays
def scan_framed(
    frame: Any, room: Any, lists: Array, probed: Array, bases: Array, margins: Array, floors: Array, table: Array,
    coefficients: Array, allowed: Array, there: Array, cells: Array, cell_of: Array, values: Array, bounds: Array,
    rows: Array, places: Array, starts: Array, cuts: Array,
) -> Whole:  # fmt: skip
    """The stage scan; outputs as scan_lists has them. Queries look at each list together, where there is room."""
    m, n_lists, l2 = table.shape[1], frame["n_lists"], frame["l2"] != 0
    codes, counts = u64_at(frame["codes_at"], n_lists), u32_at(frame["counts_at"], n_lists)
    words = u32_at(frame["words_at"], frame["n_words"])
    firsts = i64_at(frame["firsts_at"], n_lists + 1 if frame["n_words"] else 0)
    if len(lists) > 1 and len(there) == 0:
        done = scan_together(
            frame["nbits"], m, frame["record_bytes"], l2, codes, counts, lists, probed, bases, margins, floors, table,
            coefficients, allowed, words, firsts, frame["depth"], values, bounds, rows, places, starts, cuts,
        )  # fmt: skip
        if done:
            return len(lists)
    n_passing, held_at_none = n_lists if len(there) else 0, f32_at(room["cuts_at"], 0)
    return scan_lists(
        frame["nbits"], m, frame["record_bytes"], l2, codes, counts, lists, probed, bases, margins, floors, table,
        coefficients, allowed, words, firsts, there, i32_at(frame["passing_at"], n_passing),
        i32_at(frame["groups_at"], n_passing), shares_framed(frame), cells, cell_of, frame["most_missed"],
        held_at_none, f32_at(room["heap_at"], frame["depth"]), u64_at(room["stretch_at"], SPACE), values,
        bounds, rows, places, starts, cuts,
    )  # fmt: skip


@kernel_with_arrays
def search_block(
    framed: Address,  # of a frame.FRAME
    roomed: Address,  # of a room.ROOM scratch, for as many queries and places as there are
    asked: Array,  # (q, d) float32
    raw: bool,  # not prepared yet
    allowed: Array,  # uint8 bitmap of rows that may be found; without bytes all may
    table: Array,  # (q, m, ksub) scratch
    words: Array,  # (q, k, 3) uint64 out: of frame.ANSWER
    doubtful: Array,  # (q,) uint8 out: whose answers are not to be trusted, as find_doubtful has it; or none
) -> tuple[Whole, Whole, Whole, Whole]:
    """The answer to each query, as far as the candidates' room goes.

    Returns how many queries were answered before it ran out (−1 if a query's length is not within the limits); how many
    places of the answers are filled, and the last words of their records or-ed together; how many are doubtful.
    """
    frame, room, answers, n = frame_at(framed), room_at(roomed), answers_of(words), asked.shape[0]
    dim, most, keep, k = frame["dim"], frame["most"], frame["keep"], answers.shape[1]
    queries, moved = matrix_at(room["queries_at"], n, dim), matrix_at(room["moved_at"], n, dim)
    if prepare_framed(frame, asked, raw, queries, moved) == 0:
        return -1, 0, np.uint64(0), 0
    lists, probed = i32_matrix_at(room["lists_at"], n, most), i32_at(room["probed_at"], n)
    bases, margins = matrix_at(room["bases_at"], n, most), matrix_at(room["margins_at"], n, most)
    chosen = n if frame["aim"] > 0 else 0  # queries whose lists are chosen for a filter
    there, cells = i32_at(room["there_at"], chosen), cells_at(room["cells_at"], chosen, CELLS)
    cell_of = i32_matrix_at(room["cell_of_at"], chosen, frame["n_lists"])
    route_framed(frame, room, moved, lists, probed, bases, margins, there, cells, cell_of)
    if probed.max() < 0:  # nothing is found
        for q in range(n):
            for i in range(k):
                answers[q, i]["value"], answers[q, i]["row"] = -np.inf, 0
        doubtful[:] = 0
        return n, 0, np.uint64(0), 0
    coefficients = matrix_at(room["coefficients_at"], n, 2)
    tabulate_framed(frame, room, moved, table, coefficients)
    starts, cuts, size = i64_at(room["starts_at"], n + 1), f32_at(room["cuts_at"], n), room["capacity"]
    scanned, bounds = f32_at(room["values_at"], size), f32_at(room["bounds_at"], size)
    scanned_rows, places = u32_at(room["rows_at"], size), i64_at(room["places_at"], size)
    floors = f32_at(room["floors_at"], n)
    least_scales(f32_at(frame["usual_at"], frame["n_usual"]), lists, probed, floors)
    done = scan_framed(
        frame, room, lists, probed, bases, margins, floors, table, coefficients, allowed, there, cells, cell_of,
        scanned, bounds, scanned_rows, places, starts, cuts,
    )  # fmt: skip
    n = done
    best, best_rows = matrix_at(room["best_at"], n, keep), u32_matrix_at(room["best_rows_at"], n, keep)
    found, firsts = i32_at(room["found_at"], n), i64_at(room["best_firsts_at"], n)
    rerank_candidates(
        moved[:n], frame["beta"], frame["dpad"], u64_at(frame["rerank_at"], frame["n_lists"]), lists, bases, scanned,
        bounds, scanned_rows, places, starts, cuts, frame["k"], best, best_rows, found,
        i32_at(room["reranked_at"], n), i8_at(room["small_at"], frame["dpad"]),
    )  # fmt: skip
    to_score = u32_at(room["best_rows_at"], n * keep)
    for q in range(n):
        firsts[q] = q * keep
    if frame["n_coded"] > 0:
        kth = f32_at(room["kth_at"], n)
        for q in range(n):
            kth[q] = best[q, frame["k"] - 1] if found[q] >= frame["k"] else -np.inf
        to_score = rows_with_fresh(
            frame["nbits"], table.shape[1], frame["record_bytes"], frame["l2"] != 0, frame["coded_at"],
            u32_at(frame["coded_rows_at"], frame["n_coded"]), i64_at(frame["coded_starts_at"], frame["n_lists"] + 1),
            frame["watermark"], lists, probed, bases, margins, floors, table, coefficients, kth, allowed, to_score,
            firsts, found,
        )  # fmt: skip
    values, rows = matrix_at(room["answer_values_at"], n, k), u32_matrix_at(room["answer_rows_at"], n, k)
    finish(
        frame["kind"], frame["by"], queries[:n], u64_at(frame["runs_at"], frame["n_runs"]), frame["rows_per_run"],
        frame["row_bytes"], to_score, f32_at(room["best_at"], n * keep), firsts, found, frame["rescore"] != 0,
        frame["unit"] * frame["unit"], frame["fresh"], frame["n_rows"], allowed,
        f32_at(room["scores_at"], SCORED), values, rows,
    )  # fmt: skip
    for q in range(n):
        if probed[q] < 0:
            values[q] = -np.inf
    n_doubtful: Whole = 0
    if len(doubtful):
        n_doubtful = find_doubtful(cuts[:n], margins, floors, values, frame["unit"] * frame["unit"], doubtful)
    pages = u64_at(frame["meta_at"], frame["n_pages"])
    filled, every = write_answers(
        pages, frame["rows_per_page"], frame["record_size"], frame["record_last"], values, rows, answers
    )
    return done, filled, every, n_doubtful


@kernel_with_arrays
def score_selected(
    kind: Whole,
    by: Whole,
    asked: Array,  # (1, d) float32, not prepared yet
    normalise: bool,
    least: Real,  # squared lengths outside least … largest are refused
    largest: Real,
    runs: Array,  # (n_runs,) uint64
    rows_per_run: Whole,
    row_bytes: Whole,
    selected: Array,  # (m,) uint32 rows
    pages: Array,  # (n_pages,) uint64 of row records
    rows_per_page: Whole,
    record_size: Whole,
    record_last: Whole,
    words: Array,  # (1, k, 3) uint64 out: of frame.ANSWER
) -> tuple[Whole, Whole, Whole]:
    """The answer to one query among some rows, each scored from its source: 1, or −1 if the query's length is not
    within the limits; how many places of the answer are filled, and the last words of their records or-ed together.
    """
    answers, dim, k = answers_of(words), asked.shape[1], words.shape[1]
    query, moved = np.empty((1, dim), np.float32), np.empty((1, dim), np.float32)
    if prepare_queries(asked, normalise, least, largest, np.zeros(dim, np.float32), 1.0, query, moved) == 0:
        return -1, 0, np.uint64(0)
    values, rows = np.empty((1, k), np.float32), np.empty((1, k), np.uint32)
    found = np.full(1, len(selected), np.int32)
    finish(
        kind, by, query, runs, rows_per_run, row_bytes, selected, values[0], np.zeros(1, np.int64), found, True,
        np.float32(1), 0, 0, np.zeros(0, np.uint8), np.empty(SCORED, np.float32), values, rows,
    )  # fmt: skip
    filled, every = write_answers(pages, rows_per_page, record_size, record_last, values, rows, answers)
    return 1, filled, every
