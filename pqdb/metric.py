"""What near means: cosine, dot, l2, l1. Inside the engine a value is larger the nearer; here it becomes a score."""

from typing import Literal, get_args

import numpy as np

from pqdb.errors import DimensionError, InputError

Metric = Literal["cosine", "dot", "l2", "l1"]
METRICS: tuple[Metric, ...] = get_args(Metric)
DISTANCES: tuple[Metric, ...] = ("l2", "l1")  # of smaller scores the nearer; the others are similarities
WITH_CODES: tuple[Metric, ...] = ("cosine", "dot", "l2")  # which codes estimate; the others are compared exactly
LARGEST = float(np.finfo(np.float32).max)
LARGEST_SQUARE: dict[Metric, float] = {
    "cosine": LARGEST,  # past it a vector is scaled down first
    "dot": LARGEST,
    "l2": LARGEST / 4,  # so that the squared distance of any two vectors is a number
    "l1": LARGEST,  # their l1 distance is one long before
}
LEAST_SQUARE = 1e-24  # below it the digits of a float32 sum of squares are lost, and a length with them


def check_metric(metric: str) -> Metric:
    """The metric of this name; raises InputError naming the known ones."""
    for known in METRICS:
        if metric == known:
            return known
    raise InputError(f"metric {metric!r} is not one of {', '.join(METRICS)}")


def limits(metric: Metric) -> tuple[bool, float, float]:
    """Whether vectors are divided by their lengths, and the squared lengths from which to which a kernel may do it."""
    cosine = metric == "cosine"
    return cosine, LEAST_SQUARE if cosine else 0.0, LARGEST_SQUARE[metric]


def prepare(vectors: object, dim: int, metric: Metric, first: int = 0) -> np.ndarray:
    """Check vectors and bring them into the form that is stored and compared: (n, dim) float32, C-contiguous. `first`
    is the number of the first of them, for sentences.

    Cosine vectors are divided by their length; a zero vector stays zero and scores 0 against everything.
    Raises DimensionError for another shape, InputError for what is not numbers, and for NaN and infinity.
    """
    array = as_vectors(vectors, dim)
    squares = np.einsum("nd,nd->n", array, array)
    if not squares.max(initial=0) <= LARGEST_SQUARE[metric] and (metric != "cosine" or not np.isfinite(array).all()):
        _refuse(array, squares, metric, first)
    return array if metric != "cosine" else _unit_length(array, squares)


def as_vectors(vectors: object, dim: int) -> np.ndarray:
    """One vector or several as (n, dim) float32, C-contiguous, whatever numbers they hold. Raises DimensionError for
    another shape, InputError for what is not numbers.
    """
    array = as_float32(vectors)
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2:
        raise DimensionError(f"expected vectors as (n, {dim}), not an array of {array.ndim} dimensions")
    if array.shape[1] != dim:
        raise DimensionError(f"expected {dim} dimensions, not {array.shape[1]}")
    return array


def _unit_length(array: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Finite vectors (n, d) divided by their lengths; `squares` (n,): those lengths squared, as float32 has them."""
    if not (squares.min(initial=1) >= LEAST_SQUARE and squares.max(initial=1) <= LARGEST):
        odd = ~((squares >= LEAST_SQUARE) & (squares <= LARGEST))
        largest = np.abs(array[odd]).max(axis=1, keepdims=True)
        array = array.copy()
        array[odd] /= np.where(largest > 0, largest, np.float32(1))
        squares = np.einsum("nd,nd->n", array, array)
    lengths = np.sqrt(squares)
    lengths[lengths == 0] = 1
    return np.ascontiguousarray(array / lengths[:, None])


def as_float32(vectors: object) -> np.ndarray:
    """Any array-like of numbers as C-contiguous float32. Raises InputError for ragged rows and for what is not
    numbers.
    """
    if isinstance(vectors, np.ndarray) and vectors.dtype == np.float32 and vectors.flags.c_contiguous:
        return vectors
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(vectors)
            if array.dtype.kind not in "fiu":
                column = array.dtype == object and array.ndim == 1
                hint = "; np.stack makes rows of a column of arrays" if column else ""
                raise ValueError(f"an array of {array.dtype} is not numbers{hint}")
            return np.ascontiguousarray(array, dtype=np.float32)
    except (ValueError, TypeError) as problem:
        raise InputError(f"vectors must be numbers in rows of equal length: {problem}") from None


def _refuse(array: np.ndarray, squares: np.ndarray, metric: Metric, first: int) -> None:
    row = int(np.flatnonzero(~(squares <= LARGEST_SQUARE[metric]))[0])
    bad = np.flatnonzero(~np.isfinite(array[row]))
    if bad.size:
        raise InputError(
            f"vector {first + row} holds {array[row, bad[0]]} at dimension {bad[0]}; vectors are finite numbers "
            "that fit float32"
        )
    raise InputError(
        f"vector {first + row} is too long: its squared length is over {LARGEST_SQUARE[metric]:.2g}, past which "
        f"{metric} values do not fit float32"
    )


def scores(values: np.ndarray, metric: Metric) -> np.ndarray:
    """Engine values (larger is nearer) as the user's scores: similarities as they are, l2 and l1 as distances (smaller
    is nearer).
    """
    if metric not in DISTANCES:
        return values
    distances: np.ndarray = np.maximum(-values, 0, dtype=np.float32)
    return np.sqrt(distances) if metric == "l2" else distances
