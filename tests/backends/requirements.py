"""Skips for missing requirements, and failures for requirements that were promised."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(name: str, why: str) -> NoReturn:
    """Skip with the missing part, or fail if SEENIT_TEST_REQUIRE names it.

    `name` is one word, such as redis, weaviate, s3 or shared.
    """
    required = {one.strip() for one in os.environ.get("SEENIT_TEST_REQUIRE", "").split(",")}
    if name in required:
        pytest.fail(f"{name} is required by SEENIT_TEST_REQUIRE: {why}", pytrace=False)
    pytest.skip(f"{name}: {why}")
