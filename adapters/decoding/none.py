"""Decoding where none is meant to happen: in a process that faces the network."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import SeenitError, UnavailableError
from core.types import Canonical, Fingerprint


class AbsentDecoder:
    """Port Decoder that decodes nothing."""

    def fingerprint(
        self,
        items: Sequence[bytes],
        *,
        urgent: bool = False,  # noqa: ARG002 - the port's
    ) -> list[tuple[Canonical, Fingerprint] | SeenitError]:
        """An error for each."""
        return [UnavailableError("pictures are decoded by workers alone") for _ in items]
