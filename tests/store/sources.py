"""Source rows to store: noise, short."""

import numpy as np

ROW_BYTES = 500  # 8 rows a run of one page: tests cross run boundaries soon


def source_rows(n: int, seed: int = 0, row_bytes: int = ROW_BYTES) -> np.ndarray:
    """(n, row_bytes) uint8 of noise."""
    return np.random.default_rng(seed).integers(0, 256, (n, row_bytes), dtype=np.uint8)
