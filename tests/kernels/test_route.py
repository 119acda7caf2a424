"""Which lists a query looks into: their order, their number, and the numbers handed on to the scan."""

from dataclasses import replace

import numpy as np
import pytest

from pqdb.kernels import route
from pqdb.partition import router as routers
from pqdb.partition.router import Router, nibble_rows
from tests import naive
from tests.data import clustered, queries_near

KNOTS = np.array([0.0], np.float32)


def a_router(n_lists: int, dim: int, l2: bool) -> Router:
    centroids = clustered(n_lists, dim, seed=5) + np.float32(1.5)
    return Router(l2, np.zeros(dim, np.float32), 1.0, centroids)


def routed(
    router: Router,
    queries: np.ndarray,
    most: int,
    widths: list[float],
    knots: np.ndarray = KNOTS,
    noise: float = 0.0,
    exact: bool = True,
    within: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    q = len(queries)
    lists, probed = np.full((q, most), -1, np.int32), np.empty(q, np.int32)
    bases, margins = np.empty((q, most), np.float32), np.empty((q, most), np.float32)
    route.route_queries(
        queries, router.l2, router.center, router.banks, router.scales, router.weights, router.leads,
        router.offsets, router.fine, router.fine_scales, router.centroids if exact else router.centroids[:0],
        noise, np.float32(within), knots, np.array(widths, np.float32), lists, probed, bases, margins,
    )  # fmt: skip
    return lists, probed, bases, margins


metrics = pytest.mark.parametrize("l2", [False, True], ids=["inner product", "l2"])


@metrics
@pytest.mark.parametrize("dim", [1, 3, 65, 100])
def test_lists_come_likeliest_first_by_the_naive_key(l2: bool, dim: int) -> None:
    """To within the rounding of an int8 product and of the counting sort's buckets."""
    router = a_router(60, dim, l2)
    queries = queries_near(router.centroids, 8, seed=1)
    keys = naive.search.keys(queries.astype(np.float64), router.centroids.astype(np.float64), "l2" if l2 else "dot")
    lists, probed, _, _ = routed(router, queries, 60, [60])
    for key, order, n in zip(keys, lists, probed, strict=True):
        assert n == 60
        assert sorted(order) == list(range(60))  # each list once
        spread = float(key.max() - key.min())
        slack = 0.02 * spread + 1e-5
        assert np.all(np.diff(key[order]) <= slack)


@metrics
@pytest.mark.parametrize("wanted", [1, 7, 29, 31, 60])
def test_the_lists_taken_are_the_best_of_all(l2: bool, wanted: int) -> None:
    router = a_router(60, 24, l2)
    queries = queries_near(router.centroids, 8, seed=2)
    keys = naive.search.keys(queries.astype(np.float64), router.centroids.astype(np.float64), "l2" if l2 else "dot")
    lists, probed, _, _ = routed(router, queries, wanted, [wanted])
    assert probed.tolist() == [wanted] * 8
    for key, order in zip(keys, lists, strict=True):
        assert len(set(order.tolist())) == wanted
        worst = np.sort(key)[-wanted]
        assert np.all(key[order] >= worst - 0.02 * (key.max() - key.min()))


@pytest.mark.parametrize("wanted", [1, 2, 30])
def test_the_nearest_list_is_taken_whatever_the_spread_of_others_is_worth(wanted: int) -> None:
    by_value = a_router(60, 24, False)
    for nearest in (0, 1, 30, 58, 59):
        spreads = np.full(60, 50, np.float32)
        spreads[nearest] = 0
        router = Router(False, by_value.mean, 1.0, by_value.centroids, spreads, 100.0)
        query = router.centroids[nearest : nearest + 1] - router.center
        value = (router.centroids @ query[0]).argmax()
        lists, _, bases, _ = routed(router, query, wanted, [wanted])
        assert value == lists[0, 0]
        assert bases[0].max() == pytest.approx((router.centroids @ query[0]).max(), rel=1e-5)
        assert len(set(lists[0].tolist())) == wanted


@pytest.mark.parametrize("wanted", [1, 20, 100, 250])
@pytest.mark.parametrize("far", [[-1e6], [1e6], [-1e6, 1e6], [*30 * [-1e6], 1e4]], ids=str)
def test_a_few_far_keys_do_not_blur_the_others(wanted: int, far: list[float]) -> None:
    """Of keys that differ by a millionth of what the farthest lies away, the largest are taken all the same."""
    rng = np.random.default_rng(8)
    keys = rng.permutation(np.concatenate([far, rng.random(300)])).astype(np.float32)
    lists, picked = np.full((1, wanted), -1, np.int32), np.empty(2 * len(keys) + 1, np.int32)
    histogram = np.empty(route.BUCKETS, np.int32)
    route.select_largest(keys, keys.max(), keys.min(), wanted, lists, 0, histogram, picked)
    assert len(set(lists[0].tolist())) == wanted
    larger = np.count_nonzero(keys > keys[lists[0]].min())
    assert larger <= wanted + wanted // 8 + 8  # but for those of one bucket


@metrics
def test_bases_are_exact_or_as_exact_as_int8_and_margins_grow_with_the_distance(l2: bool) -> None:
    router = a_router(20, 24, l2)
    queries = queries_near(router.centroids, 4, seed=3)
    for exact in (True, False):
        lists, _, bases, margins = routed(router, queries, 20, [20], noise=0.25, exact=exact)
        slack = 1e-5 if exact else 8 * (2 if l2 else 1) * router.rounding()
        for i, query in enumerate(queries.astype(np.float64)):
            near = router.centroids[lists[i]].astype(np.float64)
            if l2:
                apart = ((near - query) ** 2).sum(axis=1)
                np.testing.assert_allclose(bases[i], -apart, rtol=1e-5, atol=slack)
                away = np.linalg.norm(near - router.center, axis=1) + np.linalg.norm(router.center.astype(np.float64))
                margin = 2 * 0.25 * np.sqrt(-bases[i].astype(np.float64)) + 2.0**-10 * away
                np.testing.assert_allclose(margins[i], margin, rtol=1e-5)
            else:
                np.testing.assert_allclose(bases[i], near @ query, rtol=1e-4, atol=slack)
                np.testing.assert_allclose(margins[i], 0.25 * np.linalg.norm(query), rtol=1e-5)


@metrics
def test_what_all_centroids_and_queries_have_in_common_blurs_nothing(l2: bool) -> None:
    """Most text embeddings share a part that is longer than what tells them apart."""
    centroids, rng = clustered(60, 24, seed=5), np.random.default_rng(9)
    queries, common = queries_near(centroids, 8, seed=2), 50 * rng.standard_normal(24).astype(np.float32)
    plain = Router(l2, np.zeros(24, np.float32), 1.0, centroids)
    shifted = Router(l2, np.zeros(24, np.float32), 1.0, centroids + common)
    far = queries + common
    order, _, bases, _ = routed(shifted, far, 60, [60], exact=False)
    slack = 8 * (2 if l2 else 1) * plain.rounding() + 1e-6 * float(common @ common)
    for q in range(8):
        near = shifted.centroids[order[q]].astype(np.float64)
        truth = -((near - far[q]) ** 2).sum(axis=1) if l2 else near @ far[q].astype(np.float64)
        assert np.abs(bases[q] - truth).max() < slack


@metrics
def test_an_easy_query_probes_fewer_lists_than_a_hard_one(l2: bool) -> None:
    """The best key, exact but for int8, is looked up between the knots."""
    router = a_router(40, 24, l2)
    queries = np.ascontiguousarray(np.concatenate([router.centroids[:3], 0.2 * router.centroids[3:6]]))
    keys = naive.search.keys(queries.astype(np.float64), router.centroids.astype(np.float64), "l2" if l2 else "dot")
    best = keys.max(axis=1)
    knots = np.array([best.min(), best.max()], np.float32)
    probed = routed(router, queries, 40, [31, 1], knots)[1]
    wanted = np.interp(best, knots, [31, 1])
    assert np.all(np.abs(probed - wanted) <= 2)
    assert probed.max() > probed.min() + 10


@pytest.mark.parametrize("x", [-2.0, 0.0, 0.4, 1.0, 1.5, 3.0, 9.0])
def test_widths_between_knots_are_linear_and_flat_outside(x: float) -> None:
    knots, heights = np.array([0.0, 1.0, 3.0], np.float32), np.array([10.0, 4.0, 8.0], np.float32)
    assert route.interpolate(x, knots, heights) == pytest.approx(np.interp(x, knots, heights), rel=1e-6)


@metrics
@pytest.mark.parametrize("within", [0.5, 3.0, 100.0])
def test_a_query_is_the_harder_the_more_lists_rival_its_best(l2: bool, within: float) -> None:
    """Whatever its length by inner product; a list that is left out rivals nobody."""
    router = replace(a_router(60, 24, l2), spreads=np.ones(60, np.float32))
    queries = np.concatenate([router.centroids[:4], router.centroids.reshape(6, 10, 24).mean(axis=1)])
    out = np.arange(10, dtype=np.int32)
    for left_out in (None, out):
        keys, easy = router.keys_of(queries, left_out, within)
        best = keys.max(axis=1) if l2 else (queries @ router.centroids.T)
        if not l2:  # the nearest has a key above all others, which does not count
            keys = best.copy()
            if left_out is not None:
                keys[np.arange(10), left_out] = -np.inf
            best = keys.max(axis=1)
        squares = np.square(queries - (router.center if l2 else 0)).sum(axis=1)
        lengths = 24 / 2 * (within / route.RIVALS) ** 2  # what those of rows differ by, for l2
        way = 2 * np.sqrt(np.maximum(squares - best, 0) + lengths) if l2 else np.sqrt(squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.maximum(1 - (best[:, None] - keys) / (within * way)[:, None], 0)
        told = np.isfinite(shares).all(axis=1) & (way > 0.1)
        assert told.sum() >= 6
        assert -easy[told] == pytest.approx(shares[told].sum(axis=1), rel=0.05, abs=0.1)
    assert easy[4:].max() < easy[:4].min() or left_out is not None
    if not l2:
        assert router.keys_of(7 * queries, out, within)[1] == pytest.approx(easy, rel=1e-3)


@metrics
def test_a_query_at_the_only_centroid_has_no_rivals(l2: bool) -> None:
    router = a_router(1, 24, l2)
    one = replace(router, spreads=np.zeros(1, np.float32))
    assert one.keys_of(one.centroids, within=3.0)[1][0] == pytest.approx(-1)


@metrics
def test_equal_centroids_and_a_zero_query_are_no_trouble(l2: bool) -> None:
    router = Router(l2, np.zeros(8, np.float32), 1.0, np.ones((12, 8), np.float32))
    for value in (0.0, 1.0):
        lists, probed, bases, _ = routed(router, np.full((1, 8), value, np.float32), 5, [5])
        assert probed[0] == 5
        assert len(set(lists[0].tolist())) == 5
        assert np.isfinite(bases).all()


# -- many centroids: ranked by nibbles


@pytest.fixture(params=[False, True], ids=["inner product", "l2"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Router, Router]:
    """The same centroids, ranked by bytes and by nibbles."""
    by_bytes = a_router(300, 96, request.param)
    monkeypatch.setattr(routers, "MANY", 300 * 96)
    by_nibbles = a_router(300, 96, request.param)
    assert by_nibbles.nibbles
    assert not by_bytes.nibbles
    return by_bytes, by_nibbles


def test_nibbles_rank_the_likeliest_lists_first_but_for_their_rounding(both_ways: tuple[Router, Router]) -> None:
    queries = queries_near(both_ways[0].centroids, 40, seed=3)
    before, after = (routed(router, queries, 30, [30])[0] for router in both_ways)
    kept = [len(set(one) & set(other)) / 30 for one, other in zip(before.tolist(), after.tolist(), strict=True)]
    assert np.mean(kept) > 0.85
    assert (before[:, 0] == after[:, 0]).mean() > 0.8


def test_lists_ranked_by_nibbles_are_valued_by_bytes(both_ways: tuple[Router, Router]) -> None:
    """As they are where bytes rank them, to the last bits of a float; not as nibbles would have it."""
    queries = queries_near(both_ways[0].centroids, 20, seed=4)
    before, after = (routed(router, queries, 300, [300], noise=0.5, exact=False) for router in both_ways)
    for q in range(20):
        order = np.argsort(before[0][q]), np.argsort(after[0][q])
        for one, other in zip(before[2:], after[2:], strict=True):
            assert np.allclose(one[q][order[0]], other[q][order[1]], rtol=1e-5, atol=1e-5)


def test_nibbles_of_rows_of_any_kind_undo_to_about_them() -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((40, 64)).astype(np.float32) * np.geomspace(1e-6, 1e6, 40, dtype=np.float32)[:, None]
    rows[7], rows[8, 1:] = 0, 0
    nibbles, scales = nibble_rows(rows)
    assert nibbles.max() <= 15
    undone = (2.0 * nibbles - 15) * scales[:, None]
    assert (undone[7] == 0).all()
    lengths = np.linalg.norm(rows, axis=1)
    others = np.delete(np.arange(40), [7, 8])
    assert (np.linalg.norm(undone - rows, axis=1)[others] < 0.2 * lengths[others]).all()
    assert np.isfinite(scales).all()
    products = np.einsum("nd,nd->n", undone, rows)
    assert np.allclose(products, lengths.astype(np.float64) ** 2, rtol=1e-4), "right along the row itself"


def test_few_centroids_and_narrow_ones_stay_bytes() -> None:
    rng = np.random.default_rng(7)
    for shape, nibbles in (((400, 384), False), ((2_731, 384), True), ((2_730, 384), False), ((40_000, 63), False)):
        router = Router(False, np.zeros(shape[1], np.float32), 1.0, rng.standard_normal(shape).astype(np.float32))
        assert router.nibbles is nibbles
        assert len(router.fine) == (shape[0] if nibbles else 0)


def test_centroids_that_lie_closer_than_nibbles_tell_stay_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routers, "MANY", 1)
    rng = np.random.default_rng(8)
    centres = rng.standard_normal((20, 64))
    for spread, nibbles in ((1.0, True), (0.01, False)):
        near = centres[rng.integers(0, 20, 600)] + spread * rng.standard_normal((600, 64))
        for l2 in (False, True):
            router = Router(l2, np.zeros(64, np.float32), 1.0, near.astype(np.float32))
            assert router.nibbles is nibbles, (spread, l2)
