"""`seenit backfill`: its arguments, and the line about old fingerprints."""

from __future__ import annotations

from typing import Any

import pytest

from cli.commands.backfill import _fingerprinted
from cli.main import run

COUNTS: dict[str, Any] = {
    "tenant": "default",
    "version": 2,
    "pictures": 9,
    "made": 4,
    "unchanged": 0,
    "no_bytes": 0,
    "left_out": 0,
    "failed": 0,
}


def test_backfill_reports_which_pictures_keep_their_version() -> None:
    """Each reason with its number, and none where every picture is of the newest."""
    plain = "default: 4 made with version 2 of pixels"
    assert _fingerprinted("pixels", COUNTS) == plain
    kept = {"unchanged": 1, "no_bytes": 2, "left_out": 3, "failed": 4}
    assert _fingerprinted("pixels", COUNTS | kept) == (
        f"{plain}; of an older version stay: 1 have the same fingerprint as before, "
        "2 have no bytes any more, "
        "3 are of a format that is not read (SEENIT_FORMATS, camera raw), "
        "4 cannot be decoded any more"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["pixels", "--space", "visual"], "--space does not go with pixels"),
        (["vectors"], "'vectors' is not one of"),
    ],
)
def test_backfill_refuses_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """A space has no fingerprints, and only three parts can be filled."""
    assert run(["backfill", *arguments]) == 2
    assert why in capsys.readouterr().err
