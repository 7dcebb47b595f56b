"""Errors of gRPC, raised without the client's own handling."""

from __future__ import annotations

from typing import Any

from grpc import RpcError  # type: ignore[import-untyped]


class GRPCError(Exception):  # becomes one of ours in `weaviate_errors`
    """Error of a gRPC call, with its code and details."""

    def __init__(self, error: Any) -> None:  # noqa: ANN401  # RpcError is a Call
        self.code: str = error.code().name
        self.details: str = error.details() or ""
        super().__init__(f"{self.code}: {self.details}")


class StrictStub:
    """Wrapper of the client's gRPC methods that bypasses its handling of errors.

    weaviate-client 4.23 sleeps 1, 2, 4, 8 and 16 s if a server is down, without a setting to
    prevent it, and drops the code of other errors.
    """

    def __init__(self, stub: Any) -> None:  # noqa: ANN401  # generated code
        self._stub = stub

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # generated code
        method = getattr(self._stub, name)

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # passes all on
            try:
                return method(*args, **kwargs)
            except RpcError as error:
                raise GRPCError(error) from error

        return call
