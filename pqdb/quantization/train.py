"""Training a codebook: k-means in every subspace, and the choice between plain and rotated subspaces."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pqdb.config import Objective
from pqdb.errors import DimensionError, InputError
from pqdb.kernels.kmeans import spread_words, train_words
from pqdb.metric import Metric
from pqdb.panels import inner_products
from pqdb.quantization.allocation import energy_bounds, equal_bounds
from pqdb.quantization.codebook import NBITS, Codebook
from pqdb.quantization.encode import normalise
from pqdb.quantization.heldout import HeldOut
from pqdb.quantization.rotation import principal_axes
from pqdb.quantization.score_aware import train_score_aware
from pqdb.threads import share_out, share_rows

POINTS_PER_WORD = {4: 1024, 8: 128}  # by nbits; more was measured to find no more neighbours
ROUNDS = {4: 8, 8: 12}  # by nbits; of 4, twelve find no more neighbours
# Share of neighbours a rotation must add: it costs every query 6 µs at 384-d, six reranked rows cost one.
ROTATION_GAIN = 0.03
HELD_OUT_ROWS = 256
FEWEST_CHECKED = 200  # rows below which a held-out check is noise
_ROWS_AT_ONCE = 2_048  # made of unit length by a thread
CHECKED_FLOATS, CHECKED_ROWS = 4 << 20, 1 << 15  # at most, of what the held-out check ranks: 16 MB

Layout = Literal["auto", "plain", "rotated"]
Progress = Callable[[float], None]


def rows_needed(dim: int, nbits: int) -> int:
    """Rows that training a codebook makes use of."""
    return HELD_OUT_ROWS + max(POINTS_PER_WORD[nbits] << nbits, _rows_checked(dim) if nbits == 4 else 0)


def _rows_checked(dim: int) -> int:
    return min(max(CHECKED_FLOATS // dim, FEWEST_CHECKED), CHECKED_ROWS)


def train_codebook(
    residuals: NDArray[np.float32],
    m: int,
    nbits: int = 4,
    *,
    vectors: NDArray[np.float32] | None = None,
    metric: Metric = "l2",
    layout: Layout = "auto",
    rotation_gain: float = ROTATION_GAIN,
    objective: Objective = "error",
    seed: int = 0,
    progress: Progress | None = None,
) -> Codebook:
    """A codebook of m sub-quantizers learned from residuals (n, dim), in any order.

    `layout` "plain" gives each sub-quantizer an equal share of the dimensions, "rotated" (4-bit only)
    shares of the residuals' principal axes by energy. "auto" trains both where it can and keeps the rotated
    one if it finds rotation_gain more of the neighbours of held-out rows. They are ranked as a search with
    this metric would rank vectors (n, dim), the rows the residuals belong to, or the residuals themselves
    where no vectors are given. objective "score" then fits it to scores (score_aware.py) by the same held-out rows;
    with fewer than FEWEST_CHECKED rows it stays as it is. The same arguments give the same codebook to the bit on one
    machine. progress is told the share done, and what it raises ends the training. Raises InputError,
    DimensionError.
    """
    _check(residuals, vectors, m, nbits, layout)
    report = progress or _silent
    order = np.random.default_rng(seed).permutation(len(residuals))
    enough = nbits == 4 and len(order) >= FEWEST_CHECKED
    choosing, fitting = enough and layout == "auto", enough and objective == "score"
    held, learn = np.split(order, [min(HELD_OUT_ROWS, len(order) // 10) if choosing or fitting else 0])
    sample = learn[: POINTS_PER_WORD[nbits] << nbits]
    units = _units(residuals, sample)
    report(0.0)  # who waits for this to end need not wait for the check
    if not choosing and not fitting:
        return _train_laid_out(units, m, nbits, layout, seed, report)
    rows = residuals if vectors is None else vectors
    searched = learn[: _rows_checked(residuals.shape[1])]
    check = HeldOut.build(rows[held], rows[searched], residuals[searched], metric)
    if choosing:
        plain = _train_plain(units, m, nbits, seed, lambda done: report(0.4 * done))
        rotated = _train_rotated(units, m, seed, lambda done: report(0.4 + 0.4 * done))
        codebook = rotated if check.share_found(rotated) - check.share_found(plain) >= rotation_gain else plain
    else:
        codebook = _train_laid_out(units, m, nbits, layout, seed, lambda done: report(0.8 * done))
    if fitting:
        along = residuals if metric == "l2" else rows
        codebook = train_score_aware(
            codebook, residuals[sample], along[sample], check, lambda done: report(0.8 + 0.2 * done)
        )
    report(1.0)
    return codebook


def _units(residuals: NDArray[np.float32], sample: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some of the residuals (n, dim), at unit length."""
    units = np.empty((len(sample), residuals.shape[1]), np.float32)

    def fill(part: slice) -> None:
        units[part] = normalise(residuals[sample[part]])[0]

    share_rows(fill, len(sample), _ROWS_AT_ONCE)
    return units


