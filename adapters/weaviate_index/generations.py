"""Selection of the active generation, and replacement by a new one.

A generation that is filled beside the active one becomes active for all processes at once, except
one that has returned a higher watermark: it keeps the old generation until the new one has caught
up or a time limit has passed, and projects nothing meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from weaviate import WeaviateClient

from adapters.weaviate_index.client import WeaviateCluster
from adapters.weaviate_index.generation import Generation
from adapters.weaviate_index.schema import GenerationTable
from core.circuit_breaker import CircuitBreaker
from core.errors import IndexUnavailableError

LOOK = 1.0
"""Seconds between two reads of the table of generations."""
SEALED = 30.0
"""Seconds for which no process projects into a sealed generation; if the process that sealed it has
died by then, projection continues."""
_AGED = 4 * SEALED
"""Age in seconds from which a process ignores a seal that it reads first; clocks may differ."""
_FAILED = 0.5
"""Seconds for which a failure to open is raised to all callers."""

_SEALED = "the index is being replaced by a rebuilt one; retry in a minute"


class Generations:
    """Active generation, opened and migrated at first use."""

    def __init__(
        self,
        cluster: WeaviateCluster,
        meta: GenerationTable,
        make: Callable[[int], Generation],
        fixed: int | None = None,
    ) -> None:
        """Use the active generation, or always generation `fixed`."""
        self._cluster = cluster
        self._meta = meta
        self._make = make
        self._fixed = fixed
        self._now: Generation | None = None
        self._told: dict[str, int] = {}
        self._looked = 0.0
        self._sealed = 0.0
        self._left = 0.0
        """Time since which another generation is active, 0 if none is."""
        self._seal: tuple[int, int] | None = None
        """Seal that was obeyed last."""
        self._breaker = CircuitBreaker(IndexUnavailableError, first=_FAILED, longest=_FAILED)
        self._opening = threading.Lock()
        self._lock = threading.Lock()

    def now(self) -> Generation:
        """Return the generation to use. Raise IndexUnavailableError."""
        now = self._now
        if now is not None:
            return now
        with self._breaker.guard(), self._opening:
            return self._now or self._opened()

    def watermark(self, tenant: str) -> int:
        """Return W of a tenant, after changing to a new generation if there is one."""
        self._look()
        while True:
            now = self.now()
            found = now.head.watermark(tenant)
            with self._lock:
                if self._now is now:  # else the W belongs to a generation that was left meanwhile
                    self._told[tenant] = max(found, self._told.pop(tenant, 0))
                    return found

    def reported(self) -> list[str]:
        """Return the tenants whose watermark this process returned, the latest first."""
        with self._lock:
            return [tenant for tenant, mark in reversed(self._told.items()) if mark]

    def refuse_sealed(self) -> None:
        """Raise IndexUnavailableError while the generation is being left for another."""
        self._look()
        if time.monotonic() < self._sealed or self._left:
            raise IndexUnavailableError(_SEALED)

    def begin(self) -> int:
        """Return the number of a new generation, and drop all but the active one.

        Raise IndexUnavailableError while this process still uses an older one.
        """
        own = self._active().number

        def begun(client: WeaviateClient) -> int:
            kept = {own, self._meta.active(client)}
            others = self._meta.generations(client)
            for number in others:
                if number not in kept:
                    self._meta.forget(client, self._make(number).store)
            return max([own, *others]) + 1

        return self._cluster.run(begun)

    def seal(self) -> None:
        """Stop projection into this generation for a while; return once all processes know."""
        number = self._active().number
        self._seal = self._cluster.run(lambda client: self._meta.seal(client, number))
        self._sealed = time.monotonic() + SEALED
        time.sleep(1.5 * LOOK)

    def take(self, number: int) -> None:
        """Make another generation the active one of all processes."""
        self._cluster.run(lambda client: self._meta.activate(client, number))
        with self._lock:
            self._go(self._make(number))
            self._looked = 0.0

    def drop(self) -> None:
        """Delete all generations, and the table of generations."""

        def dropped(client: WeaviateClient) -> None:
            for number in self._meta.generations(client):
                self._meta.forget(client, self._make(number).store)
            self._meta.drop(client)

        self.now()
        self._cluster.run(dropped)
        self._now = None

    # --- inside ---------------------------------------------------------------------------------

    def _active(self) -> Generation:
        """Return the active generation, after reading the table of generations."""
        self.now()
        self._looked = float("-inf")
        self._look()
        if self._left:
            raise IndexUnavailableError(_SEALED)
        return self.now()

    def _go(self, generation: Generation | None) -> None:
        """Use this generation from now on, None: the active one at the next use."""
        self._now = generation
        self._sealed = self._left = 0.0

    def _opened(self) -> Generation:
        """Open the active one; one failure stands for all callers that waited for the lock."""
        self._breaker.check()
        self._now = self._make(self._cluster.run(self._prepared))
        self._looked = time.monotonic()
        return self._now

    def _prepared(self, client: WeaviateClient) -> int:
        active = self._meta.active(client)
        number = self._fixed or active or 1
        self._meta.prepare(client, self._make(number).store)
        if active is None and self._fixed is None:
            self._meta.activate(client, number)
        return number

    def _look(self) -> None:
        """Look, at most once in a while, whether there is a new one or this one is being left."""
        if self._fixed is not None or self._now is None:
            return
        with self._lock:
            if time.monotonic() < self._looked + LOOK:
                return
            self._looked = time.monotonic()
            now = self._now
        try:
            active, sealed = self._cluster.run(
                lambda client: (self._meta.active(client), self._meta.sealed(client))
            )
        except IndexUnavailableError:
            return  # the caller's own query fails likewise
        if active == now.number:
            self._left = 0.0
            self._obey(sealed, now.number)
        elif active is None:  # the servers have lost everything: start with an empty index
            with self._lock:
                self._go(None)
                self._told.clear()
        else:
            self._go_over(active)

    def _obey(self, sealed: tuple[int, int] | None, number: int) -> None:
        """Project nothing for a while if a seal on this generation was not obeyed before."""
        if sealed is not None and sealed[0] == number and sealed != self._seal:
            # the process of an old seal has died: one that started later need not wait
            left = min(SEALED, sealed[1] + _AGED - time.time())
            self._seal, self._sealed = sealed, time.monotonic() + left

    def _go_over(self, number: int) -> None:
        """Go over to another generation once it has caught up with what was reported here."""
        new = self._make(number)
        self._cluster.run(lambda client: self._meta.prepare(client, new.store))
        marks = new.head.watermarks()
        with self._lock:  # other threads may have returned higher ones meanwhile
            self._left = self._left or time.monotonic()
            caught_up = all(marks.get(tenant, 0) >= mark for tenant, mark in self._told.items())
            if caught_up or time.monotonic() > self._left + SEALED:
                self._go(new)
                self._told = {tenant: marks.get(tenant, 0) for tenant in self._told}
