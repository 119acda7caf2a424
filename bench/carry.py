"""Vectors carried to more dimensions, as a wider model might have written them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def carrier(rows: Floats, dim: int, *, common: bool) -> Callable[[Floats], Floats]:
    """What carries vectors (n, d) like these rows (m, d) to (n, dim), the same way each time but for noise.

    What was there, turned; beside it what bends with it (tanh of random products), a little noise, and a `common` part,
    as many models have one. Rows come to lie within a few times 1 of the origin.
    """
    rng = np.random.default_rng(dim)
    turn = np.linalg.qr(rng.standard_normal((dim, rows.shape[1])))[0].T.astype(np.float32)
    bend = 1.5 * rng.standard_normal((rows.shape[1], dim), np.float32)
    shared = np.full(dim, dim**-0.5 if common else 0, np.float32)
    length = np.float32(np.linalg.norm(rows, axis=1).mean())

    def carry(vectors: Floats) -> Floats:
        small = vectors / length
        wide = small @ turn + shared
        wide += (0.9 * np.tanh(small @ bend) + 0.25 * rng.standard_normal(wide.shape, np.float32)) / np.sqrt(dim)
        return wide.astype(np.float32)

    return carry
