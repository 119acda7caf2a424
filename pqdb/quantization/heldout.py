"""The held-out check: how many true neighbours the estimates of a codebook bring to the front."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pqdb.metric import Metric
from pqdb.panels import nearest_rows
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import decode, encode

NEIGHBOURS = 10
FRONT = 20  # estimates looked at: about what a search at the default recall reranks


@dataclass(frozen=True, eq=False, slots=True)
class HeldOut:
    """Rows asked about, rows searched, and the true nearest of each question."""

    queries: NDArray[np.float32]  # (q, d)
    centroids: NDArray[np.float32]  # (n, d) centroid of each row searched
    residuals: NDArray[np.float32]  # (n, d)
    l2: bool
    truth: NDArray[np.int64]  # (q, NEIGHBOURS) row numbers

    @classmethod
    def build(
        cls,
        queries: NDArray[np.float32],
        vectors: NDArray[np.float32],
        residuals: NDArray[np.float32],
        metric: Metric,
    ) -> Self:
        """The check of queries (q, d) against vectors (n, d) whose residuals (n, d) will be coded."""
        l2 = metric == "l2"
        known = np.einsum("ij,ij->i", vectors, vectors) if l2 else np.zeros(len(vectors), np.float32)
        return cls(queries, vectors - residuals, residuals, l2, nearest_rows(queries, vectors, known, NEIGHBOURS))

    def share_found(self, codebook: Codebook, front: int = FRONT) -> float:
        """Share of the true nearest among the `front` nearest by estimate: 0 … 1.

        The estimate is the scan's: −2⟨q, c + s·r̂⟩, and for l2 ‖c‖² + ‖r‖² + 2s⟨c, r̂⟩ besides; ‖q‖² is
        left out.
        """
        codes, s = encode(codebook, self.residuals, None if self.l2 else self.centroids + self.residuals)
        guesses = decode(codebook, codes)
        guesses *= s[:, None]
        known = np.zeros(len(codes), np.float32)
        if self.l2:
            known += np.einsum("ij,ij->i", self.residuals, self.residuals)
            known += np.einsum("ij,ij->i", self.centroids, self.centroids + 2.0 * guesses)
        guesses += self.centroids
        best = nearest_rows(self.queries, guesses, known, front)
        found = [np.isin(true, estimated).sum() for true, estimated in zip(self.truth, best, strict=True)]
        return float(np.sum(found)) / self.truth.size
