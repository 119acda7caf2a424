"""Bounds of subspaces: equal ones differ by at most 1, those by energy leave the least distortion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pqdb.quantization.allocation import DISTORTION, energy_bounds, equal_bounds
from tests import naive_quantization as naive


@settings(deadline=None)
@given(st.integers(1, 100), st.data())
def test_equal_widths_differ_by_at_most_one_and_cover_all(dim: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, dim))
    bounds = equal_bounds(dim, m)
    widths = np.diff(bounds)
    assert bounds[0] == 0
    assert len(widths) % 4 == 0
    assert len(widths) - m < 4
    assert widths[:m].sum() == dim
    assert widths[:m].max() - widths[:m].min() <= 1
    assert not widths[m:].any()


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=8), st.integers(1, 3))
def test_no_other_widths_leave_less_distortion(energies: list[float], m: int) -> None:
    spectrum = np.sort(np.array(energies))[::-1]
    bounds = energy_bounds(spectrum, min(m, len(spectrum)))
    cost = naive.cost_of(bounds, spectrum, DISTORTION)
    assert cost == pytest.approx(naive.cheapest_widths(spectrum, min(m, len(spectrum)), DISTORTION), abs=1e-9)


def test_a_steep_spectrum_gets_narrow_subspaces_first_and_loses_its_tail() -> None:
    bounds = energy_bounds(0.8 ** np.arange(64.0), 8)
    widths = np.diff(bounds)
    assert widths[0] == 1
    assert np.all(np.diff(widths[widths > 0]) >= 0)
    assert bounds[-1] < 64


def test_a_flat_spectrum_is_covered_evenly() -> None:
    assert np.diff(energy_bounds(np.ones(64), 16)).tolist() == [4] * 16


def test_no_energy_at_all_still_codes_a_dimension() -> None:
    assert energy_bounds(np.zeros(8), 4)[-1] >= 1
