"""Gate of calls that decode a picture while their caller waits: lines by tenant, in turns."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.problems import BusyError

LINE = 4
"""Checks that may wait for each running one: under half a second at 100 ms a check."""

TENANTS = 4
"""Tenants whose lines may be full at the same time."""

T = TypeVar("T")


class CheckGate:
    """A thread pool for checks, with a queue of limited length for each tenant.

    Checks cannot use up the threads that other requests need, nor the memory for pictures. Tenants
    take turns, and one thread is left for the others of a tenant that has all its checks running.
    """

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="check")
        self._at_once = at_once
        self._most = at_once * (1 + LINE)
        self._running: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    async def run(self, tenant: str, call: Callable[[], T]) -> T:
        """Run a call in a thread and return its result; only for the event loop's thread.

        Raise BusyError if the queue of the tenant is full, or too many tenants' are.
        """
        mine = self._running[tenant] + len(self._lines.get(tenant, ()))
        if mine >= self._most:
            raise BusyError(
                f"{mine} of your checks are running or waiting (limit {self._most}); retry later"
            )
        if self._running.total() + sum(map(len, self._lines.values())) >= TENANTS * self._most:
            raise BusyError("too many checks are running or waiting; retry later")
        await self._turn(tenant)
        try:
            within = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._pool, within.run, call)
        finally:
            self._leave(tenant)

    async def _turn(self, tenant: str) -> None:
        """Wait for the tenant's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn came at the same moment
                self._leave(tenant)
            raise

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        self._running += Counter()  # without those that are 0
        self._admit()

    def _admit(self) -> None:
        """Start a call of each tenant in turn, while there are threads; it is then the last."""
        lines, self._lines = self._lines, {}
        served: dict[str, deque[asyncio.Future[None]]] = {}
        for tenant, line in lines.items():
            waiting = deque(turn for turn in line if not turn.cancelled())
            if waiting and self._may_run(tenant):
                self._running[tenant] += 1
                waiting.popleft().set_result(None)
                served[tenant] = waiting
            else:
                self._lines[tenant] = waiting
        self._lines |= served
        self._lines = {tenant: line for tenant, line in self._lines.items() if line}

    def _may_run(self, tenant: str) -> bool:
        most = max(1, self._at_once - 1)
        return self._running.total() < self._at_once and self._running[tenant] < most

    def close(self) -> None:
        """Release the threads; checks that wait for one are not run."""
        self._pool.shutdown(wait=False, cancel_futures=True)
