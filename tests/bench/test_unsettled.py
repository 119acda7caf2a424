"""The bench of fresh and deleted rows: every state is asked, and fresh rows have codes in the end."""

import numpy as np
import pytest

import pqdb
from bench import unsettled
from bench.data import load, synthetic
from tests.compiled import compiled


@compiled
def test_every_state_has_its_times(tmp_path, monkeypatch: pytest.MonkeyPatch):
    data = load(synthetic(tmp_path, n=8_000, dim=32), queries=60)
    seen = []
    searched = unsettled._microseconds

    def watched(things: pqdb.Collection, given) -> float:
        seen.append((things.info()["fresh"], things.info()["points"]))
        return searched(things, given)

    monkeypatch.setattr(unsettled, "_microseconds", watched)
    found = unsettled.measure(data, rounds=2)
    assert set(found) == set(unsettled.STATES)
    assert all(np.isfinite(list(times.values())).all() and min(times.values()) > 0 for times in found.values())
    assert len(unsettled.table(found)) == 5
    assert set(seen) == {(0, 8_000), (800, 8_000), (0, 7_200)}
