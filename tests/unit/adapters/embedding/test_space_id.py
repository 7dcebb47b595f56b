"""Ids of spaces: stored vectors lie under them, so that no release may change one."""

from __future__ import annotations

from typing import Literal

import pytest

from adapters.embedding import space_id


@pytest.mark.parametrize(
    ("kind", "shaped_by", "named"),
    [
        (
            "visual",
            {
                "architecture": "clip",
                "weights": "0" * 64,
                "tokenizer": ["1" * 64],
                "preprocessing": [{"size": 224}, None, 2],
                "pooling": "projected",
                "template": "{}",
                "dimensions": 512,
            },
            "visual-40621220",
        ),
        ("visual", {"model": "toy", "side": 4}, "visual-f12a8a2e"),
        (
            "caption",
            {"model": "m", "dimensions": 384, "limit": 256, "lower": True, "pooling": "mean"},
            "caption-5b016938",
        ),
    ],
)
def test_space_id_is_that_of_earlier_releases(
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["visual", "caption"],
    shaped_by: dict[str, object],
    named: str,
) -> None:
    """The ids of version 1 of the pixels, which later versions of the pixels leave as they are."""
    monkeypatch.setattr("core.imaging.decoding.PIXELS_VERSION", 7)
    assert space_id.space_id(kind, **shaped_by) == named