def _columns(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """units (n, d) as columns (d, n)."""
    columns = np.empty(units.shape[::-1], np.float32)

    def fill(part: slice) -> None:
        columns[:, part] = units[part].T

    share_rows(fill, len(units), _ROWS_AT_ONCE)
    return columns


def _train_laid_out(
    units: NDArray[np.float32], m: int, nbits: int, layout: Layout, seed: int, progress: Progress
) -> Codebook:
    if layout == "rotated":
        return _train_rotated(units, m, seed, progress)
    return _train_plain(units, m, nbits, seed, progress)


def _train_plain(units: NDArray[np.float32], m: int, nbits: int, seed: int, progress: Progress) -> Codebook:
    dim = units.shape[1]
    bounds = equal_bounds(dim, m)
    return Codebook(dim, nbits, bounds, _train_subspaces(units, bounds, nbits, seed, progress))


def _train_rotated(units: NDArray[np.float32], m: int, seed: int, progress: Progress) -> Codebook:
    axes, energies = principal_axes(units)
    bounds = energy_bounds(energies, m)
    rotation = axes[: bounds[-1]]
    words = _train_subspaces(inner_products(units, rotation), bounds, 4, seed, progress)
    return Codebook(units.shape[1], 4, bounds, words, rotation)


def _train_subspaces(
    units: NDArray[np.float32], bounds: NDArray[np.int32], nbits: int, seed: int, progress: Progress
) -> NDArray[np.float32]:
    """Codewords (d_out, 2**nbits) of all subspaces of units (n, d_out).

    Each subspace is trained by itself, so the words do not depend on which thread did which. Random starts find as many
    neighbours on most data, but miss what is rare: with one dimension in a hundred set, no word of most subspaces.
    """
    points = _columns(units)
    words = np.empty((int(bounds[-1]), 1 << nbits), np.float32)
    owned = [j for j in range(len(bounds) - 1) if bounds[j] < bounds[j + 1]]
    work = partial(_train_subspace, points, bounds, words, ROUNDS[nbits], seed)
    for done, _ in enumerate(share_out(work, owned), start=1):
        progress(done / len(owned))
    return words


def _train_subspace(
    points: NDArray[np.float32],  # (d_out, n)
    bounds: NDArray[np.int32],
    words: NDArray[np.float32],  # (d_out, ksub) out: the rows of subspace j
    rounds: int,
    seed: int,
    j: int,
) -> None:
    own = slice(bounds[j], bounds[j + 1])
    draws = np.random.default_rng([seed, j]).random((words.shape[1],))
    spread_words(points[own], draws, words[own])
    train_words(points[own], words[own], rounds)


def _check(
    residuals: NDArray[np.float32], vectors: NDArray[np.float32] | None, m: int, nbits: int, layout: Layout
) -> None:
    if residuals.ndim != 2 or len(residuals) == 0:
        raise InputError(f"expected residuals of shape (n, dim) with n ≥ 1, not {residuals.shape}")
    if vectors is not None and vectors.shape != residuals.shape:
        raise DimensionError(f"expected vectors of shape {residuals.shape}, not {vectors.shape}")
    if not 1 <= m <= residuals.shape[1]:
        raise InputError(f"expected 1 to {residuals.shape[1]} sub-quantizers, not {m}")
    if nbits not in NBITS:
        raise InputError(f"expected codes of 4 or 8 bits, not {nbits}")
    if layout == "rotated" and nbits != 4:
        raise InputError(f"a rotated layout is laid out for codes of 4 bits, not {nbits}")


def _silent(done: float) -> None:
    """Progress that nobody asked for."""
