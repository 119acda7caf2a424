"""The scan of a block of queries, list by list, against the scan of one query after the other."""

import numpy as np
import pytest

from pqdb.kernels import scan, together
from pqdb.quantization.pack import group_bytes
from tests.kernels.test_scan import Lists, nothing_more

COUNTS = [70, 3, 0, 128, 33, 64, 1, 200, 17, 96]
DEPTH = 10
NO_ROW = 0xFFFFFFFF


class Block:
    """Queries that probe lists of their own choice, as both scans take them."""

    def __init__(self, rng: np.random.Generator, queries: int, m: int, nbits: int, bias: bool) -> None:
        self.made, self.n = Lists(rng, COUNTS, m, nbits, bias), queries
        self.lists = np.array([rng.permutation(len(COUNTS)) for _ in range(queries)], np.int32)
        self.probed = rng.integers(0, len(COUNTS) + 1, queries).astype(np.int32)
        self.bases = rng.uniform(-1, 1, self.lists.shape).astype(np.float32)
        self.margins = rng.uniform(0, 0.3, self.lists.shape).astype(np.float32)
        self.floors = rng.uniform(0, 2, queries).astype(np.float32)
        low, high = int(self.made.table.min()), int(self.made.table.max()) + 1
        self.tables = rng.integers(low, high, (queries, *self.made.table.shape[1:])).astype(self.made.table.dtype)
        self.coefficients = np.repeat(self.made.coefficients, queries, axis=0)

    def known(self, allowed: np.ndarray, words: bool) -> tuple[object, ...]:
        """What both scans begin with."""
        made = self.made
        which = made.words(allowed) if words else (np.zeros(0, np.uint32), np.zeros(0, np.int64))
        return (
            made.nbits, made.m, group_bytes(made.m, made.nbits, made.bias), made.bias, made.addresses, made.counts,
            self.lists, self.probed, self.bases, self.margins, self.floors, self.tables, self.coefficients, allowed,
            *which,
        )  # fmt: skip

    def room(self, size: int) -> tuple[np.ndarray, ...]:
        """Values, bounds, rows, places, starts, cuts."""
        numbers = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.uint32)
        return *numbers, np.empty(size, np.int64), np.empty(self.n + 1, np.int64), np.empty(self.n, np.float32)

    def one_by_one(self, allowed: np.ndarray, words: bool) -> list[np.ndarray]:
        """The candidates, by scan.scan_lists."""
        room = self.room(self.n * sum(COUNTS))
        scratch = np.empty(DEPTH, np.float32), np.empty(scan.SPACE, np.uint64)
        assert scan.scan_lists(*self.known(allowed, words), *nothing_more(), *scratch, *room) == self.n
        return self.filled(room)

    def together(self, allowed: np.ndarray, words: bool, size: int) -> list[np.ndarray] | None:
        """The same by scan_together; None where it says that there is no room."""
        room = self.room(size)
        return self.filled(room) if together.scan_together(*self.known(allowed, words), DEPTH, *room) else None

    def gathered(self, allowed: np.ndarray) -> int:
        """How many candidates there are before any is dropped."""
        room = self.room(self.n * sum(COUNTS))
        room[2][:] = NO_ROW
        assert together.scan_together(*self.known(allowed, False), DEPTH, *room)
        return int((room[2] != NO_ROW).sum())

    def filled(self, room: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """What counts of it."""
        starts = room[4]
        return [*(each[: starts[-1]] for each in room[:4]), *room[4:]]


@pytest.mark.parametrize("words", [False, True], ids=["by rows", "by words"])
@pytest.mark.parametrize("bias", [False, True], ids=["inner product", "l2"])
@pytest.mark.parametrize(("nbits", "m"), [(4, 8), (4, 16), (8, 3)])
@pytest.mark.parametrize("queries", [1, 2, 23])
def test_candidates_are_those_of_one_query_after_the_other(
    rng: np.random.Generator, queries: int, nbits: int, m: int, bias: bool, words: bool
) -> None:
    """In the same order too: what is reranked and found then does not depend on who was asked at the same time."""
    block = Block(rng, queries, m, nbits, bias)
    allowed = rng.integers(0, 256, len(block.made.everyone)).astype(np.uint8)
    size = queries * sum(COUNTS)
    found = block.together(allowed, words, size)
    assert found is not None
    for mine, theirs in zip(found, block.one_by_one(allowed, words), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6 if mine.dtype == np.float32 else 0)
    assert len(found[0]) > 0 or not block.probed.any()


def test_ranks_are_closed_where_room_is_short(rng: np.random.Generator) -> None:
    """What no longer counts makes room for what is still to come, and the answer is the same."""
    block = Block(rng, 12, 16, 4, True)
    block.probed[:] = len(COUNTS)
    block.margins[:] = 0
    unbounded, gathered = block.one_by_one(block.made.everyone, False), block.gathered(block.made.everyone)
    size = gathered - 1
    assert 4 * (len(unbounded[0]) + max(COUNTS)) < 3 * size  # what stays leaves room enough
    found = block.together(block.made.everyone, False, size)
    assert found is not None
    for mine, theirs in zip(found, unbounded, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6 if mine.dtype == np.float32 else 0)


def test_it_says_when_there_could_be_more_than_there_is_room_for(rng: np.random.Generator) -> None:
    block = Block(rng, 6, 8, 4, False)
    block.probed[:] = len(COUNTS)
    assert block.together(block.made.everyone, False, max(COUNTS) - 1) is None
    assert block.together(block.made.everyone, False, 6 * sum(COUNTS)) is not None


def test_queries_that_probe_nothing_have_no_candidates(rng: np.random.Generator) -> None:
    block = Block(rng, 3, 8, 4, True)
    block.probed[:] = 0
    found = block.together(block.made.everyone, False, 10)
    assert found is not None
    assert found[4].tolist() == [0, 0, 0, 0]
    assert np.isneginf(found[5]).all()
