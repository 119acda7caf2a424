"""Many float32 rows against many others: a matrix product, or the nearest of each, by tiles of rows that meet panels of
others (Goto and van de Geijn 2008) with the products of a tile in registers.

A library's product is as fast on one core, but takes every other core from whoever searches meanwhile, and its threads
go on turning for a while when it is done.
"""

import numpy as np

from pqdb.kernels._cpu import SIMD
from pqdb.kernels._jit import kernel_inline, kernel_inline_with_arrays, kernel_with_arrays
from pqdb.kernels._types import Array, Real, Whole
from pqdb.kernels.panels_simd import TILE, WIDTH, best_of_panel, products_of_panel

BLOCK_FLOATS = 1 << 16  # rows met by one panel after the other: 256 kB


@kernel_inline
def panel_products_plain(row: Array, panel: Array, products: Array) -> None:
    """Inner products (WIDTH,) of a row (d,) with those of a panel (d, WIDTH)."""
    products[:] = 0
    for i in range(row.shape[0]):
        x, columns = row[i], panel[i]
        for lane in range(WIDTH):
            products[lane] += x * columns[lane]


@kernel_inline_with_arrays
def best_of_panel_plain(
    rows: Array, panel: Array, half_norms: Array, number: Whole, best: Array, panels: Array
) -> None:  # fmt: skip
    """As panels_simd.best_of_panel; rows (r, d), panel (d, WIDTH), best and panels (r, WIDTH)."""
    products = np.empty(WIDTH, np.float32)
    for r in range(rows.shape[0]):
        panel_products_plain(rows[r], panel, products)
        for lane in range(WIDTH):
            score = products[lane] - half_norms[lane]
            if score > best[r, lane]:
                best[r, lane], panels[r, lane] = score, number


@kernel_inline
def best_lane(best: Array, panels: Array) -> tuple[np.float32, Whole]:
    """Of lanes (WIDTH,) the largest value, and which row of all panels it belongs to; the first of equals."""
    value, row = best[0], panels[0] * WIDTH
    for lane in range(1, WIDTH):
        other = panels[lane] * WIDTH + lane
        if best[lane] > value or (best[lane] == value and other < row):
            value, row = best[lane], other
    return value, row


@kernel_inline
def offer(
    value: Real, name: Whole, i: Whole, best: Array, labels: Array, next_best: Array, next_labels: Array
) -> None:
    """Row i takes a name that offers more than its best, or than what comes next to it; the first of equals stays."""
    if value > best[i]:
        if len(next_best):
            next_best[i], next_labels[i] = best[i], labels[i]
        best[i], labels[i] = value, name
    elif len(next_best) and value > next_best[i]:
        next_best[i], next_labels[i] = value, name


@kernel_inline_with_arrays
def whole_tiles(rows: Array, tail: Array) -> Whole:
    """How many of the rows (n, d) fill tiles; the others go to the tail (TILE, d)."""
    whole = rows.shape[0] - rows.shape[0] % TILE
    for i in range(whole, rows.shape[0]):
        tail[i - whole] = rows[i]
    return whole


