"""Rerank: int8 and float16 values against numpy, and who gets one."""

import numpy as np
import pytest

from pqdb.config import Values
from pqdb.kernels import rerank, scan_values
from pqdb.kernels.vectors import INT8
from pqdb.quantization.pack import pack_rerank, padded_dim, unpack_rerank, value_row_bytes
from tests import naive
from tests.kernels.families import at

forms = pytest.mark.parametrize("form", ["int8", "float16"])


class Candidates:
    """Two lists of residuals, and candidates of one query within them."""

    def __init__(self, rng: np.random.Generator, dim: int = 70, form: Values = "int8") -> None:
        self.form: Values = form
        self.dim, self.dpad = dim, padded_dim(dim)
        self.residuals = [rng.standard_normal((n, dim)).astype(np.float32) for n in (30, 25)]
        self.biases = [rng.uniform(-1, 0, n).astype(np.float32) for n in (30, 25)]
        self.blocks = [pack_rerank(r, b, form) for r, b in zip(self.residuals, self.biases, strict=True)]
        self.query = rng.standard_normal((1, dim)).astype(np.float32)
        self.bases = rng.uniform(-2, 2, (1, 2)).astype(np.float32)
        self.n = 55
        self.places = np.array([(p << 32) | i for p in (0, 1) for i in range((30, 25)[p])], np.int64)

    def true_values(self, beta: float) -> np.ndarray:
        """A + B + β·s·s_q·⟨q8, r8⟩ of every candidate, or A + B + β⟨q, r⟩ with float16 residuals, in numpy."""
        q8, step = naive.search.to_int8(self.query[0].astype(np.float64))
        if self.form == "float16":
            q8, step = self.query[0].astype(np.float64), 1.0
        out = []
        for p in (0, 1):
            small, scales, biases = unpack_rerank(self.blocks[p], len(self.residuals[p]), self.dim, self.form)
            products = small.astype(np.float64) @ q8
            out.append(float(self.bases[0, p]) + biases + beta * step * scales.astype(np.float64) * products)
        return np.concatenate(out)

    def run(
        self, values: np.ndarray, bounds: np.ndarray, cut: float, k: int, keep: int, beta: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Candidate i is row 100 + i. Returns the best values and rows, how many of them, how many were
        looked at."""
        best, rows = np.empty((1, keep), np.float32), np.empty((1, keep), np.uint32)
        found, reranked = np.empty(1, np.int32), np.empty(1, np.int32)
        by, size = rerank.rerank_candidates, self.dpad
        if self.form == "float16":
            by, size = rerank.rerank_by_halves, value_row_bytes(self.dim, "float16")
        by(
            self.query, np.float32(beta), size, np.array([at(b) for b in self.blocks], np.uint64),
            np.array([[0, 1]], np.int32), self.bases,
            values.astype(np.float32),
            bounds.astype(np.float32), np.arange(100, 155).astype(np.uint32), self.places.copy(),
            np.array([0, self.n], np.int64), np.array([cut], np.float32), k, best,
            rows, found, reranked, np.empty(self.dpad, np.int8),
        )  # fmt: skip
        return best[0], rows[0], int(found[0]), int(reranked[0])


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("dim", [1, 64, 70])
@forms
def test_values_are_the_naive_ones(rng: np.random.Generator, beta: float, dim: int, form: Values) -> None:
    made = Candidates(rng, dim, form)
    true = made.true_values(beta)
    best, rows, found, looked_at = made.run(true, np.full(55, np.inf), -np.inf, 55, 55, beta)
    assert found == looked_at == 55
    order = np.argsort(-true, kind="stable")
    assert sorted(rows.tolist()) == list(range(100, 155))
    np.testing.assert_allclose(best, true[order], rtol=1e-4, atol=1e-4)


@forms
def test_nobody_who_could_win_is_left_out(rng: np.random.Generator, form: Values) -> None:
    """Bounds that hold: the k best of all come out, though few were looked at."""
    made = Candidates(rng, form=form)
    true = made.true_values(1.0)
    values = true + rng.uniform(-0.5, 0.5, 55)
    cut = float(np.sort(values)[-5])
    best, rows, found, looked_at = made.run(values, values + 0.5, cut, 5, 7)
    assert set(rows[:5].tolist()) == set((100 + np.argsort(-true)[:5]).tolist())
    assert np.all(np.diff(best[:found]) <= 0)
    assert 5 <= looked_at < 55


def test_those_who_made_the_cut_are_all_looked_at(rng: np.random.Generator) -> None:
    """rerank=30 by hand means 30, though the margin is 0 and bounds promise nothing."""
    made = Candidates(rng)
    values = rng.standard_normal(55)
    cut = float(np.sort(values)[-30])
    _, _, _, looked_at = made.run(values, values, cut, 3, 10)
    assert looked_at >= 30


def test_fewer_candidates_than_places(rng: np.random.Generator) -> None:
    made = Candidates(rng)
    made.n = 3
    best, rows, found, _ = made.run(np.zeros(55), np.full(55, np.inf), -np.inf, 5, 6)
    assert found == 3
    assert set(rows[:3].tolist()) == {100, 101, 102}
    assert np.all(best[3:] == -np.inf)


def test_without_a_tier_the_best_estimates_are_kept(rng: np.random.Generator) -> None:
    values, rows = rng.standard_normal(40).astype(np.float32), rng.permutation(40).astype(np.uint32)
    starts = np.array([0, 30, 30, 40], np.int64)
    best, best_rows, found = np.empty((3, 4), np.float32), np.empty((3, 4), np.uint32), np.empty(3, np.int32)
    rerank.keep_estimates(values, rows, starts, best, best_rows, found)
    assert found.tolist() == [4, 0, 4]
    for i, part in ((0, slice(0, 30)), (2, slice(30, 40))):
        order = np.argsort(-values[part])[:4]
        assert np.array_equal(best[i], values[part][order])
        assert np.array_equal(best_rows[i], rows[part][order])


def test_values_at_any_position_of_a_block(rng: np.random.Generator) -> None:
    made = Candidates(rng)
    q8 = np.zeros(made.dpad, np.int8)
    q8[: made.dim] = rng.integers(-127, 128, made.dim)
    small, scales, biases = unpack_rerank(made.blocks[0], 30, made.dim)
    for i in (0, 17, 29):
        row = at(made.blocks[0]) + np.uint64(i * (made.dpad + 8))
        found = scan_values.value_of(INT8, row, made.dpad, np.float32(0.5), np.float32(0.01), at(q8))
        true = 0.5 + biases[i] + 0.01 * scales[i] * int(small[i].astype(int) @ q8[: made.dim].astype(int))
        assert found == pytest.approx(true, rel=1e-5, abs=1e-5)
