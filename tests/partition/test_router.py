"""The centroids as they are kept, and what the spread of a list's rows is worth where lists are ranked."""

import struct

import numpy as np
import pytest

from pqdb.errors import CorruptError, FormatError
from pqdb.partition.router import Router, mean_squares

DIM = 24


def a_router(l2: bool, n: int = 40, lead: float = 2.0) -> Router:
    rng = np.random.default_rng(3)
    centroids = (rng.standard_normal((n, DIM)) + 0.5).astype(np.float32)
    spreads = rng.uniform(0.1, 3, n).astype(np.float32)
    return Router(l2, np.full(DIM, l2, np.float32), 1.0, centroids, spreads, lead)


metrics = pytest.mark.parametrize("l2", [False, True], ids=["inner product", "l2"])


@metrics
def test_it_is_read_as_it_was_written(l2: bool) -> None:
    router = a_router(l2)
    read = Router.from_bytes(router.to_bytes())
    assert (read.l2, read.unit, read.lead) == (l2, 1.0, 2.0)
    for name in ("mean", "centroids", "spreads", "leads", "weights", "banks"):
        assert (getattr(read, name) == getattr(router, name)).all(), name


@metrics
def test_one_of_before_has_no_spreads_and_ranks_as_it_did(l2: bool) -> None:
    """Its calibration was made for that order."""
    router = a_router(l2)
    old = Router.from_bytes(Router(l2, router.mean, 1.0, router.centroids).to_bytes())
    assert old.spreads is None
    assert len(old.leads) == 0
    lengths = np.linalg.norm(router.centroids, axis=1)
    assert np.allclose(old.weights, 1 if l2 else 1 / lengths, rtol=1e-6)
    query = np.random.default_rng(4).standard_normal((1, DIM)).astype(np.float32)
    keys, best = old.keys_of(query)
    _, more = old.keys_of(10 * query)
    values = router.centroids @ query[0] / lengths
    if not l2:
        assert np.allclose(keys[0], values, atol=8 * router.rounding())
        assert more[0] == pytest.approx(10 * best[0], rel=1e-3)
        assert best[0] == keys[0].max()
    assert old.to_bytes()[4:6] == b"\x01\x00"
    assert router.to_bytes()[4:6] == b"\x02\x00"


def test_damage_and_a_newer_version_are_told() -> None:
    data = a_router(False).to_bytes()
    for bad in (data[:-4], data + bytes(4), b"QQQQ" + data[4:]):
        with pytest.raises(CorruptError, match="damaged"):
            Router.from_bytes(bad)
    with pytest.raises(FormatError, match="version 3; this pqdb reads up to version 2"):
        Router.from_bytes(data[:4] + struct.pack("<H", 3) + data[6:])


@metrics
def test_lists_are_ranked_by_their_value_and_what_their_spread_is_worth(l2: bool) -> None:
    router = a_router(l2)
    queries = 3 * np.random.default_rng(4).standard_normal((6, DIM)).astype(np.float32)
    assert router.spreads is not None
    for query, keys in zip(queries, router.keys_of(queries)[0], strict=True):
        if l2:
            values = -((router.centroids - query) ** 2).sum(axis=1) - 2.0 * router.spreads
            values += ((query - router.center) ** 2).sum()  # the same for all lists: the kernel leaves it out
        else:
            values = router.centroids @ query + 2.0 * np.linalg.norm(query) * np.sqrt(router.spreads / DIM)
            values[(router.centroids @ query).argmax()] = values.max() + (values.max() - values.min()) / 64
        assert np.allclose(keys, values, atol=8 * (2 if l2 else 1) * 3 * router.rounding())


def test_the_nearest_list_comes_first_by_inner_product_however_little_its_rows_are_spread() -> None:
    """And the second nearest, where it is left out."""
    router = a_router(False, n=300)
    centroids, spreads = router.centroids.copy(), np.full(300, 1200, np.float32)
    centroids[1], spreads[:2] = 0.99 * centroids[0], 0
    router = Router(False, router.mean, 1.0, 4 * centroids, spreads, 6.0)
    query = router.centroids[0]
    values = router.centroids @ query
    led = values + np.linalg.norm(query) * router.leads
    assert values.argmax() == 0
    assert (led > led[0]).sum() > 50, "by their spread that many come before it"
    keys, best = router.keys_of(query[None])
    assert keys[0, 0] > keys[0, 1:].max()
    assert best[0] == pytest.approx(led.max() / np.linalg.norm(query), rel=1e-2)
    without, _ = router.keys_of(query[None], np.zeros(1, np.int32))
    assert without[0, 1] > without[0, 2:].max()
    assert without[0, 0] == -np.inf


def test_how_easy_a_query_is_does_not_depend_on_its_length_for_inner_products() -> None:
    """Ten times a query has the same neighbours, and takes as many lists."""
    router = a_router(False)
    queries = np.random.default_rng(4).standard_normal((6, DIM)).astype(np.float32)
    keys, best = router.keys_of(queries)
    more_keys, more_best = router.keys_of(10 * queries)
    assert np.allclose(more_best, best, rtol=1e-4)
    assert np.allclose(more_keys, 10 * keys, rtol=1e-3, atol=1e-3)
    for query, easy in zip(queries, best, strict=True):
        led = router.centroids @ query / np.linalg.norm(query) + router.leads
        assert led.max() == pytest.approx(easy, rel=1e-2)
    for factor in (0, 1e-25, 1e20, 1e25):
        query = queries[0] * np.float32(factor)
        keys, best = router.keys_of(query[None])
        assert np.isfinite(keys).all()
        assert best[0] < -1e29, "as hard as it gets where the length cannot be told"


@metrics
def test_a_query_too_long_to_be_measured_is_as_hard_as_it_gets(l2: bool) -> None:
    router = a_router(l2)
    assert router.keys_of(np.float32(1e25) * router.centroids[:1], within=3.0)[1][0] < -1e29


def test_a_query_too_long_to_be_squared_has_keys_all_the_same() -> None:
    """In index space a query may be 10¹² times as long as it was."""
    router = a_router(False, lead=0.0)
    query = np.random.default_rng(4).standard_normal((1, DIM)).astype(np.float32)
    keys, _ = router.keys_of(query)
    far, easy = router.keys_of(query * np.float32(1e25))
    assert np.isfinite(far).all()
    assert np.isfinite(easy).all()
    assert (np.argsort(-far[0])[:5] == np.argsort(-keys[0])[:5]).all()


def test_spreads_are_the_mean_squares_of_residuals() -> None:
    rng = np.random.default_rng(5)
    residuals, lists = rng.standard_normal((50, 7)).astype(np.float32), rng.integers(0, 4, 50).astype(np.int32)
    found = mean_squares(residuals, lists, 6, l2=True)
    squares = [(row.astype(np.float64) ** 2).sum() for row in residuals]
    for number in range(4):
        mine = [squares[i] for i in range(50) if lists[i] == number]
        assert found[number] == pytest.approx(sum(mine) / len(mine), rel=1e-5)
    assert found[4:] == pytest.approx([np.mean(squares)] * 2, rel=1e-5), "of empty lists nothing is known"
    assert (mean_squares(residuals[:0], lists[:0], 2, l2=True) == 0).all()
