"""A map of points: many dimensions seen from the side on which they differ most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

Floats = npt.NDArray[np.float64]


def drawn(collection: pqdb.Collection, sample: int) -> list[dict[str, Any]]:
    """Up to `sample` points with their place on a plane, both numbers from 0 to 1, and their list, −1 without one."""
    points = collection.sample(sample, with_payload=False, with_vector=True, seed=0)
    if not points:
        return []
    vectors = np.array([point.vector for point in points], np.float32)
    lists = collection.lists_of(vectors)
    numbers = [-1] * len(points) if lists is None else lists.tolist()
    return [
        {"id": point.id, "x": float(x), "y": float(y), "list": number}
        for point, (x, y), number in zip(points, plane(vectors), numbers, strict=True)
    ]


def plane(vectors: npt.NDArray[np.float32]) -> Floats:
    """(n, 2) the first two principal components, each stretched to 0 … 1 (0.5 where nothing differs)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    seen = centred @ axes[:2].T
    flat[:, : seen.shape[1]] = seen
    low, width = flat.min(axis=0), np.ptp(flat, axis=0)
    stretched: Floats = np.where(width > 0, (flat - low) / np.where(width > 0, width, 1), 0.5)
    return stretched
