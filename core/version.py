"""Version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return the version of the package; "0" for a folder that is not installed."""
    try:
        return version("seenit")
    except PackageNotFoundError:
        return "0"
