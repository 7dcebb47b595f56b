"""The route by which the service proves that it owns the data folder's key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from adapters.service_address import PATH, LocalKey


def local_proof(key: LocalKey, starting: Callable[[], bool]) -> HTTPRouteHandler:
    """Return the route that answers a nonce with its HMAC, by which a command trusts the address.

    It takes no key, and reveals nothing of the one it proves. `starting` returns whether the models
    are still being loaded, for which a command may wait.
    """

    @get(PATH, include_in_schema=False, sync_to_thread=False)
    def proof(
        nonce: Annotated[str, Parameter(min_length=32, max_length=64)],
    ) -> dict[str, str | bool]:
        return {"proof": key.proof(nonce), "starting": starting()}

    return proof
