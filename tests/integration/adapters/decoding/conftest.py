"""Pictures for the tests of decoding children."""

from __future__ import annotations

import pytest

from tests.samples.pictures import TEMPLATES, jpeg, photo, png


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    """Make photos as JPEG, a strip with a long preview, and a drawn picture with a large one."""
    receipt = TEMPLATES["receipts"](1).resize((720, 1440))
    photos = (jpeg(photo(seed, 320, 240)) for seed in range(4))
    return [*photos, jpeg(photo(5, 2000, 100)), png(receipt)]
