"""Blocks: the bytes the format names, and the same numbers back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqdb.errors import CorruptError, InputError
from pqdb.quantization.pack import (
    LARGEST_FLOAT16,
    NO_ROW,
    group_bytes,
    list_bytes,
    pack_list,
    pack_rerank,
    rerank_bytes,
    unpack_list,
    unpack_rerank,
)
from tests import naive_quantization as naive

Rows = tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]


def rows_of_a_list(seed: int, count: int, m: int, nbits: int, with_bias: bool) -> Rows:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << nbits, (count, m)).astype(np.uint8)
    s = rng.standard_normal(count).astype(np.float16).astype(np.float32)
    b = rng.standard_normal(count).astype(np.float16).astype(np.float32) if with_bias else None
    return codes, s, b, rng.integers(0, 2**32 - 1, count).astype(np.uint32)


@settings(deadline=None)
@given(
    st.integers(0, 99),
    st.integers(0, 70),
    st.sampled_from([4, 8, 12]),
    st.sampled_from([4, 8]),
    st.booleans(),
)
def test_a_list_is_the_bytes_of_the_format_and_comes_back(
    seed: int, count: int, m: int, nbits: int, with_bias: bool
) -> None:
    codes, s, b, rows = rows_of_a_list(seed, count, m, nbits, with_bias)
    block = pack_list(codes, s, b, rows, nbits)
    assert len(block) == list_bytes(count, m, nbits, with_bias)
    assert np.array_equal(block, naive.pack_list(codes, s, b, rows, nbits))
    back = unpack_list(memoryview(block.tobytes() + b"page filling"), count, m, nbits, with_bias)
    for before, after in zip((codes, s, b, rows), back, strict=True):
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            assert np.array_equal(before, after)


def test_group_bytes() -> None:
    assert group_bytes(96, 4, False) == 96 * 16 + 64
    assert group_bytes(48, 8, True) == 48 * 32 + 128


def test_places_past_the_last_row_can_never_win() -> None:
    codes, s, b, rows = rows_of_a_list(1, 33, 4, 4, True)
    block = pack_list(codes, s, b, rows, 4)
    _, all_s, all_b, all_rows = unpack_list(block, 64, 4, 4, True)
    assert not all_s[33:].any()
    assert all_b is not None
    assert np.all(all_b[33:] == -LARGEST_FLOAT16)
    assert np.all(all_rows[33:] == NO_ROW)


def test_factors_past_float16_are_held_at_its_ends() -> None:
    codes, _, _, rows = rows_of_a_list(2, 2, 4, 4, False)
    far = np.array([1e6, -1e6], np.float32)
    _, s, b, _ = unpack_list(pack_list(codes, far, far, rows, 4), 2, 4, 4, True)
    assert s.tolist() == [LARGEST_FLOAT16, -LARGEST_FLOAT16]
    assert b is not None
    assert b.tolist() == [LARGEST_FLOAT16, -LARGEST_FLOAT16]


@pytest.mark.parametrize("name", ["rescale", "bias"])
def test_a_factor_that_is_no_number_is_refused(name: str) -> None:
    codes, s, b, rows = rows_of_a_list(3, 5, 4, 4, True)
    assert b is not None
    (s if name == "rescale" else b)[3] = np.nan
    with pytest.raises(InputError, match=f"{name} factor"):
        pack_list(codes, s, b, rows, 4)


def test_buffers_cut_short_are_corrupt() -> None:
    codes, s, b, rows = rows_of_a_list(4, 40, 4, 4, True)
    block = pack_list(codes, s, b, rows, 4)
    with pytest.raises(CorruptError, match=f"{len(block)} bytes, not {len(block) - 1}"):
        unpack_list(block[:-1], 40, 4, 4, True)
    rerank = pack_rerank(np.zeros((3, 70), np.float32), np.zeros(3, np.float32))
    with pytest.raises(CorruptError, match=f"{len(rerank)} bytes, not {len(rerank) - 1}"):
        unpack_rerank(rerank[:-1], 3, 70)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(0, 9), st.sampled_from([1, 63, 64, 65]), st.integers(-60, 60))
def test_rerank_rows_come_back_within_half_a_step(seed: int, count: int, dim: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    residuals = (rng.standard_normal((count, dim)) * 2.0**exponent).astype(np.float32)
    bias = rng.standard_normal(count).astype(np.float32)
    block = pack_rerank(residuals, bias)
    assert len(block) == rerank_bytes(count, dim) == count * (-(-dim // 64) * 64 + 8)
    values, scale, bias_back = unpack_rerank(block.tobytes(), count, dim)
    assert np.array_equal(bias_back, bias)
    assert np.all(np.abs(values * scale[:, None] - residuals) <= 0.5001 * scale[:, None])
    assert np.array_equal(np.abs(values).max(axis=1), np.full(count, 127))


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 9), st.integers(-60, 60))
def test_packing_what_was_unpacked_gives_the_same_bytes(seed: int, count: int, exponent: int) -> None:
    residuals = (np.random.default_rng(seed).standard_normal((count, 40)) * 2.0**exponent).astype(np.float32)
    block = pack_rerank(residuals, np.zeros(count, np.float32))
    values, scale, bias = unpack_rerank(block, count, 40)
    assert np.array_equal(pack_rerank(values.astype(np.float32) * scale[:, None], bias), block)


def test_rerank_padding_is_zero_and_so_are_rows_of_nothing() -> None:
    residuals = np.zeros((2, 3), np.float32)
    residuals[1] = 1e-38
    values, scale, _ = unpack_rerank(pack_rerank(residuals, np.zeros(2, np.float32)), 2, 64)
    assert not values.any()
    assert not scale.any()
