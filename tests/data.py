"""Vectors as embeddings are: clustered, of uneven density, their energy falling from dimension to dimension.

Uniform random vectors make product quantization look worse than it is and hide mistakes of order.
"""

import numpy as np


def clustered(
    n: int, dim: int, *, seed: int, clusters: int = 50, spread: float = 0.5, decay: float = 1.5
) -> np.ndarray:
    """(n, dim) float32, the same for the same arguments.

    `spread` is a cluster's width against the distance between clusters, `decay` how much more energy the
    first dimension has than the last, before a random rotation hides which is which.
    """
    rng = np.random.default_rng(seed)
    scale = np.exp(-decay * np.arange(dim) / dim)
    centres = rng.standard_normal((clusters, dim))
    shares = rng.dirichlet(np.full(clusters, 2.0))
    widths = spread * rng.uniform(0.5, 1.5, clusters)
    labels = rng.choice(clusters, size=n, p=shares)
    points = centres[labels] + widths[labels, None] * rng.standard_normal((n, dim))
    rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return np.ascontiguousarray((points * scale) @ rotation, dtype=np.float32)


def queries_near(rows: np.ndarray, n: int, *, seed: int, noise: float = 0.3) -> np.ndarray:
    """(n, dim) float32 queries: rows moved by `noise` times the data's deviation; none equals a row."""
    rng = np.random.default_rng(seed)
    picked = rows[rng.integers(len(rows), size=n)]
    moved = picked + noise * rows.std(axis=0) * rng.standard_normal(picked.shape)
    return np.ascontiguousarray(moved, dtype=np.float32)


def alike_and_almost(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 48) counts of 64 things by their kind, as of the colours of a patch: a tenth of one kind only, most others
    of it but for a few; and which are of one kind only.
    """
    rng = np.random.default_rng(1)
    rows = np.zeros((n, 48), np.float32)
    rows[:, 0] = 64
    for row in rows:
        others = min(int(rng.geometric(0.08)) - 1, 60) if rng.random() > 0.1 else 0
        kinds = 1 + rng.choice(47, min(3, max(1, others)))
        np.add.at(row, rng.choice(kinds, others), 1)
        row[0] -= others
    return rows, np.flatnonzero(rows[:, 0] == 64)
