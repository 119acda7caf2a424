"""Encoding against numpy, and what the rescale factor promises."""

import numpy as np
import pytest

from pqdb.errors import DimensionError
from pqdb.quantization.allocation import equal_bounds
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.encode import MIN_OVERLAP, centroid_products, decode, encode
from tests import naive_quantization as naive


def book(rng: np.random.Generator, dim: int, m: int, nbits: int = 4, kept: int | None = None) -> Codebook:
    """A codebook whose words look like pieces of unit vectors; with `kept` the first axes of a rotation."""
    rotation = None
    if kept is not None:
        rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0][:kept].astype(np.float32)
    d_out = kept or dim
    words = (rng.standard_normal((d_out, 1 << nbits)) / np.sqrt(dim)).astype(np.float32)
    return Codebook(dim, nbits, equal_bounds(d_out, m), words, rotation)


@pytest.mark.parametrize("nbits", [4, 8])
@pytest.mark.parametrize("kept", [None, 7])
def test_codes_and_factors_are_the_naive_ones(rng: np.random.Generator, nbits: int, kept: int | None) -> None:
    codebook = book(rng, 10, 3, nbits, kept)
    residuals = rng.standard_normal((50, 10)).astype(np.float32) * 3
    codes, s = encode(codebook, residuals)
    naive_codes, naive_s = naive.encode(codebook, residuals)
    assert np.array_equal(codes, naive_codes)  # no two words are as near as float32 rounds, at this seed
    assert np.allclose(s, naive_s, rtol=2e-6)
    assert np.allclose(decode(codebook, codes), naive.decode(codebook, codes), rtol=1e-5, atol=1e-6)


def test_the_rescaled_code_has_the_rows_own_share_along_the_row(rng: np.random.Generator) -> None:
    codebook = book(rng, 12, 4)
    residuals = rng.standard_normal((40, 12)).astype(np.float32)
    codes, s = encode(codebook, residuals)
    along = s * np.einsum("ij,ij->i", residuals, decode(codebook, codes))
    held = s < np.linalg.norm(residuals, axis=1) / MIN_OVERLAP  # the others are clipped
    assert held.sum() > 30
    assert np.allclose(along[held], np.square(residuals).sum(axis=1)[held], rtol=1e-5)


@pytest.mark.parametrize("size", [2.0**-20, 2.0**20])
def test_a_code_is_that_of_the_direction(rng: np.random.Generator, size: float) -> None:
    codebook, residuals = book(rng, 12, 4), rng.standard_normal((40, 12)).astype(np.float32)
    codes, s = encode(codebook, residuals)
    scaled_codes, scaled_s = encode(codebook, residuals * np.float32(size))
    assert np.array_equal(codes, scaled_codes)
    assert np.allclose(scaled_s, s * size, rtol=1e-6)


def test_zero_residuals_have_factor_zero_and_nothing_is_nan(rng: np.random.Generator) -> None:
    codebook = book(rng, 8, 4)
    residuals = np.zeros((3, 8), np.float32)
    residuals[1] = 1e-25  # its square is no float32
    codes, s = encode(codebook, residuals)
    assert s.tolist() == [0, 0, 0]
    assert codes.max() < 16


def test_a_code_that_points_elsewhere_does_not_blow_the_factor_up() -> None:
    words = np.tile(np.array([[1.0], [0.0], [0.0], [0.0]], np.float32), (1, 16))  # every word is the first axis
    codebook = Codebook(4, 4, equal_bounds(4, 1), words)
    residuals = np.array([[0, 2, 0, 0], [-2, 0, 0, 0], [0.001, 2, 0, 0]], np.float32)
    s = encode(codebook, residuals)[1]
    assert np.allclose(s, 2 / MIN_OVERLAP)


def test_a_codes_row_is_the_same_in_any_company(rng: np.random.Generator) -> None:
    codebook, residuals = book(rng, 12, 4), rng.standard_normal((90, 12)).astype(np.float32)
    codes, s = encode(codebook, residuals)
    some_codes, some_s = encode(codebook, residuals[70:])
    assert np.array_equal(some_codes, codes[70:])
    assert np.array_equal(some_s, s[70:])


@pytest.mark.parametrize("kept", [None, 7])
def test_centroid_products(rng: np.random.Generator, kept: int | None) -> None:
    codebook, residuals = book(rng, 10, 3, 4, kept), rng.standard_normal((30, 10)).astype(np.float32)
    centroids, labels = (
        rng.standard_normal((4, 10)).astype(np.float32),
        rng.integers(0, 4, 30).astype(np.int32),
    )
    codes, s = encode(codebook, residuals)
    expected = s * np.einsum("ij,ij->i", centroids[labels], naive.decode(codebook, codes))
    assert np.allclose(centroid_products(codebook, codes, s, centroids, labels), expected, rtol=1e-4, atol=1e-5)


def test_no_rows_are_no_codes(rng: np.random.Generator) -> None:
    codes, s = encode(book(rng, 8, 4), np.empty((0, 8), np.float32))
    assert codes.shape == (0, 4)
    assert s.shape == (0,)


def test_other_dimensions_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DimensionError, match=r"8 dimensions, not \(2, 9\)"):
        encode(book(rng, 8, 4), np.zeros((2, 9), np.float32))
