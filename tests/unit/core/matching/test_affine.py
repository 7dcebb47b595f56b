"""Maps between two previews: exact for the eight turns, robust for points, sharp for pixels."""

import cv2
import numpy as np
import pytest

from core.matching import affine


@pytest.mark.parametrize("turn", range(8))
def test_a_turn_leads_every_pixel_where_numpy_puts_it(turn: int) -> None:
    """Mirror first, then counter-clockwise quarters, as np.rot90 has them."""
    height, width = 5, 7
    here = np.arange(height * width).reshape(height, width)
    there = np.rot90(here[:, ::-1] if turn >= 4 else here, turn % 4)
    size = (there.shape[1], there.shape[0])
    matrix = affine.turned(turn, (width, height), size)
    y, x = np.mgrid[0:height, 0:width]
    moved = affine.apply(matrix, np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.rint(moved).astype(int).T
    assert np.allclose(moved, np.rint(moved))
    assert np.array_equal(there[row, column], here.ravel())


def test_composing_with_the_inverse_is_the_identity() -> None:
    """There and back again."""
    matrix = np.array([[1.2, 0.3, 5.0], [-0.2, 0.9, -7.0]])
    both = affine.compose(affine.invert(matrix), matrix)
    assert np.allclose(both, np.eye(2, 3))


def _scattered(matrix: np.ndarray, count: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """Return matches that follow a similarity, of which the last `lost` go anywhere."""
    draw = np.random.default_rng(1)
    here = np.column_stack(
        [draw.uniform(0, 400, (count, 2)), draw.uniform(2, 9, count), draw.uniform(0, 360, count)]
    ).astype(np.float32)
    there = here.copy()
    there[:, :2] = affine.apply(matrix, here[:, :2])
    there[:, 2] *= np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    there[:, 3] += np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
    there[count - lost :, :2] = draw.uniform(0, 400, (lost, 2))
    return here, there


def test_points_give_the_map_although_most_of_them_are_wrong() -> None:
    """Sixty of a hundred matches lead astray; the map is found all the same."""
    matrix = np.array([[0.6, -0.2, 40.0], [0.2, 0.6, 12.0]])
    here, there = _scattered(matrix, 100, 60)
    order = np.random.default_rng(2).permutation(100)
    fit = affine.from_points(here[order], there[order], 7, 4.0)
    assert fit is not None
    assert np.allclose(fit.matrix, matrix, atol=0.05)
    assert 40 <= fit.inliers <= 42


def test_points_on_one_place_count_once() -> None:
    """Fifty matches between two spots are no map."""
    here = np.tile(np.array([[50, 60, 5, 10]], np.float32), (50, 1))
    assert affine.from_points(here, here + 3, 5, 4.0) is None


def test_too_few_points_give_no_map() -> None:
    """Below the least there is no answer."""
    here, there = _scattered(np.eye(2, 3), 4, 0)
    assert affine.from_points(here, there, 5, 4.0) is None


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.array([[1.3, 0, 0], [0, 1.0, 0]]), True),
        (np.array([[2.0, 0, 0], [0, 1.0, 0]]), False),
        (np.array([[0.05, 0, 0], [0, 0.05, 0]]), False),
    ],
)
def test_a_map_may_stretch_and_shrink_only_so_far(matrix: np.ndarray, *, expected: bool) -> None:
    """A stretch by 1.3 is an edit; by 2, or to a twentieth, it is a mistake."""
    assert affine.plausible(matrix) is expected


def test_sharpening_finds_the_last_pixels() -> None:
    """A map that is three pixels off is brought to within a tenth of one."""
    draw = np.random.default_rng(5)
    plane = cv2.GaussianBlur(draw.normal(size=(160, 200)).astype(np.float32), (0, 0), 3.0)
    plane /= plane.std()
    matrix = np.array([[0.98, 0.02, 4.0], [-0.02, 0.98, 3.0]])
    moved = affine.warp(plane, matrix, (150, 120))
    wrong = matrix + np.array([[0.0, 0.0, 2.5], [0.0, 0.0, -2.0]])
    found, far = affine.sharpen(wrong, plane, moved, np.ones((120, 150), np.float32), 12)
    corners = np.array([[0, 0], [149, 0], [149, 119], [0, 119]])
    off = affine.apply(found, corners) - affine.apply(matrix, corners)
    assert np.abs(off).max() < 0.1
    assert 2.5 < far < 4.5
