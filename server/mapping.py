"""A map of points: many dimensions seen from the side on which they differ most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .shape import Shape

Floats = npt.NDArray[np.float64]


def drawn(collection: pqdb.Collection, sample: int, using: str | None) -> list[dict[str, Any]]:
    """Up to `sample` points with their place on a plane, both numbers from 0 to 1, and their list, −1 without one.

    using: the name of the vector; where vectors have names and none is said, the first.
    """
    shape = Shape.of(collection)
    if using is None and not shape.dims:
        return []
    name = next(iter(shape.dims)) if using is None else using
    shape.dim(name)
    found = collection.sample(sample, {"must": [{"has_vector": name}]}, with_payload=False, with_vector=[name], seed=0)
    if not found:
        return []
    held = [(point.id, point.vector[name] if shape.has_names else point.vector) for point in found]
    vectors = np.array([vector for _, vector in held], np.float32)
    lists = collection.lists_of(vectors, using=name)
    numbers = [-1] * len(held) if lists is None else lists.tolist()
    return [
        {"id": id_, "x": float(x), "y": float(y), "list": number}
        for (id_, _), (x, y), number in zip(held, plane(vectors), numbers, strict=True)
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
