"""Encoding kernels against numpy."""

import numpy as np
import pytest

from pqdb.kernels.encode import code_products, decode_rows, encode_rows
from pqdb.kernels.kmeans import BLOCK


def book(rng: np.random.Generator, bounds: list[int], ksub: int) -> tuple[np.ndarray, np.ndarray]:
    words = rng.integers(-4, 5, (bounds[-1], ksub)).astype(np.float32)
    return np.array(bounds, np.int32), words


def encoded(rows: np.ndarray, bounds: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    codes, overlaps = np.empty((len(rows), len(bounds) - 1), np.uint8), np.empty(len(rows), np.float32)
    encode_rows(rows, bounds, words, codes, overlaps)
    return codes, overlaps


@pytest.mark.parametrize("ksub", [16, 256])
def test_codes_name_the_nearest_words_and_overlaps_are_their_products(rng: np.random.Generator, ksub: int) -> None:
    bounds, words = book(rng, [0, 3, 4, 8, 8], ksub)
    rows = rng.integers(-4, 5, (37, 8)).astype(np.float32)
    codes, overlaps = encoded(rows, bounds, words)
    decoded = np.empty_like(rows)
    decode_rows(codes, bounds, words, decoded)
    for j, (lo, hi) in enumerate([(0, 3), (3, 4), (4, 8), (8, 8)]):
        distances = ((rows[:, lo:hi, None] - words[None, lo:hi]) ** 2).sum(axis=1)
        assert np.array_equal(codes[:, j], distances.argmin(axis=1))
        assert np.array_equal(decoded[:, lo:hi], words[lo:hi].T[codes[:, j]])
    assert np.array_equal(overlaps, (rows * decoded).sum(axis=1))


def test_a_code_does_not_depend_on_the_rows_beside_it(rng: np.random.Generator) -> None:
    bounds, words = book(rng, [0, 2, 5], 16)
    rows = rng.standard_normal((BLOCK + 33, 5)).astype(np.float32)
    together, overlaps = encoded(rows, bounds, words)
    for i in (0, 7, BLOCK - 1, BLOCK, BLOCK + 32):
        alone, overlap = encoded(rows[i : i + 1], bounds, words)
        assert np.array_equal(alone[0], together[i])
        assert overlap[0] == overlaps[i]


def test_products_of_codes_are_products_of_what_they_decode_to(rng: np.random.Generator) -> None:
    bounds, words = book(rng, [0, 3, 4, 8, 8], 16)
    codes = rng.integers(0, 16, (20, 4)).astype(np.uint8)
    vectors, owners = rng.integers(-4, 5, (3, 8)).astype(np.float32), rng.integers(0, 3, 20).astype(np.int32)
    decoded, products = np.empty((20, 8), np.float32), np.empty(20, np.float32)
    decode_rows(codes, bounds, words, decoded)
    code_products(codes, bounds, words, vectors, owners, products)
    assert np.array_equal(products, (decoded * vectors[owners]).sum(axis=1))
