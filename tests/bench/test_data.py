"""Data sets: our own synthetic one is whole, reproducible and read back as written."""

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the benches need the extra `bench`")

import h5py

from bench.data import carried, distances_of, exact_neighbors, load, synthetic


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_made_set_holds_its_true_neighbours(tmp_path, metric):
    data = load(synthetic(tmp_path, n=500, dim=16, queries=20, metric=metric))
    assert (data.n, data.dim, len(data.test), data.metric) == (500, 16, 20, metric)
    for i, query in enumerate(data.test):
        distances = (
            1 - data.train @ query if metric == "cosine" else np.linalg.norm(data.train - query, axis=1)
        )
        np.testing.assert_allclose(np.sort(distances)[:100], data.distances[i], rtol=1e-4, atol=1e-5)


def test_a_made_set_is_made_once_and_the_same_each_time(tmp_path):
    first = synthetic(tmp_path / "a", n=200, dim=8, queries=5)
    second = synthetic(tmp_path / "b", n=200, dim=8, queries=5)
    np.testing.assert_array_equal(load(first).train, load(second).train)
    written = first.stat().st_mtime_ns
    assert synthetic(tmp_path / "a", n=200, dim=8, queries=5).stat().st_mtime_ns == written


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_carried_set_has_more_dimensions_and_most_of_the_neighbours(tmp_path, metric):
    narrow = synthetic(tmp_path, n=500, dim=16, queries=20, metric=metric)
    path = carried(narrow, 48, tmp_path)
    before, data = load(narrow), load(path)
    assert (data.n, data.dim, len(data.test), data.metric) == (500, 48, 20, metric)
    np.testing.assert_array_equal(data.neighbors, exact_neighbors(data.train, data.test, metric, 100))
    same = [len(set(a[:10]) & set(b[:10])) for a, b in zip(data.neighbors, before.neighbors, strict=True)]
    assert np.mean(same) > 7
    written = path.stat().st_mtime_ns
    assert carried(narrow, 48, tmp_path).stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="16 dimensions, which are not carried to 8"):
        carried(narrow, 8, tmp_path)


def test_cosine_rows_and_queries_are_handed_out_at_unit_length(tmp_path):
    path = tmp_path / "long.hdf5"
    rows = np.random.default_rng(0).standard_normal((50, 4)) * 7
    with h5py.File(path, "w") as file:
        file.update({"train": rows, "test": rows[:3], "neighbors": np.zeros((3, 1), np.int32)})
        file.attrs["distance"] = "angular"
    data = load(path)
    np.testing.assert_allclose(np.linalg.norm(data.train, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(data.test, axis=1), 1, rtol=1e-6)


def test_a_metric_nobody_measures_is_refused_by_name(tmp_path):
    path = tmp_path / "odd.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "jaccard"
    with pytest.raises(ValueError, match=r"odd\.hdf5 says distance='jaccard'"):
        load(path)


def test_a_short_answer_is_infinitely_far():
    rows = np.eye(3, dtype=np.float32)
    found = distances_of(rows, rows[:1], np.array([[0, -1]]), "l2")
    assert found.tolist() == [[0.0, np.inf]]


def test_exact_neighbours_agree_with_a_plain_sort_across_chunks(monkeypatch):
    monkeypatch.setattr("bench.data._CHUNK_ROWS", 7)
    rng = np.random.default_rng(1)
    train, test = rng.standard_normal((40, 5)).astype("f4"), rng.standard_normal((6, 5)).astype("f4")
    for metric, far in (("l2", ((train[None] - test[:, None]) ** 2).sum(2)), ("cosine", -(test @ train.T))):
        np.testing.assert_array_equal(exact_neighbors(train, test, metric, 9), np.argsort(far, axis=1)[:, :9])
