"""Source vectors as bytes of a row: float32, float16, or int8 with its own scale."""

import numpy as np

from pqdb.config import Source
from pqdb.errors import InputError
from pqdb.quantization.pack import LARGEST_FLOAT16

KINDS: dict[Source, int] = {"float32": 0, "float16": 1, "int8": 2}  # as kernels.exact names them


def row_bytes(dim: int, source: Source) -> int:
    """Bytes of one row."""
    return {"float32": 4 * dim, "float16": 2 * dim, "int8": 4 + dim}[source]


def encode_source(vectors: np.ndarray, source: Source) -> np.ndarray:
    """(n, dim) float32 → (n, row_bytes) uint8. Raises InputError where a number does not fit float16."""
    n, dim = vectors.shape
    if source == "float32":
        return np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint8).reshape(n, 4 * dim)
    if source == "float16":
        if n and np.abs(vectors).max() > LARGEST_FLOAT16:
            raise InputError(
                f"source=float16 holds numbers up to {LARGEST_FLOAT16:.0f}, not {np.abs(vectors).max():g}"
            )
        return vectors.astype(np.float16).view(np.uint8).reshape(n, 2 * dim)
    scale = np.abs(vectors).max(axis=1, keepdims=True) / np.float32(127)
    steps = np.rint(vectors / np.where(scale == 0, np.float32(1), scale)).astype(np.int8)
    return np.concatenate([scale.astype(np.float32).view(np.uint8), steps.view(np.uint8)], axis=1)


def decode_source(rows: np.ndarray, dim: int, source: Source) -> np.ndarray:
    """(n, row_bytes) uint8 → (n, dim) float32."""
    rows = np.ascontiguousarray(rows)
    if source == "float32":
        return rows.view(np.float32).reshape(-1, dim)
    if source == "float16":
        return rows.view(np.float16).reshape(-1, dim).astype(np.float32)
    scale = np.ascontiguousarray(rows[:, :4]).view(np.float32)
    return rows[:, 4:].view(np.int8).astype(np.float32) * scale
