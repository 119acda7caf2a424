"""Codes under a loss that counts errors along one direction more: coordinate descent over the subspaces."""

import numpy as np
from numpy.typing import NDArray

from pqdb.kernels._jit import kernel_with_arrays


@kernel_with_arrays
def refine_codes(
    rows: NDArray[np.float32],  # (n, d_out)
    along: NDArray[np.float32],  # (n, d_out) the direction of each row
    bounds: NDArray[np.int32],  # (m + 1,)
    words: NDArray[np.float32],  # (d_out, ksub)
    weight: np.float32,  # of the squared error along the direction, beside 1 of every squared error
    sweeps: int,
    codes: NDArray[np.uint8],  # (n, m) in: where to start; out: no worse
    overlaps: NDArray[np.float32],  # (n,) out: ⟨row, its decoded code⟩
) -> None:
    """Let each subspace in turn take the word that leaves the least |r − r̂|² + weight · ⟨r − r̂, along⟩², the others
    being what they are, until none changes or `sweeps` are done.
    """
    m, ksub = bounds.shape[0] - 1, words.shape[1]
    errors, parts = np.empty(ksub, np.float32), np.empty(ksub, np.float32)
    for i in range(rows.shape[0]):
        total = np.float32(0)  # ⟨r − r̂, along⟩
        for j in range(m):
            for k in range(bounds[j], bounds[j + 1]):
                total += (rows[i, k] - words[k, codes[i, j]]) * along[i, k]
        for _ in range(sweeps):
            changed = False
            for j in range(m):
                if bounds[j] == bounds[j + 1]:
                    continue
                for c in range(ksub):
                    errors[c] = parts[c] = np.float32(0)
                for k in range(bounds[j], bounds[j + 1]):
                    x, y = rows[i, k], along[i, k]
                    for c in range(ksub):
                        apart = x - words[k, c]
                        errors[c] += apart * apart
                        parts[c] += apart * y
                old = codes[i, j]
                rest = total - parts[old]
                best = old
                least = errors[old] + weight * (rest + parts[old]) * (rest + parts[old])
                for c in range(ksub):
                    loss = errors[c] + weight * (rest + parts[c]) * (rest + parts[c])
                    if loss < least:
                        least, best = loss, np.uint8(c)
                if best != old:
                    codes[i, j] = best
                    total = rest + parts[best]
                    changed = True
            if not changed:
                break
        overlap = np.float32(0)
        for j in range(m):
            for k in range(bounds[j], bounds[j + 1]):
                overlap += rows[i, k] * words[k, codes[i, j]]
        overlaps[i] = overlap