@kernel_with_arrays
def nearest_of_panels(
    rows: Array,  # (n, d) float32, C order
    panels: Array,  # (p, d, WIDTH) float32 centroids, one a column; the last panel filled up
    half_norms: Array,  # (p, WIDTH) float32 ‖c‖²/2, inf where there is none
    names: Array,  # (k,) int32 what each centroid is called in labels
    best: Array,  # (n,) float32 in and out: the largest ⟨x, c⟩ − ‖c‖²/2 so far
    labels: Array,  # (n,) int32 in and out: the name it belongs to
    next_best: Array,  # (n,) float32 and
    next_labels: Array,  # (n,) int32 the same of the next to it; or none, where nobody asks
) -> None:
    """Move every row to the name whose centroid offers more than its best; the first of equals stays.

    The largest ⟨x, c⟩ − ‖c‖²/2 is the least ‖x − c‖². Next to it comes the best of the other lanes of a call's panels,
    which costs nothing: the second best, but where both are in one lane, for one row in WIDTH.
    """
    n, dim = rows.shape
    panel_bytes = 4 * dim * WIDTH
    block = max(TILE, BLOCK_FLOATS // dim // TILE * TILE)
    lane_best, lane_panels = np.empty((block, WIDTH), np.float32), np.empty((block, WIDTH), np.int32)
    best_at, from_at = np.uint64(lane_best.ctypes.data), np.uint64(lane_panels.ctypes.data)
    panels_at, norms_at = np.uint64(panels.ctypes.data), np.uint64(half_norms.ctypes.data)
    tail = np.zeros((TILE, dim), np.float32)
    for start in range(0, n, block):
        mine = rows[start : start + block]
        lane_best[:], lane_panels[:] = -np.inf, 0
        whole, rows_at = whole_tiles(mine, tail), np.uint64(mine.ctypes.data)
        for p in range(panels.shape[0]):
            if SIMD:
                panel, norms = panels_at + np.uint64(p * panel_bytes), norms_at + np.uint64(4 * p * WIDTH)
                for tile in range(0, mine.shape[0], TILE):
                    at = rows_at + np.uint64(4 * tile * dim) if tile < whole else np.uint64(tail.ctypes.data)
                    lanes = np.uint64(4 * tile * WIDTH)
                    best_of_panel(at, dim, panel, norms, np.int32(p), best_at + lanes, from_at + lanes)
            else:
                best_of_panel_plain(mine, panels[p], half_norms[p], p, lane_best, lane_panels)
        for i in range(mine.shape[0]):
            value, row = best_lane(lane_best[i], lane_panels[i])
            offer(value, names[row], start + i, best, labels, next_best, next_labels)
            if len(next_best):
                lane_best[i, row % WIDTH] = -np.inf
                value, row = best_lane(lane_best[i], lane_panels[i])
                offer(value, names[row], start + i, best, labels, next_best, next_labels)


@kernel_with_arrays
def products_of_panels(
    rows: Array,  # (n, d) float32, C order
    panels: Array,  # (p, d, WIDTH) float32 others, one a column; the last panel filled up
    out: Array,  # (n, p·WIDTH) float32, C order
) -> None:
    """Inner products of each row with each of the others, and with what fills the last panel."""
    n, dim = rows.shape
    panel_bytes, stride = 4 * dim * WIDTH, 4 * out.shape[1]
    block = max(TILE, BLOCK_FLOATS // dim // TILE * TILE)
    tail, tail_out = np.zeros((TILE, dim), np.float32), np.empty((TILE, WIDTH), np.float32)
    for start in range(0, n, block):
        mine, out_here = rows[start : start + block], out[start : start + block]
        whole, rows_at, out_at = whole_tiles(mine, tail), np.uint64(mine.ctypes.data), np.uint64(out_here.ctypes.data)
        for p in range(panels.shape[0]):
            columns = slice(p * WIDTH, (p + 1) * WIDTH)
            if not SIMD:
                for i in range(mine.shape[0]):
                    panel_products_plain(mine[i], panels[p], out_here[i, columns])
                continue
            panel = np.uint64(panels.ctypes.data) + np.uint64(p * panel_bytes)
            for tile in range(0, whole, TILE):
                at = out_at + np.uint64(tile * stride + 4 * p * WIDTH)
                products_of_panel(rows_at + np.uint64(4 * tile * dim), dim, panel, at, np.uint64(stride))
            if whole < mine.shape[0]:
                out_tail = np.uint64(tail_out.ctypes.data)
                products_of_panel(np.uint64(tail.ctypes.data), dim, panel, out_tail, np.uint64(4 * WIDTH))
                for i in range(whole, mine.shape[0]):
                    out_here[i, columns] = tail_out[i - whole]
