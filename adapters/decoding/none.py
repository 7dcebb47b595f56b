"""Decoder for processes that face the network, where no picture is decoded."""

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
        """Return an error for each picture."""
        return [UnavailableError("pictures are decoded by workers alone") for _ in items]
