"""The bench of filters: it asks what it says, and counts as it says."""

from pathlib import Path

from bench import filters
from bench.data import load, synthetic
from tests.compiled import compiled

pytestmark = compiled


def test_every_kind_and_selectivity_is_measured(tmp_path: Path) -> None:
    data = load(synthetic(tmp_path, n=6_000, dim=16, queries=4))
    found = filters.measure(data)
    rows = found["rows"]
    assert [(row["filter"], row["passes"]) for row in rows] == [
        (kind, share) for kind in filters.KINDS for share in filters.SELECTIVITIES
    ]
    assert all(abs(row["matches"] - row["passes"] * data.n) <= 9 + 0.3 * row["passes"] * data.n for row in rows)
    assert all(row["recall"] >= 0.8 and row["us"] > 0 for row in rows)
    assert len(list(filters._table(data, found))) == 5 + len(rows)
