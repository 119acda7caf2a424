"""The bench of filters: it asks what it says, and counts as it says."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the benches need the extra `bench`")

from bench import filtered_peers, filters
from bench.data import Dataset, load, synthetic
from bench.filter_plots import draw_filters
from tests.compiled import compiled

pytestmark = compiled


class Exact:
    """A peer that compares all that passes, or, by its first setting, none of it."""

    name = "hnswlib"

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def settings(self) -> list[dict[str, int]]:
        return [{"all": 0}, {"all": 1}]

    def prepared(self, mask: np.ndarray) -> np.ndarray:
        return np.flatnonzero(mask)

    def search(self, query: np.ndarray, k: int, passes: np.ndarray, setting: dict[str, int]) -> np.ndarray:
        near = filters._nearness(self.data, query[None], self.data.train[passes])[0]
        return passes[np.argsort(-near)[:k]] if setting["all"] else np.full(k, -1)


def test_of_a_peer_counts_the_fastest_setting_that_comes_as_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(synthetic(tmp_path, n=2_000, dim=16, queries=4))
    monkeypatch.setattr(filtered_peers, "peers", lambda data, names: [Exact(data)])
    found = filters.measure(data, peers=[])
    rates = [row["peers"]["hnswlib"] for row in found["rows"]]
    assert all(rate["setting"] in ({"all": 0}, {"all": 1}) for rate in rates)
    assert all(rate["times"] > 0 and 0 < rate["asked"] <= 4 for rate in rates)
    assert all(rate["recall"] == 1 for rate, row in zip(rates, found["rows"], strict=True) if row["recall"] > 0.1)
    card = {"cpu": "none", "flags": [], "date": "today", "kernel forced": "plain"}
    assert draw_filters(found, "made", card, tmp_path / "drawn" / "it.png").stat().st_size > 5_000


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
