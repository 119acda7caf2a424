"""Where rows lie in their lists, and where those of a filter do."""

import numpy as np
import pytest

from pqdb.kernels.places import fill_words, mark_rows, ones, read_places
from pqdb.quantization.pack import group_bytes, pack_list, pack_values
from tests.kernels.families import at

COUNTS = [40, 0, 1, 32, 65]


def firsts_of(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([-(-count // 32) for count in counts])]).astype(np.int64)


@pytest.mark.parametrize("word", [0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678, 0xF0F0F0F0])
def test_the_bits_of_a_word_are_counted(word: int) -> None:
    assert ones(np.uint32(word)) == word.bit_count()


@pytest.mark.parametrize(("m", "nbits"), [(8, 4), (12, 4), (6, 8)])
@pytest.mark.parametrize("bias", [False, True])
def test_places_and_lengths_are_those_of_the_packed_lists(
    rng: np.random.Generator, m: int, nbits: int, bias: bool
) -> None:
    numbers = np.split(rng.permutation(200)[: sum(COUNTS)].astype(np.uint32), np.cumsum(COUNTS)[:-1])
    scales = [rng.uniform(0.1, 2, count).astype(np.float16).astype(np.float32) for count in COUNTS]
    blocks = []
    for rows, s in zip(numbers, scales, strict=True):
        codes = rng.integers(0, 1 << nbits, (len(rows), m)).astype(np.uint8)
        blocks.append(pack_list(codes, s, -s if bias else None, rows, nbits))
    addresses = np.array([at(block) if len(block) else 0 for block in blocks], np.uint64)
    places, squares = np.full(200, -1, np.int32), np.empty(len(COUNTS), np.float32)
    shape = group_bytes(m, nbits, bias), 32 * m * nbits // 8, 0
    read_places(addresses, np.array(COUNTS, np.uint32), firsts_of(COUNTS), *shape, places, squares)
    true = np.full(200, -1)
    for rows, first in zip(numbers, firsts_of(COUNTS), strict=False):
        true[rows] = 32 * first + np.arange(len(rows))
    assert places.tolist() == true.tolist()
    means = [float((s.astype(np.float64) ** 2).mean()) if len(s) else 0.0 for s in scales]
    np.testing.assert_allclose(squares, means, rtol=1e-5)


def test_rows_of_values_have_places_and_no_lengths(rng: np.random.Generator) -> None:
    numbers = np.split(rng.permutation(sum(COUNTS)).astype(np.uint32), np.cumsum(COUNTS)[:-1])
    blocks = [pack_values(rng.integers(0, 255, (len(rows), 12)).astype(np.uint8), rows) for rows in numbers]
    addresses = np.array([at(block) if len(block) else 0 for block in blocks], np.uint64)
    places, squares = np.full(sum(COUNTS), -1, np.int32), np.ones(len(COUNTS), np.float32)
    read_places(addresses, np.array(COUNTS, np.uint32), firsts_of(COUNTS), 0, -1, 12, places, squares)
    for rows, first in zip(numbers, firsts_of(COUNTS), strict=False):
        assert places[rows].tolist() == (32 * first + np.arange(len(rows))).tolist()
    assert not squares.any()


def test_rows_are_marked_where_they_lie(rng: np.random.Generator) -> None:
    firsts = firsts_of(COUNTS)
    slots = np.concatenate([32 * first + np.arange(count) for first, count in zip(firsts, COUNTS, strict=False)])
    places = np.full(300, -1, np.int32)
    listed = rng.permutation(300)[: len(slots)]
    places[listed] = rng.permutation(slots)
    rows = np.sort(rng.permutation(300)[:90]).astype(np.uint32)
    words, passing = np.zeros(firsts[-1], np.uint32), np.full(len(COUNTS), 7, np.int32)
    groups = passing.copy()
    mark_rows(places, rows, firsts, words, passing, groups)
    others = np.setdiff1d(np.arange(300), rows).astype(np.uint32)
    turned, *counted = np.empty(firsts[-1], np.uint32), passing.copy(), groups.copy()
    fill_words(np.array(COUNTS, np.uint32), firsts, turned)
    assert sum(ones(word) for word in turned) == sum(COUNTS)
    mark_rows(places, others, firsts, turned, *counted)
    for found, same in zip((turned, *counted), (words, passing, groups), strict=True):
        np.testing.assert_array_equal(found, same)
    bits = np.zeros(32 * firsts[-1], bool)
    bits[[place for place in places[rows] if place >= 0]] = True
    by_group = bits.reshape(-1, 32)
    assert words.tolist() == [sum(int(bit) << i for i, bit in enumerate(group)) for group in by_group]
    for i in range(len(COUNTS)):
        mine = by_group[firsts[i] : firsts[i + 1]]
        assert (passing[i], groups[i]) == (mine.sum(), mine.any(axis=1).sum())
