"""Codebooks fitted to the scores a search will see: quantization-aware training.

A query that finds x points along x, so an error along x moves its score more than one across it (Guo et al. 2020, arXiv
1908.10396, theorem 3.3): the loss of a residual is |r − r̂|² + weight · ⟨r − r̂, x/|x|⟩². Codes and words take turns
until held-out neighbours stop being found more often. For l2 it is the residual itself that counts as x.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import encode, normalise
from pqdb.quantization.heldout import HeldOut

ROUNDS = 8
PATIENCE = 2  # rounds without a better codebook
# Of the error along x, beside 1 for all of it: measured (docs/decisions/041). The rescale factor has taken out what a
# larger one is for.
WEIGHT = 0.5


def train_score_aware(
    codebook: Codebook,
    residuals: NDArray[np.float32],  # (n, dim) to learn from
    along: NDArray[np.float32],  # (n, dim) the vectors they belong to
    check: HeldOut,
    progress: Callable[[float], None],
) -> Codebook:
    """The best of the codebooks that come of fitting this one, by the neighbours it finds of held-out rows."""
    current = replace(codebook, weight=WEIGHT)
    best, most, waited = current, check.share_found(current), 0
    units = normalise(residuals)[0]
    rows, directions = current.rotate(units), current.rotate(normalise(along)[0])
    for done in range(ROUNDS):
        codes, _ = encode(current, residuals, along)
        current = replace(current, codewords=refit(current, rows, directions, codes))
        found = check.share_found(current)
        progress((done + 1) / ROUNDS)
        waited = 0 if found > most else waited + 1
        if found > most:
            best, most = current, found
        if waited == PATIENCE:
            break
    return best


def refit(
    codebook: Codebook,
    rows: NDArray[np.float32],  # (n, d_out)
    along: NDArray[np.float32],  # (n, d_out)
    codes: NDArray[np.uint8],  # (n, m)
) -> NDArray[np.float32]:
    """Words (d_out, ksub) of least loss for these codes: subspace after subspace, each in closed form given the others.
    """
    words, bounds = codebook.codewords.astype(np.float64), codebook.bounds.tolist()
    apart = rows.astype(np.float64)
    for j in range(codebook.m):
        own = slice(bounds[j], bounds[j + 1])
        apart[:, own] -= words[own][:, codes[:, j]].T
    total = np.einsum("nd,nd->n", apart, along)
    for j in range(codebook.m):
        own = slice(bounds[j], bounds[j + 1])
        size = own.stop - own.start
        for c in range(codebook.ksub if size else 0):
            mine = np.flatnonzero(codes[:, j] == c)
            if not len(mine):
                continue
            x, y = rows[mine, own].astype(np.float64), along[mine, own].astype(np.float64)
            rest = total[mine] - np.einsum("nd,nd->n", x - words[own, c], y)
            wanted = rest + np.einsum("nd,nd->n", x, y)
            left = len(mine) * np.eye(size) + codebook.weight * y.T @ y
            words[own, c] = np.linalg.solve(left, x.sum(axis=0) + codebook.weight * y.T @ wanted)
            total[mine] = wanted - y @ words[own, c]
    return words.astype(np.float32)
