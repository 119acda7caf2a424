"""Rows into list blocks: residuals, codes, factors, packed list by list."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import Values
from pqdb.partition.router import Router
from pqdb.quantization.encode import centroid_products, encode
from pqdb.quantization.pack import (
    as_halves,
    pack_list,
    pack_rerank,
    pack_values,
    residuals_of,
    rows_of_list,
    rows_of_values,
    unpack_list,
    value_rows,
    values_of,
)
from pqdb.quantization.values import Code, ValueCode


@dataclass(frozen=True)
class ListRows:
    """Rows of lists, coded but not yet packed. Arrays share their first axis."""

    codes: np.ndarray  # (n, m) uint8, or rows of values (n, row_bytes)
    scales: np.ndarray  # (n,) float32
    biases: np.ndarray | None  # (n,) float32, l2 only
    rows: np.ndarray  # (n,) uint32
    residuals: np.ndarray  # (n, dim) float32
    exact_biases: np.ndarray  # (n,) float32, of the rerank tier

    def take(self, which: np.ndarray) -> "ListRows":
        """The rows of these positions."""
        biases = None if self.biases is None else self.biases[which]
        return ListRows(
            self.codes[which],
            self.scales[which],
            biases,
            self.rows[which],
            self.residuals[which],
            self.exact_biases[which],
        )

    def joined(self, other: "ListRows") -> "ListRows":
        """These rows, then the other's."""
        biases = None
        if self.biases is not None and other.biases is not None:
            biases = np.concatenate([self.biases, other.biases])
        return ListRows(
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.scales, other.scales]),
            biases,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.residuals, other.residuals]),
            np.concatenate([self.exact_biases, other.exact_biases]),
        )

    def packed(self, code: Code, rerank: Values | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Code block, and rerank block where there is a tier of values."""
        if isinstance(code, ValueCode):
            codes = pack_values(self.codes, self.rows)
        else:
            codes = pack_list(self.codes, self.scales, self.biases, self.rows, code.nbits)
        return codes, None if rerank is None else pack_rerank(self.residuals, self.exact_biases, rerank)


def code_rows(router: Router, code: Code, vectors: np.ndarray, rows: np.ndarray, lists: np.ndarray) -> ListRows:
    """Code vectors (n, dim), in index space, against the centroids of their lists (n,)."""
    residuals = router.centroids[lists]
    np.subtract(vectors, residuals, out=residuals)  # in place: fresh pages for large arrays take longer than the work
    exact, numbers = router.bias(lists, residuals), rows.astype(np.uint32)
    if isinstance(code, ValueCode):
        nothing = np.zeros(len(rows), np.float32)
        return ListRows(value_rows(residuals, exact, code.form), nothing, None, numbers, residuals, exact)
    codes, scales = encode(code, residuals, None if router.l2 else vectors)
    biases = None
    if router.l2:
        # Scales as they will be read: what their rounding does to a product with the centroid must be in the bias too.
        scales = as_halves(scales)
        squares = np.einsum("nd,nd->n", residuals, residuals)
        biases = -(squares + 2 * centroid_products(code, codes, scales, router.centroids, lists))
    return ListRows(codes, scales, biases, numbers, residuals, exact)


def without_residuals(rows: ListRows) -> ListRows:
    """Codes alone: what a scan reads."""
    return replace(rows, residuals=rows.residuals[:, :0])


def by_list(lists: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(list, positions of its rows, ascending) for every list that occurs."""
    if not len(lists):
        return
    order = np.argsort(lists, kind="stable")
    numbers, starts = np.unique(lists[order], return_index=True)
    for number, positions in zip(numbers, np.split(order, starts[1:]), strict=True):
        yield int(number), positions


def unpacked(
    codes: memoryview, reranked: memoryview | None, count: int, code: Code, l2: bool, rerank: Values | None
) -> ListRows:
    """A stored list as rows again. Residuals come back as they are kept, which packs to the same bytes."""
    if isinstance(code, ValueCode):
        words = rows_of_values(codes, count, code.dim, code.form).copy()
        scales, biases, rows = np.zeros(count, np.float32), None, rows_of_list(codes, count).copy()
    else:
        words, scales, biases, rows = unpack_list(codes, count, code.m, code.nbits, l2)
    residuals, exact = np.zeros((count, code.dim), np.float32), np.zeros(count, np.float32)
    if reranked is not None and rerank is not None:
        kept = rows_of_values(reranked, count, code.dim, rerank)
        residuals, exact = residuals_of(kept, code.dim, rerank), values_of(kept, code.dim, rerank)[2]
    return ListRows(words, scales, biases, rows, residuals, exact)
