"""Requests to a running service, whatever processes stand behind its address."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

T = TypeVar("T")


def until(ask: Callable[[], T], seconds: float = 60.0, every: float = 0.02) -> T:
    """Call until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(every)


def drained(count: Callable[[], int], seconds: float, every: float) -> None:
    """Call until it returns 0; fail if it returns the same for so long.

    A slow machine has all the time that it needs, as long as it gets on.
    """
    left, deadline = count(), time.monotonic() + seconds
    while left:
        assert time.monotonic() < deadline, f"{left} are left, none less within {seconds:.0f} s"
        time.sleep(every)
        before, left = left, count()
        if left != before:
            deadline = time.monotonic() + seconds


class Talking:
    """Calls by their HTTP names."""

    client: httpx.Client

    def upload(
        self,
        files: Sequence[tuple[str, bytes]],
        *,
        key: str | None = None,
        wait: float | None = None,
        **fields: str,
    ) -> httpx.Response:
        """Upload files by POST /v1/images."""
        return self.client.post(
            "/v1/images",
            files=[("file", (name, data)) for name, data in files],
            data=fields,
            params={} if wait is None else {"wait": wait},
            headers={} if key is None else {"Idempotency-Key": key},
        )

    def check(self, data: bytes) -> httpx.Response:
        """Check one file by POST /v1/check."""
        return self.client.post("/v1/check", files={"file": ("q.jpg", data)})

    def ready(self) -> dict[str, Any]:
        """GET /health/ready, whatever its status."""
        told: dict[str, Any] = self.client.get("/health/ready").json()
        return told

    def jobs(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return every job, oldest first."""
        return self._pages("/v1/jobs", {} if status is None else {"status": status})

    def images(self, **filters: str) -> list[dict[str, Any]]:
        """Return every record, oldest first."""
        return self._pages("/v1/images", filters)

    def _pages(self, path: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = {"limit": "200", **filters, **({"cursor": cursor} if cursor else {})}
            page = self.client.get(path, params=params).raise_for_status().json()
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items[::-1]
