"""Generated families: one layout, another instance from each seed."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.synthetic_templates import FAMILIES
from tests.samples.pictures import TEMPLATES


@pytest.mark.parametrize("kind", TEMPLATES)
def test_templates_are_different_and_alike(kind: str) -> None:
    """One lay-out, other contents: most pixels of two are the same, and not all."""
    one, other = (np.asarray(TEMPLATES[kind](seed)) for seed in (1, 2))
    assert one.shape == other.shape
    same = (one == other).all(axis=2).mean()
    assert 0.5 < same < 1.0
    assert (np.asarray(TEMPLATES[kind](1)) == one).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_instances_are_their_seed(name: str) -> None:
    """A seed always draws the same picture, and the next one another."""
    draw = FAMILIES[name].draw
    one = draw(3)
    assert one.mode == "RGB"
    assert 360 <= max(one.size) <= 1000
    assert one.tobytes() == draw(3).tobytes()
    assert one.tobytes() != draw(4).tobytes()


@pytest.mark.parametrize("name", ["settings, one switch", "chess diagrams", "flat", "logo colours"])
def test_no_instance_of_many_is_another(name: str) -> None:
    """Families of few variables have 60 different instances too."""
    assert len({FAMILIES[name].draw(seed).resize((99, 99)).tobytes() for seed in range(60)}) == 60


def test_settings_differ_in_one_switch() -> None:
    """From a seed to the next only one row changes, and within it only the switch."""
    one, other = (np.asarray(FAMILIES["settings, one switch"].draw(seed)) for seed in (5, 6))
    rows, columns = np.nonzero((one != other).any(axis=2))
    assert rows.max() - rows.min() < 34
    assert columns.min() >= 344


def test_tables_differ_in_two_rows() -> None:
    """Two tables differ in the row that the one changed and in that of the other."""
    one, other = (np.asarray(FAMILIES["tables, one row"].draw(seed)) for seed in (2, 7))
    rows = np.nonzero((one != other).any(axis=(1, 2)))[0]
    assert set((rows - 90) // 36) == {2, 7}


def test_families_say_which_verdicts_are_right() -> None:
    """One photo under other captions is a copy; everything else never is."""
    copies = {name for name, family in FAMILIES.items() if family.copies}
    assert copies == {"captions", "padded memes", "frames"}
    assert len(FAMILIES) == 47
