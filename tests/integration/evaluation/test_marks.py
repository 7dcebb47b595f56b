"""Marks of the duplicate check on a few pictures: hard edits, truth of statements, families."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.matching.policy import POLICY
from core.types import Limits
from evaluation.edits import ALL_EDITS
from evaluation.edits.truth import truth
from evaluation.families import copies_of
from evaluation.pairwise import related
from evaluation.scratch_service import ScratchService, private
from evaluation.statement_truth import holds
from evaluation.synthetic_templates import FAMILIES
from tests.samples.pictures import jpeg, photo

PLACED = ("mirrored", "turned", "cropped", "stretched", "resized", "enlarged", "without_colours")
"""Codes whose truth follows from the edit alone."""
HARD = (
    "meme-two-lines", "inverted", "ellipse", "avatar", "scribbles", "before-after", "fisheye",
    "perspective-20", "vignette", "clahe", "stickers", "collage-4", "screen-slanted", "deep-fried",
    "crop-10", "turn-45", "chain-stickers",
)  # fmt: skip
ALIKE = (
    "settings, one switch", "same studio", "product colours", "identity cards", "QR codes", "flat",
)  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[ScratchService, str]]:
    """Return a private service that stores four photos, and the id of the first."""
    with private(POLICY, "none") as opened:
        stored = opened.ingest([jpeg(photo(seed, 512, 384)) for seed in range(4)])
        yield opened, stored[0].image_id


@pytest.mark.parametrize("name", HARD)
def test_hard_edits_are_recognised_and_explained(
    name: str, service: tuple[ScratchService, str]
) -> None:
    """Each is a copy of its photo, and the statements of its geometry are true."""
    opened, original = service
    image = photo(0, 512, 384)
    canvas = ALL_EDITS[name].canvas(image, 7, (photo(2, 512, 384), photo(30, 512, 384)))
    verdict = opened.check(ALL_EDITS[name].encode(canvas.image))
    assert original in copies_of(verdict)
    (match,) = (match for match in verdict.matches if match.image_id == original)
    known = truth(canvas, image)
    stated = [one for one in match.evidence.statements if one.code in PLACED]
    assert [one for one in stated if not holds(one, known)] == []


@pytest.mark.parametrize("name", ALIKE)
def test_instances_of_a_family_are_no_copies(name: str) -> None:
    """Two different things in one layout are not called copies of each other."""
    drawn = [jpeg(FAMILIES[name].draw(seed)) for seed in (1, 2)]
    pairs = related(drawn, POLICY, lambda _: None, Limits())
    assert [(pair.one, pair.other) for pair in pairs if pair.comparison.confirmed] == []
