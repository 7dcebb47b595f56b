"""The tree of errors: what was raised elsewhere is raised here by its name."""

from __future__ import annotations

from core.errors import SeenitError, kinds, named


def test_every_error_is_found_by_its_type() -> None:
    """The detail is kept; an unknown type becomes the base class."""
    ours = [kind for kind in kinds() if kind.__module__ == "core.errors"]
    assert len(ours) > 20
    for kind in ours:
        came = named(kind.type, "why", field="file")
        assert (came.type, came.status, came.detail, came.field) == (
            kind.type,
            kind.status,
            "why",
            "file",
        )
    assert type(named("of a newer version", "why")) is SeenitError
