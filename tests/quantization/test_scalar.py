"""Scalar codes: what a word or a value stands for, against numpy; their bytes; what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqdb.config import Values
from pqdb.errors import CorruptError, FormatError
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import decode, encode, normalise
from pqdb.quantization.pack import (
    NO_ROW,
    pack_rerank,
    pack_values,
    rerank_bytes,
    residuals_of,
    rows_of_list,
    rows_of_values,
    unpack_rerank,
    value_list_bytes,
    value_row_bytes,
    value_rows,
    values_of,
)
from pqdb.quantization.scalar import sign_codebook, step_codebook
from pqdb.quantization.values import ValueCode, code_from_bytes
from tests import naive_quantization as naive
from tests.data import clustered

forms = pytest.mark.parametrize("form", ["int8", "float16"])


# -- values


@settings(deadline=None)
@given(
    st.integers(0, 99), st.integers(0, 70), st.sampled_from([1, 24, 63, 64, 65]), st.sampled_from(["int8", "float16"])
)  # fmt: skip
def test_rows_of_values_are_the_bytes_of_the_format_and_come_back(
    seed: int, count: int, dim: int, form: Values
) -> None:
    rng = np.random.default_rng(seed)
    residuals = rng.standard_normal((count, dim)).astype(np.float32)
    bias = rng.standard_normal(count).astype(np.float32)
    rows = value_rows(residuals, bias, form)
    assert np.array_equal(rows.reshape(-1), naive.value_rows(residuals, bias, form))
    numbers = rng.integers(0, 2**32 - 1, count).astype(np.uint32)
    block = pack_values(rows, numbers)
    size = count * value_row_bytes(dim, form)
    assert len(block) == value_list_bytes(count, dim, form) == size + 128 * -(-count // 32)
    assert np.array_equal(rows_of_values(block, count, dim, form), rows)
    assert np.array_equal(rows_of_list(block, count), numbers)
    assert np.all(block[size:].view(np.uint32)[count:] == NO_ROW)
    values, scales, back = values_of(rows, dim, form)
    assert np.array_equal(back, bias)
    step = scales[:, None] / 2 if form == "int8" else np.abs(residuals) / 2048 + 1e-7
    assert np.all(np.abs(values * scales[:, None] - residuals) <= step * 1.001)
    again = value_rows(residuals_of(rows, dim, form), bias, form)
    assert np.array_equal(again, rows)


@forms
def test_a_rerank_block_of_either_form_comes_back(form: Values) -> None:
    residuals = clustered(40, 24, seed=3)
    block = pack_rerank(residuals, np.arange(40, dtype=np.float32), form)
    assert len(block) == rerank_bytes(40, 24, form)
    values, scales, bias = unpack_rerank(memoryview(block.tobytes() + b"page filling"), 40, 24, form)
    assert bias.tolist() == list(range(40))
    np.testing.assert_allclose(values * scales[:, None], residuals, atol=0.02)
    with pytest.raises(CorruptError, match=rf"40 rows of 24 values in {form} has {len(block)} bytes, not"):
        unpack_rerank(block[:-1], 40, 24, form)


def test_numbers_past_float16_are_held_at_its_ends() -> None:
    rows = value_rows(np.array([[1e6, -1e6]], np.float32), np.zeros(1, np.float32), "float16")
    assert residuals_of(rows, 2, "float16").tolist() == [[65504.0, -65504.0]]


@forms
def test_a_code_of_values_is_its_residual(form: Values) -> None:
    residuals = clustered(50, 20, seed=1)
    residuals[7] = 0
    codes, s = encode(ValueCode(20, form), residuals)
    np.testing.assert_allclose(s[:, None] * decode(ValueCode(20, form), codes), residuals, atol=0.03)


@forms
def test_a_code_of_values_writes_and_reads_its_bytes(form: Values) -> None:
    code = ValueCode(300, form)
    assert code_from_bytes(code.to_bytes()) == code
    assert code.code_bytes == value_row_bytes(300, form)


def test_bytes_of_no_code_of_values_are_refused() -> None:
    good = bytearray(ValueCode(300, "int8").to_bytes())
    for at, byte, error, sentence in [
        (4, 2, FormatError, "version 2; this pqdb reads up to version 1"),
        (6, 3, CorruptError, "1 or 2 bytes a value, not 3"),
    ]:
        bad = bytes(good[:at]) + bytes([byte]) + bytes(good[at + 1 :])
        with pytest.raises(error, match=sentence):
            code_from_bytes(bad)
    with pytest.raises(CorruptError, match="12 bytes, not 11"):
        code_from_bytes(bytes(good[:-1]))
    with pytest.raises(CorruptError, match="has dimensions"):
        code_from_bytes(bytes(good[:8]) + bytes(4))


def test_a_codebook_is_told_from_values_by_its_bytes() -> None:
    book = sign_codebook(8, 0)
    read = code_from_bytes(book.to_bytes())
    assert isinstance(read, Codebook)
    assert np.array_equal(read.codewords, book.codewords)


# -- signs


@pytest.mark.parametrize("dim", [1, 4, 7, 24, 100])
def test_one_bit_is_the_sign_of_each_turned_dimension(dim: int) -> None:
    book = sign_codebook(dim, 5)
    assert book.m * 4 >= dim > (book.m - 4) * 4
    residuals = clustered(60, dim, seed=2)
    codes, s = encode(book, residuals)
    units, lengths = normalise(residuals)
    turned = book.rotate(units)
    signs = np.where(turned >= 0, 1, -1) / np.sqrt(dim)
    expected = signs if book.rotation is None else signs @ book.rotation
    np.testing.assert_allclose(decode(book, codes), expected, atol=1e-5)
    np.testing.assert_allclose(s, lengths / (np.abs(turned).sum(axis=1) / np.sqrt(dim)), rtol=1e-4)


def test_the_rotation_is_one_and_the_same_for_a_seed() -> None:
    one, same, other = sign_codebook(40, 1), sign_codebook(40, 1), sign_codebook(40, 2)
    assert one.rotation is not None
    assert other.rotation is not None
    np.testing.assert_allclose(one.rotation @ one.rotation.T, np.eye(40), atol=1e-5)
    assert one.to_bytes() == same.to_bytes()
    assert not np.allclose(one.rotation, other.rotation)


def test_the_rescaled_estimate_of_signs_is_unbiased() -> None:
    """Over many rotations the mean estimate of a product is the product: theorem 3.2 of the paper."""
    rng = np.random.default_rng(3)
    residual, query = rng.standard_normal((1, 24)).astype(np.float32), rng.standard_normal(24).astype(np.float32)
    estimates = []
    for seed in range(400):
        book = sign_codebook(24, seed)
        codes, s = encode(book, residual)
        estimates.append(float(s[0] * (decode(book, codes)[0] @ query)))
    error = np.std(estimates) / np.sqrt(400)
    assert abs(np.mean(estimates) - float(residual[0] @ query)) <= 4 * error
    assert error > 0


# -- steps


def test_four_bits_are_even_steps_that_take_the_nearest_one() -> None:
    residuals = clustered(500, 13, seed=4)
    book = step_codebook(residuals)
    assert (book.m, book.ksub, book.d_out) == (16, 16, 13)
    steps = np.diff(book.codewords, axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), rtol=1e-3)
    codes, s = encode(book, residuals)
    units, lengths = normalise(residuals)
    nearest = np.abs(units[:, :, None] - book.codewords[None]).argmin(axis=2)
    assert (codes[:, :13] == nearest).mean() > 0.999  # ties apart
    guess = decode(book, codes)
    np.testing.assert_allclose(s, lengths / (units * guess).sum(axis=1), rtol=1e-4)
    assert np.square(guess - units).sum(axis=1).mean() < 0.02


def test_steps_of_a_dimension_without_spread_are_finite() -> None:
    residuals = np.zeros((30, 4), np.float32)
    residuals[:, 0] = 1
    book = step_codebook(residuals)
    assert np.isfinite(book.codewords).all()
    codes, s = encode(book, residuals)
    np.testing.assert_allclose(s[:, None] * decode(book, codes), residuals, atol=1e-5)
