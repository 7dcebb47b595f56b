"""Keypoints: packed, mirrored and matched one to one."""

import msgspec
import numpy as np

from core.fingerprint import keypoints
from evaluation.synthetic_photos import photo


def _pixels(seed: int = 3) -> np.ndarray:
    return np.asarray(photo(seed, 320, 240))


def test_a_detail_survives_msgpack() -> None:
    """Bytes in, the same value out."""
    made = keypoints.detail(_pixels())
    packed = msgspec.msgpack.encode(made)
    assert msgspec.msgpack.decode(packed, type=keypoints.DetailKeypoints) == made


def test_a_flat_picture_has_no_points() -> None:
    """Nothing to hold on to is not an error."""
    made = keypoints.unpack(keypoints.detail(np.full((64, 80, 3), 200, np.uint8)))
    assert (made.points.shape, made.descriptors.shape) == ((0, 4), (0, 128))


def test_descriptors_are_unpacked_to_unit_length() -> None:
    """Cosines are dot products."""
    made = keypoints.unpack(keypoints.detail(_pixels()))
    assert np.allclose(np.linalg.norm(made.descriptors, axis=1), 1.0, atol=1e-5)


def test_a_picture_matches_itself_point_for_point() -> None:
    """Each keypoint names itself, and none is used twice."""
    points = keypoints.unpack(keypoints.detail(_pixels()))
    pairs, _ = keypoints.match(points, points, 0.8)
    assert len(pairs) > 0.8 * len(points.points)
    assert np.array_equal(pairs[:, 0], pairs[:, 1])
    assert len(set(pairs[:, 1].tolist())) == len(pairs)


def test_mirroring_the_points_is_as_good_as_mirroring_the_picture() -> None:
    """The permuted descriptors of a mirrored picture match the plain one at the same places."""
    pixels = _pixels()
    plain = keypoints.unpack(keypoints.detail(pixels))
    other = keypoints.unpack(keypoints.detail(np.ascontiguousarray(pixels[:, ::-1])))
    back = keypoints.mirror(other)
    pairs, _ = keypoints.match(back, plain, 0.8)
    apart = np.abs(back.points[pairs[:, 0], :2] - plain.points[pairs[:, 1], :2]).max(axis=1)
    assert len(pairs) > 0.7 * len(plain.points)
    assert np.mean(apart < 1.5) > 0.97


def test_different_photos_hardly_match() -> None:
    """The ratio test leaves next to nothing between two pictures."""
    one, two = (keypoints.unpack(keypoints.detail(_pixels(seed))) for seed in (3, 4))
    assert len(keypoints.match(one, two, 0.8)) < 0.1 * len(one.points)
