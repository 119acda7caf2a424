"""What goes in as a vector, what is refused, and what a score is."""

import numpy as np
import pytest

from pqdb.errors import DimensionError, InputError
from pqdb.metric import METRICS, check_metric, prepare, scores
from tests import naive

metrics = pytest.mark.parametrize("metric", METRICS)


@metrics
def test_vectors_are_prepared_as_the_naive_ones(rng: np.random.Generator, metric: str) -> None:
    vectors = rng.standard_normal((20, 7)) * np.logspace(-15, 15, 20)[:, None]
    vectors[3] = 0
    prepared = prepare(vectors, 7, check_metric(metric))
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    np.testing.assert_allclose(prepared, naive.search.prepared(vectors, metric), rtol=1e-6)


@metrics
def test_a_query_alone_is_prepared_like_a_row(rng: np.random.Generator, metric: str) -> None:
    for scale in (1e-18, 1.0, 1e17):
        query = (scale * rng.standard_normal(9)).astype(np.float32)
        alone = prepare(query, 9, check_metric(metric))
        assert alone.shape == (1, 9)
        np.testing.assert_allclose(alone, prepare(query, 9, check_metric(metric)), rtol=2e-7)


def test_a_zero_vector_stays_zero() -> None:
    assert not prepare([[0.0, 0.0]], 2, "cosine").any()
    assert not prepare(np.zeros(2, np.float32), 2, "cosine").any()


@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-20, 1e20, 3e38])
def test_cosine_of_very_short_and_very_long_vectors_keeps_their_direction(size: float) -> None:
    """Their squares do not fit float32."""
    for prepared in (
        prepare([[size, size, 0.0], [1.0, 2.0, 2.0]], 3, "cosine"),
        prepare(np.array([size, size, 0], np.float32), 3, "cosine"),
    ):
        np.testing.assert_allclose(prepared[0], [0.5**0.5, 0.5**0.5, 0], rtol=1e-6)
    assert prepare([[size, size, 0.0], [1.0, 2.0, 2.0]], 3, "cosine")[1].tolist() == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3]
    )


@pytest.mark.parametrize(("metric", "size"), [("dot", 2e19), ("l2", 1e19)], ids=["length", "distance to its opposite"])
def test_vectors_whose_values_would_not_be_numbers_are_refused(metric: str, size: float) -> None:
    with pytest.raises(InputError, match=r"vector 1 is too long: its squared length is over"):
        prepare([[1.0, 0.0], [size, 0.0]], 2, check_metric(metric))
    with pytest.raises(InputError, match=r"vector 0 is too long"):
        prepare(np.array([size, 0], np.float32), 2, check_metric(metric))


@metrics
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_place(metric: str, bad: float) -> None:
    vectors = np.ones((4, 5))
    vectors[2, 3] = bad
    with pytest.raises(InputError, match=rf"vector 2 holds {bad} at dimension 3"):
        prepare(vectors, 5, check_metric(metric))
    with pytest.raises(InputError, match=rf"vector 0 holds {bad} at dimension 3"):
        prepare(vectors[2].astype(np.float32), 5, check_metric(metric))


@metrics
def test_numbers_past_float32_are_infinite_and_refused(metric: str) -> None:
    with pytest.raises(InputError, match="vector 0 holds inf at dimension 1"):
        prepare([[0.0, 1e300]], 2, check_metric(metric))


@metrics
def test_another_number_of_dimensions_is_refused(metric: str) -> None:
    kind = check_metric(metric)
    with pytest.raises(DimensionError, match="expected 4 dimensions, not 5"):
        prepare(np.ones((2, 5)), 4, kind)
    with pytest.raises(DimensionError, match="expected 4 dimensions, not 5"):
        prepare(np.ones(5), 4, kind)
    with pytest.raises(DimensionError, match="expected 4 dimensions, not 5"):
        prepare(np.ones(5, np.float32), 4, kind)
    with pytest.raises(DimensionError, match="not an array of 3 dimensions"):
        prepare(np.ones((2, 4, 1)), 4, kind)


@pytest.mark.parametrize(
    "bad", [[[1.0, 2.0], [1.0]], [["1", "2"]], "text", None, [[1, None]], [[1 + 2j, 0]], [[True, False]], {1.0, 2.0}]
)
def test_what_is_not_rows_of_numbers_is_refused(bad: object) -> None:
    with pytest.raises(InputError, match="numbers in rows of equal length"):
        prepare(bad, 2, "dot")


def test_whole_numbers_halves_and_lists_are_numbers() -> None:
    for kind in (np.int8, np.uint16, np.int64, np.float16, np.float64):
        assert prepare(np.array([[1, 2]], kind), 2, "dot").tolist() == [[1.0, 2.0]]
    assert prepare([[1, 2], [3, 4]], 2, "dot").tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert prepare(np.ones((4, 3), np.float32).T, 4, "dot").flags.c_contiguous


def test_no_vectors_are_no_error_here() -> None:
    for metric in METRICS:
        assert prepare(np.empty((0, 3)), 3, metric).shape == (0, 3)


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="metric 'l3' is not one of cosine, dot, l2, l1"):
        check_metric("l3")


def test_values_become_scores() -> None:
    values = np.array([-4.0, -0.25, 0.0, 1e-9], np.float32)
    assert scores(values, "l2").tolist() == [2.0, 0.5, 0.0, 0.0]  # rounding never makes a distance of nothing NaN
    assert scores(values, "l1").tolist() == [4.0, 0.25, 0.0, 0.0]
    for metric in ("cosine", "dot"):
        assert scores(values, check_metric(metric)).tolist() == values.tolist()
