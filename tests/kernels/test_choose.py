"""Which lists are scanned for the rows that pass a filter, against the same in plain numpy."""

import numpy as np
import pytest

from pqdb.kernels import cells as kernel
from pqdb.kernels.cells import CELLS, More, expected_above, find_threshold, gather_cells, go_on, share_above
from pqdb.kernels.choose import choose_lists
from tests import naive

LISTS = 300
LOW, STEP = -0.3, 0.02
SHARES = np.array([np.linspace(1, 0, 40) ** power for power in (2, 4, 6)], np.float32)


class Made:
    """Lists somewhere around a query."""

    def __init__(self, rng: np.random.Generator, l2: bool, passing: float = 0.7) -> None:
        self.l2, self.shift = l2, 0.2 if l2 else 0.0
        self.values = (-rng.uniform(0.5, 4, LISTS) if l2 else rng.normal(0, 0.2, LISTS)).astype(np.float32)
        self.kinds = rng.integers(0, 4, LISTS).astype(np.uint8)
        self.kind_lengths = np.array([0.75, 0.9, 1.1, 1.25], np.float32)
        self.passing = np.where(rng.random(LISTS) < passing, rng.integers(1, 9, LISTS), 0).astype(np.int32)
        self.groups = np.minimum(rng.integers(1, 5, LISTS), self.passing).astype(np.int32)
        self.cells, self.cell_of = np.zeros((CELLS, 4), np.float32), np.full(LISTS, -1, np.int32)

    def scatter(self) -> tuple[object, ...]:
        return LOW, STEP, self.shift

    def expected(self, threshold: float, lists: np.ndarray | None = None) -> np.ndarray:
        chosen = np.arange(LISTS) if lists is None else lists
        return naive.search.rows_above(
            threshold, self.values, self.kind_lengths[self.kinds], self.l2, 1.0, SHARES, self.scatter(), self.passing
        )[chosen]

    def gather(self) -> int:
        """How many cells there are."""
        return gather_cells(
            self.values, self.kinds, self.kind_lengths, self.l2, 1.0, *self.scatter(), self.passing, self.cells,
            self.cell_of,
        )  # fmt: skip

    def choose(self, k: int, aim: float, least: float = 0.0) -> tuple[np.ndarray, int, np.ndarray]:
        """The lists to scan first, their groups, and all there are."""
        lists = np.full(LISTS, -1, np.int32)
        first, cost, there = choose_lists(
            self.values, self.kinds, self.kind_lengths, self.l2, 1.0, SHARES, *self.scatter(), self.passing,
            self.groups, k, aim, least, lists, self.cells, self.cell_of,
        )  # fmt: skip
        return lists[:first], cost, lists[:there]


both = pytest.mark.parametrize("l2", [False, True], ids=["inner product", "l2"])


def test_shares_are_read_between_the_numbers_and_flat_outside() -> None:
    assert share_above(SHARES, 1, -3.0) == SHARES[1, 0]
    assert share_above(SHARES, 1, 99.0) == SHARES[1, -1]
    assert share_above(SHARES, 2, 7.25) == pytest.approx(0.75 * SHARES[2, 7] + 0.25 * SHARES[2, 8], rel=1e-6)


@both
def test_what_is_expected_of_cells_is_what_is_expected_of_their_lists(rng: np.random.Generator, l2: bool) -> None:
    made = Made(rng, l2)
    made.gather()
    assert expected_above(SHARES, made.cells, -99.0) == made.passing.sum()
    for threshold in np.quantile(made.values, [0.2, 0.5, 0.9, 0.99]):
        found, true = expected_above(SHARES, made.cells, threshold), made.expected(float(threshold)).sum()
        assert found == pytest.approx(true, rel=0.1, abs=0.5)  # (cells have middles)


