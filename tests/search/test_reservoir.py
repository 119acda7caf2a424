"""The reservoir keeps a fair few of the queries asked, and never more."""

import numpy as np

from pqdb.search.reservoir import CAPACITY, Reservoir


def test_it_keeps_everything_until_it_is_full():
    reservoir = Reservoir()
    queries = np.arange(50, dtype=np.float32).reshape(25, 2)
    for query in queries:
        reservoir.offer(query[None, :])
    np.testing.assert_array_equal(reservoir.queries(), queries)
    assert len(reservoir) == reservoir.taken == 25


def test_full_it_takes_new_queries_in_the_place_of_old_ones():
    reservoir = Reservoir()
    for number in range(40 * CAPACITY):
        reservoir.offer(np.full((1, 3), number, np.float32))
    kept = reservoir.queries()[:, 0]
    assert len(kept) == CAPACITY
    assert len(np.unique(kept)) == CAPACITY
    assert (kept >= CAPACITY).mean() > 0.9, "after forty times its size the first queries are mostly gone"


def test_what_it_holds_is_its_own():
    reservoir = Reservoir()
    query = np.ones((1, 2), np.float32)
    reservoir.offer(query)
    query[:] = 7
    np.testing.assert_array_equal(reservoir.queries(), [[1, 1]])


def test_nobody_waits_to_offer_a_query():
    """A search in a signal's handler would wait for the search that it interrupted, for ever."""
    reservoir = Reservoir()
    with reservoir._lock:
        reservoir.offer(np.ones((1, 2), np.float32))
    assert len(reservoir) == 0
    reservoir.offer(np.ones((1, 2), np.float32))
    assert len(reservoir) == 1
