"""The scan of residuals kept value by value, against numpy."""

import numpy as np
import pytest

from pqdb.config import Values
from pqdb.kernels import scan_values
from pqdb.kernels.vectors import FLOAT16, INT8
from pqdb.quantization.pack import pack_values, padded_dim, value_row_bytes, value_rows, values_of
from tests import naive
from tests.kernels.families import at
from tests.kernels.test_scan import nothing_more

forms = pytest.mark.parametrize("form", ["int8", "float16"])


class Lists:
    """Made-up lists of residuals, packed at addresses as the scan takes them, and two queries."""

    def __init__(
        self, rng: np.random.Generator, form: Values, dim: int, counts: tuple[int, ...] = (40, 0, 7, 33)
    ) -> None:
        self.form, self.dim, self.n = form, dim, sum(counts)
        ends = np.cumsum(counts)[:-1]
        self.rows = np.split(rng.permutation(self.n).astype(np.uint32), ends)
        self.coded = [
            value_rows(rng.standard_normal((n, dim)).astype(np.float32), rng.uniform(-1, 0, n).astype(np.float32), form)
            for n in counts
        ]
        self.blocks = [pack_values(*each) for each in zip(self.coded, self.rows, strict=True)]
        self.counts = np.array(counts, np.uint32)
        self.queries = rng.standard_normal((2, dim)).astype(np.float32)
        self.bases = rng.uniform(-1, 1, (2, len(counts))).astype(np.float32)
        self.margins = rng.uniform(0, 0.3, (2, len(counts))).astype(np.float32)
        scales = np.concatenate([values_of(each, dim, form)[1] for each in self.coded])
        self.floors = np.array([0, np.median(scales)], np.float32)
        self.everyone = np.full(self.n // 8 + 9, 255, np.uint8)

    def true(self, q: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
        """(n,) values and upper bounds of every row, by its number."""
        query, step = self.queries[q].astype(np.float64), 1.0
        if self.form == "int8":
            query, step = naive.search.to_int8(query)
        values, bounds = np.empty(self.n), np.empty(self.n)
        for p, (coded, rows) in enumerate(zip(self.coded, self.rows, strict=True)):
            kept, scales, biases = values_of(coded, self.dim, self.form)
            values[rows] = self.bases[q, p] + biases + beta * step * scales * (kept.astype(np.float64) @ query)
            bounds[rows] = values[rows] + np.maximum(scales, self.floors[q]) * self.margins[q, p]
        return values, bounds

    def scan(
        self, depth: int, allowed: np.ndarray, beta: float = 1.0, room: int = 1_000,
        reached: list[float] | None = None,
    ) -> tuple[int, list[dict[int, tuple[float, float]]], np.ndarray]:  # fmt: skip
        """Queries finished, {row: (value, bound)} of each one's candidates, cuts."""
        lists = np.tile(np.arange(len(self.counts), dtype=np.int32), (2, 1))
        values, bounds = np.empty(room, np.float32), np.empty(room, np.float32)
        rows, places = np.empty(room, np.uint32), np.empty(room, np.int64)
        starts, cuts = np.zeros(3, np.int64), np.empty(2, np.float32)
        factors, queries, kind, size = np.full(2, beta, np.float32), self.queries, FLOAT16, self.dim
        if self.form == "int8":
            kind, size = INT8, padded_dim(self.dim)
            queries = np.empty((2, size), np.int8)
            scan_values.round_queries(self.queries, factors, queries)
        done = scan_values.scan_values(
            kind, size, value_row_bytes(self.dim, self.form),
            np.array([at(b) if len(b) else 0 for b in self.blocks], np.uint64), self.counts, lists,
            np.full(2, len(self.counts), np.int32), self.bases, self.margins, self.floors, queries, factors, allowed,
            *nothing_more(reached), np.empty(depth, np.float32), values, bounds, rows, places, starts, cuts,
        )  # fmt: skip
        found = []
        for q in range(done):
            part = slice(starts[q], starts[q + 1])
            found.append(dict(zip(rows[part].tolist(), zip(values[part], bounds[part], strict=True), strict=True)))
            for row, place in zip(rows[part].tolist(), places[part].tolist(), strict=True):
                assert self.rows[place >> 32][place & 0xFFFFFFFF] == row
        return done, found, cuts


@forms
@pytest.mark.parametrize("dim", [1, 24, 65])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_candidates_are_those_of_numpy(rng: np.random.Generator, form: Values, dim: int, beta: float) -> None:
    made = Lists(rng, form, dim)
    done, found, cuts = made.scan(9, made.everyone, beta)
    assert done == 2
    for q in range(2):
        values, bounds = made.true(q, beta)
        cut = np.sort(values)[-9]
        assert cuts[q] == pytest.approx(cut, rel=1e-4, abs=1e-4)
        surely = set(np.flatnonzero(bounds >= cut + 1e-3).tolist())
        perhaps = set(np.flatnonzero(bounds >= cut - 1e-3).tolist())
        assert surely <= found[q].keys() <= perhaps
        for row, (value, bound) in found[q].items():
            assert value == pytest.approx(values[row], rel=1e-4, abs=1e-4)
            assert bound == pytest.approx(bounds[row], rel=1e-4, abs=1e-4)


@forms
def test_a_query_is_held_at_the_value_that_is_known_to_be_reached(rng: np.random.Generator, form: Values) -> None:
    made = Lists(rng, form, 24)
    known = float(np.median(made.true(0, 1.0)[0]))
    _, found, cuts = made.scan(5, made.everyone, reached=[known, np.inf])
    assert cuts[0] == pytest.approx(known)
    bounds = made.true(0, 1.0)[1]
    assert set(np.flatnonzero(bounds >= known + 1e-3)) <= found[0].keys() <= set(np.flatnonzero(bounds >= known - 1e-3))
    assert found[1] == made.scan(5, made.everyone)[1][1]


@forms
def test_rows_that_are_not_allowed_are_passed_over(rng: np.random.Generator, form: Values) -> None:
    made = Lists(rng, form, 24)
    allowed = np.zeros_like(made.everyone)
    for row in range(0, made.n, 3):
        allowed[row >> 3] |= 1 << (row & 7)
    _, found, _ = made.scan(made.n, allowed)
    assert [sorted(each) for each in found] == [list(range(0, made.n, 3))] * 2


@forms
def test_without_a_bitmap_every_row_may_be_found(rng: np.random.Generator, form: Values) -> None:
    made = Lists(rng, form, 24)
    (_, found, cuts), (_, same, as_before) = (made.scan(9, bits) for bits in (made.everyone[:0], made.everyone))
    assert found == same
    assert np.array_equal(cuts, as_before)


@forms
def test_a_room_too_small_ends_the_scan_before_the_query(rng: np.random.Generator, form: Values) -> None:
    made = Lists(rng, form, 24)
    assert made.scan(5, made.everyone, room=made.n - 1)[0] == 0
    assert made.scan(made.n, made.everyone, room=2 * made.n - 1)[0] == 1
    assert made.scan(made.n, made.everyone, room=2 * made.n)[0] == 2