@both
def test_the_threshold_leaves_k_expected(rng: np.random.Generator, l2: bool) -> None:
    made = Made(rng, l2)
    n = made.gather()
    for k in (1, 10, 500):
        threshold = find_threshold(SHARES, made.cells, n, k)
        assert expected_above(SHARES, made.cells, threshold) == pytest.approx(k, rel=0.1)
    everything = find_threshold(SHARES, made.cells, n, 10**6)
    assert expected_above(SHARES, made.cells, everything) == pytest.approx(made.passing.sum(), rel=1e-3)


@both
def test_lists_come_by_what_they_hold_for_their_size_until_the_aim_is_reached(
    rng: np.random.Generator, l2: bool
) -> None:
    made = Made(rng, l2)
    found, cost, there = made.choose(10, 0.9)
    assert sorted(there) == np.flatnonzero(made.passing).tolist()
    assert cost == pytest.approx(made.groups[found].sum(), rel=0.2)  # (of the last grade, its mean)
    n = made.gather()
    held = made.expected(float(find_threshold(SHARES, made.cells, n, 10)))
    assert 0.87 < held[found].sum() / held.sum() < 0.97
    worth = held[there] / made.groups[there]
    in_order = worth[:-20] + 1e-6 >= 0.75 * worth[20:]  # to within a grade, a cell and the ends of belts
    assert in_order.mean() > 0.95
    assert worth[: len(found)].min() > 0.5 * worth[len(found) :].max()


def test_more_is_taken_for_a_higher_aim_for_a_floor_and_everything_for_all(rng: np.random.Generator) -> None:
    made = Made(rng, False)
    sizes = [len(made.choose(10, aim)[0]) for aim in (0.5, 0.8, 0.95, 0.99)]
    assert sizes == sorted(set(sizes))
    assert made.choose(10, 0.5, least=300)[1] >= 300
    first, cost, there = made.choose(10, 1.0)
    assert len(first) == len(there) == (made.passing > 0).sum()
    assert cost == made.groups.sum()
    assert len(made.choose(10**6, 0.9)[0]) < len(there)


def test_without_a_row_that_passes_there_is_nothing_to_scan(rng: np.random.Generator) -> None:
    first, cost, there = Made(rng, False, passing=0.0).choose(10, 0.9)
    assert (len(first), cost, len(there)) == (0, 0, 0)


def test_lists_that_are_alike_are_taken_in_part() -> None:
    rng = np.random.default_rng(0)
    made = Made(rng, False)
    made.values[:], made.kinds[:], made.passing[:], made.groups[:] = 0.3, 2, 50, 2
    first, cost, there = made.choose(10, 0.9)
    assert (len(first), cost, len(there)) in ((270, 540, 300), (271, 541, 300), (271, 542, 300))  # (a sum is rounded)


def test_scanning_goes_on_while_the_rest_may_hold_more_than_may_be_missed(rng: np.random.Generator) -> None:
    made = Made(rng, False)
    first, _, there = made.choose(10, 0.9)

    def up_to(done: int, stop: int, most: float, cut: float) -> int:
        more = More(np.array([len(there)], np.int32), made.passing, made.groups, SHARES, made.cells[None],
                    made.cell_of[None], most)  # fmt: skip
        further, room = go_on(more, 0, done, stop, there, cut, 7)
        assert room == 7 + made.passing[there[stop:further]].sum()
        return int(further)

    high, low = float(made.values.max()) + 1, float(made.values.min())
    at = up_to(0, len(first), 1.0, high)
    assert at == len(first)  # nothing is expected above that
    rest = expected_above(SHARES, made.cells, low)
    assert rest == pytest.approx(made.expected(low, there[len(first) :]).sum(), rel=0.05)
    further = up_to(at, at, float(rest) - 1, low)
    assert made.groups[there[at : further - 1]].sum() < kernel.CHECKED <= made.groups[there[at:further]].sum()
    assert up_to(at, at, float(rest) + 1, low) == at
    assert up_to(at, at, float(rest) + 1, -np.inf) > at  # k were not found yet
    assert up_to(len(there), len(there), 0.0, -np.inf) == len(there)
