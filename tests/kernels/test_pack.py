"""Packing kernels: every code at the byte the layout names, and back."""

import numpy as np
import pytest

from pqdb.kernels.pack import GROUP, pack_bytes, pack_nibbles, round_to_int8, unpack_bytes, unpack_nibbles


@pytest.mark.parametrize("count", [1, 16, 17, 32, 33, 70])
def test_nibbles_lie_where_the_layout_says(rng: np.random.Generator, count: int) -> None:
    codes = rng.integers(0, 16, (count, 8)).astype(np.uint8)
    groups = np.zeros((-(-count // GROUP), 8 * 16), np.uint8)
    pack_nibbles(codes, groups)
    for i in range(count):
        for j in range(8):
            byte = groups[i // 32, (j // 2) * 32 + (j % 2) * 16 + i % 16]
            assert (byte >> (4 if i % 32 >= 16 else 0)) & 15 == codes[i, j]
    back = np.empty_like(codes)
    unpack_nibbles(groups, back)
    assert np.array_equal(back, codes)


@pytest.mark.parametrize("count", [1, 32, 45])
def test_bytes_lie_where_the_layout_says(rng: np.random.Generator, count: int) -> None:
    codes = rng.integers(0, 256, (count, 4)).astype(np.uint8)
    groups = np.zeros((-(-count // GROUP), 4 * 32), np.uint8)
    pack_bytes(codes, groups)
    for i in range(count):
        for j in range(4):
            assert groups[i // 32, j * 32 + i % 32] == codes[i, j]
    back = np.empty_like(codes)
    unpack_bytes(groups, back)
    assert np.array_equal(back, codes)


def test_int8_rounds_to_the_nearest_step_and_pads_with_zeros() -> None:
    rows = np.array([[1.0, -0.5, 0.26], [0.0, 0.0, 0.0]], np.float32)
    values = np.full((2, 5), 99, np.int8)
    round_to_int8(rows, np.array([0.5, 0.0], np.float32), values)
    assert values.tolist() == [[2, -1, 1, 0, 0], [0, 0, 0, 0, 0]]
