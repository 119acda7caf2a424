"""The frontier: measured points only, and what a scouting round may drop."""

from bench.frontier import Point, best_at, frontier, worth_repeating


def _point(recall, qps):
    return Point("f", "l", "s", recall, qps, 1.0, 1.0)


POINTS = [_point(0.90, 100), _point(0.95, 60), _point(0.94, 50), _point(0.99, 10), _point(0.96, 60)]


def test_best_is_the_fastest_that_reaches_the_level():
    assert best_at(POINTS, 0.95).qps == 60
    assert best_at(POINTS, 0.97).qps == 10
    assert best_at(POINTS, 0.995) is None


def test_the_frontier_rises_in_recall_and_falls_in_rate():
    assert [(p.recall, p.qps) for p in frontier(POINTS)] == [(0.90, 100), (0.96, 60), (0.99, 10)]


def test_scouting_keeps_what_is_within_slack_of_the_frontier():
    reached = [(p.recall, p.qps) for p in POINTS]
    assert worth_repeating(reached, 1.0) == [0, 1, 3, 4]
    assert worth_repeating(reached, 1.25) == [0, 1, 2, 3, 4]
    assert worth_repeating([], 1.25) == []
