"""Rows against panels of others: products and the nearest, by fast tiles and plain ones, against numpy."""

import numpy as np
import pytest

from pqdb.kernels import panels as kernels
from pqdb.kernels.panels_simd import TILE, WIDTH
from pqdb.panels import Near, Panels, inner_products, nearest_rows
from tests import naive_quantization as naive
from tests.compiled import compiled

SHAPES = [(1, 1, 1), (TILE, WIDTH, 5), (TILE - 1, WIDTH + 1, 3), (3 * TILE + 2, 2 * WIDTH - 1, 17), (50, 7, 384)]
shapes = pytest.mark.parametrize(("n", "k", "dim"), SHAPES)


def whole_numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers as float32: sums of their products are exact, so ties are ties."""
    return rng.integers(-4, 5, shape).astype(np.float32)


def offers(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """⟨x, c⟩ − ‖c‖²/2 (n, k)."""
    return rows.astype(np.float64) @ others.T.astype(np.float64) - (others.astype(np.float64) ** 2).sum(axis=1) / 2


@pytest.fixture(params=[True, False], ids=["as the machine has it", "plain"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels as they are, or with plain loops in them."""
    if not request.param:
        monkeypatch.setattr(kernels, "SIMD", False)
        for name in ("nearest_of_panels", "products_of_panels"):
            plain = getattr(getattr(kernels, name), "py_func", getattr(kernels, name))
            monkeypatch.setattr(f"pqdb.panels.{name}", plain)


@shapes
@pytest.mark.usefixtures("either")
def test_products_are_numpys(rng: np.random.Generator, n: int, k: int, dim: int) -> None:
    rows, others = (rng.standard_normal((m, dim)).astype(np.float32) for m in (n, k))
    true = rows.astype(np.float64) @ others.T.astype(np.float64)
    added = np.abs(rows).astype(np.float64) @ np.abs(others).T.astype(np.float64)
    found = inner_products(rows, others)
    assert found.shape == (n, k)
    assert found.dtype == np.float32
    assert (np.abs(found - true) <= 1e-6 * added).all()


@shapes
@pytest.mark.usefixtures("either")
def test_the_nearest_and_the_first_of_equals(rng: np.random.Generator, n: int, k: int, dim: int) -> None:
    rows, others = whole_numbers(rng, n, dim), whole_numbers(rng, k, dim)
    labels = Panels.of(others).nearest(rows).labels
    assert labels.dtype == np.int32
    assert np.array_equal(labels, naive.nearest(rows, others))


@pytest.mark.usefixtures("either")
def test_it_goes_on_where_the_last_call_stopped(rng: np.random.Generator) -> None:
    rows, others = whole_numbers(rng, 70, 5), whole_numbers(rng, 3 * WIDTH, 5)
    near = Near.nothing(70)
    for part in np.split(np.arange(3 * WIDTH, dtype=np.int32), [7]):
        Panels.of(others[part], part).improve(rows, near)
    assert np.array_equal(near.labels, naive.nearest(rows, others))
    offered = offers(rows, others)[np.arange(70), near.labels]
    assert np.array_equal(near.best, offered.astype(np.float32))


@shapes
@pytest.mark.usefixtures("either")
def test_what_comes_next_is_the_best_of_the_other_lanes(rng: np.random.Generator, n: int, k: int, dim: int) -> None:
    """Row r of the others lies in lane r % WIDTH."""
    rows, others = whole_numbers(rng, n, dim), whole_numbers(rng, k, dim)
    near = Panels.of(others).nearest(rows, two=True)
    assert np.array_equal(near.labels, naive.nearest(rows, others))
    offered = offers(rows, others)
    same_lane = np.arange(k)[None, :] % WIDTH == near.labels[:, None] % WIDTH
    next_best = np.where(same_lane, -np.inf, offered).max(axis=1)
    assert np.array_equal(near.next_best, next_best.astype(np.float32))
    there = next_best > -np.inf
    assert np.array_equal(offered[there, near.next_labels[there]], next_best[there])


@pytest.mark.usefixtures("either")
def test_two_of_several_calls_are_the_two_best_they_offered(rng: np.random.Generator) -> None:
    """Five rows a call lie in lanes of their own: nothing is passed over."""
    rows, others = whole_numbers(rng, 70, 5), whole_numbers(rng, 40, 5)
    near = Near.nothing(70, two=True)
    for part in np.array_split(rng.permutation(40).astype(np.int32), 8):
        Panels.of(others[part], part).improve(rows, near)
    offered = offers(rows, others)
    best = np.sort(offered, axis=1)[:, ::-1]
    assert np.array_equal(near.best, best[:, 0].astype(np.float32))
    assert np.array_equal(near.next_best, best[:, 1].astype(np.float32))
    assert (near.labels != near.next_labels).all()


@compiled
def test_rows_of_many_blocks_and_parts(rng: np.random.Generator) -> None:
    """More than one block of rows in the kernel, and more than one part for the threads."""
    rows, others = whole_numbers(rng, 5_003, 64), whole_numbers(rng, 70, 64)
    assert np.array_equal(Panels.of(others).nearest(rows).labels, naive.nearest(rows, others))
    assert np.array_equal(inner_products(rows, others), rows @ others.T)


def test_views_in_any_order_are_taken(rng: np.random.Generator) -> None:
    wide = whole_numbers(rng, 12, 40)
    rows, others = wide.T[::2], wide.T
    assert np.array_equal(inner_products(rows, others), rows @ others.T)
    assert np.array_equal(Panels.of(others).nearest(rows).labels, naive.nearest(rows, others))


@pytest.mark.parametrize("count", [1, 10, 400])
def test_the_nearest_rows_of_many_queries(rng: np.random.Generator, count: int) -> None:
    rows, queries = whole_numbers(rng, 300, 9), whole_numbers(rng, 150, 9)
    known = (rows**2).sum(axis=1)
    found = nearest_rows(queries, rows, known, count)
    apart = ((queries[:, None] - rows) ** 2).sum(axis=2)
    assert found.shape == (150, min(count, 300))
    assert all(len(set(each)) == len(each) for each in found.tolist())
    chosen = np.sort(np.take_along_axis(apart, found, axis=1), axis=1)
    assert np.array_equal(chosen, np.sort(apart, axis=1)[:, :count])


def test_nothing_against_something(rng: np.random.Generator) -> None:
    assert inner_products(np.empty((0, 4), np.float32), whole_numbers(rng, 3, 4)).shape == (0, 3)
    assert inner_products(whole_numbers(rng, 3, 4), np.empty((0, 4), np.float32)).shape == (3, 0)
