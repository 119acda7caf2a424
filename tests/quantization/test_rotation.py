"""Principal axes: orthonormal, sorted by energy, the same signs every time."""

import numpy as np

from pqdb.quantization.rotation import principal_axes


def test_axes_are_orthonormal_and_carry_the_energies_they_name(rng: np.random.Generator) -> None:
    rows = (rng.standard_normal((500, 6)) * [5, 4, 3, 2, 1, 0.1] + 1).astype(np.float32)
    axes, energies = principal_axes(rows)
    assert np.allclose(axes @ axes.T, np.eye(6), atol=1e-5)
    assert np.all(np.diff(energies) <= 0)
    assert np.allclose(np.square(rows @ axes.T).mean(axis=0), energies, rtol=1e-3)


def test_an_axis_points_where_its_largest_entry_is_positive(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((100, 5)).astype(np.float32)
    axes, _ = principal_axes(rows)
    mirrored, _ = principal_axes(-rows)
    assert np.array_equal(axes, mirrored)
    assert np.all(axes[np.arange(5), np.abs(axes).argmax(axis=1)] > 0)


def test_fewer_rows_than_dimensions() -> None:
    axes, energies = principal_axes(np.eye(2, 7, dtype=np.float32))
    assert np.isfinite(axes).all()
    assert np.allclose(energies, [0.5, 0.5, 0, 0, 0, 0, 0], atol=1e-6)
