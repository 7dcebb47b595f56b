"""Projective maps: fitting, plausibility, overlap."""

import numpy as np
import pytest

from core.matching.regions import homography

SLANTED = np.array([[0.9, 0.1, 20.0], [-0.05, 1.0, 8.0], [2e-4, 1e-4, 1.0]])


def _grid(count: int) -> homography.Points:
    side = np.linspace(20, 380, count)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def test_there_and_back_is_the_identity() -> None:
    """The inverse leads every point home."""
    points = _grid(5)
    back = homography.invert(SLANTED)
    assert np.allclose(homography.project(back, homography.project(SLANTED, points)), points)


def test_a_slanted_map_is_fitted_from_many_points() -> None:
    """Perspective is found from 25 points, to a thousandth of a pixel."""
    points = _grid(5)
    fitted = homography.fit(points, homography.project(SLANTED, points))
    assert fitted is not None
    assert np.allclose(fitted.matrix, SLANTED, atol=1e-6)


def test_few_points_fit_a_similarity_only() -> None:
    """Four points must not bend: their map scales equally in both directions."""
    points = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 12.0], [0.0, 12.0]])
    fitted = homography.fit(points, points * 2.0 + [[0, 0], [1, 0], [0, 0], [0, 1]])
    assert fitted is not None
    assert fitted.matrix[0, 0] == pytest.approx(fitted.matrix[1, 1])
    assert fitted.sample == 2


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([-1.0, 1.0, 1.0]),
        np.diag([20.0, 20.0, 1.0]),
        np.diag([4.0, 1.0, 1.0]),
        np.array([[1.0, 0, 0], [0, 1.0, 0], [-5e-3, 0, 1.0]]),
    ],
    ids=["mirror", "scale", "stretch", "horizon"],
)
def test_an_implausible_map_is_refused(matrix: homography.Map) -> None:
    """A mirror, a scale of 20, a stretch of 4 and a horizon inside the picture are no copies."""
    assert not homography.plausible(matrix, _grid(4))


def test_a_jacobian_is_the_map_close_by() -> None:
    """It equals the difference quotient."""
    points = _grid(3)
    step = 1e-4
    beside = homography.project(SLANTED, points + np.array([step, 0]))
    moved = beside - homography.project(SLANTED, points)
    assert np.allclose(homography.jacobians(SLANTED, points)[:, :, 0], moved / step, atol=1e-4)


def test_the_overlap_of_a_half_is_a_half() -> None:
    """A picture shifted by half its width covers half of the original."""
    shift = np.array([[1.0, 0, 50.0], [0, 1.0, 0], [0, 0, 1.0]])
    shape = homography.overlap(shift, (100, 80), (100, 80))
    assert homography.area(shape) == pytest.approx(4_000)
    far = np.array([[1.0, 0, 500.0], [0, 1.0, 0], [0, 0, 1.0]])
    assert homography.area(homography.overlap(far, (100, 80), (100, 80))) == 0.0
