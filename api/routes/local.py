"""The route by which the service proves that it owns the data folder's key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from litestar import Request, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from adapters.service_address import PATH, LocalKey
from api.auth import OPEN, check_same_machine


def local_proof(key: LocalKey, starting: Callable[[], bool]) -> HTTPRouteHandler:
    """Return the route that answers a nonce with its HMAC, by which a command trusts the address.

    It takes no key, and reveals nothing of the one it proves. Another machine gets no proof, as a
    program there could show it to a command that mistakes it for this service. `starting` returns
    whether the models are still being loaded, for which a command may wait.
    """

    @get(PATH, opt=OPEN, include_in_schema=False, sync_to_thread=False)
    def proof(
        request: Request[Any, Any, State],
        nonce: Annotated[str, Parameter(min_length=32, max_length=64)],
    ) -> dict[str, str | bool]:
        check_same_machine(request)
        return {"proof": key.proof(nonce), "starting": starting()}

    return proof
