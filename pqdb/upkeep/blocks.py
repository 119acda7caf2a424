"""Rows into list blocks: residuals, codes, factors, packed list by list."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pqdb.partition.router import Router
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import centroid_products, encode
from pqdb.quantization.pack import pack_list, pack_rerank, unpack_list, unpack_rerank


@dataclass(frozen=True)
class ListRows:
    """Rows of lists, coded but not yet packed. Arrays share their first axis."""

    codes: np.ndarray  # (n, m) uint8
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

    def packed(self, nbits: int) -> tuple[np.ndarray, np.ndarray]:
        """Code block and rerank block."""
        codes = pack_list(self.codes, self.scales, self.biases, self.rows, nbits)
        return codes, pack_rerank(self.residuals, self.exact_biases)


def code_rows(router: Router, codebook: Codebook, vectors: np.ndarray, rows: np.ndarray, lists: np.ndarray) -> ListRows:
    """Code vectors (n, dim), in index space, against the centroids of their lists (n,)."""
    residuals = vectors - router.centroids[lists]
    codes, scales = encode(codebook, residuals)
    exact = router.bias(lists, residuals)
    biases = None
    if router.l2:
        squares = np.einsum("nd,nd->n", residuals, residuals)
        biases = -(squares + 2 * centroid_products(codebook, codes, scales, router.centroids, lists))
    return ListRows(codes, scales, biases, rows.astype(np.uint32), residuals, exact)


def by_list(lists: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(list, positions of its rows, ascending) for every list that occurs."""
    if not len(lists):
        return
    order = np.argsort(lists, kind="stable")
    numbers, starts = np.unique(lists[order], return_index=True)
    for number, positions in zip(numbers, np.split(order, starts[1:]), strict=True):
        yield int(number), positions


def unpacked(codes: memoryview, rerank: memoryview | None, count: int, codebook: Codebook, l2: bool) -> ListRows:
    """A stored list as rows again. Residuals come back from int8, which packs to the same bytes."""
    words, scales, biases, rows = unpack_list(codes, count, codebook.m, codebook.nbits, l2)
    if rerank is None:
        return ListRows(
            words,
            scales,
            biases,
            rows,
            np.zeros((count, codebook.dim), np.float32),
            np.zeros(count, np.float32),
        )
    small, steps, exact = unpack_rerank(rerank, count, codebook.dim)
    return ListRows(words, scales, biases, rows, small.astype(np.float32) * steps[:, None], exact)
