"""What writers that died or were held up left behind, and tenants that nobody asks any more."""

from __future__ import annotations

from adapters.weaviate_index.head import Head
from adapters.weaviate_index.reading import Reading


class Tidying:
    """In one generation."""

    def __init__(self, reading: Reading, head: Head) -> None:
        self._reading = reading
        self._head = head

    def tidy(self, tenant: str) -> int:
        """Delete leftovers."""
        raise NotImplementedError

    def rest(self, hours: float) -> list[str]:
        """Put to rest."""
        raise NotImplementedError
