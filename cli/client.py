"""Client of the HTTP API; its problems are raised as the errors of core."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from adapters.service_address import PREFIX
from cli.file_names import form_name
from cli.file_reading import MOST, printed, read
from core import errors
from core.errors import (
    ForbiddenError,
    SeenitError,
    SettingsError,
    UnauthorizedError,
    UnavailableError,
)

Answer = dict[str, Any]
"""JSON of a response."""

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_PATIENCE = 60.0
"""Seconds for which a request answered 503 is retried."""

_KINDS: dict[str, type[SeenitError]] = {
    kind.type: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SeenitError)
}

_REFUSED: dict[int, type[SeenitError]] = {
    413: errors.TooLargeError,
    414: errors.MalformedError,
    431: errors.MalformedError,
}
"""Errors for the status codes of a proxy whose limit a request exceeds."""


class HTTPClient:
    """One service and one key. Safe for threads."""

    def __init__(self, url: str, key: str | None = None, most: int = MOST) -> None:
        """Open no connection yet. Files of over `most` bytes are not read."""
        self.most = most
        self._local = (key or "").startswith(PREFIX)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT, limits=limits, trust_env=False
        )

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections to the service."""
        self._http.close()

    def ask(self, method: str, path: str, **how: Any) -> Answer:  # noqa: ANN401 httpx's own
        """Send one request and return its JSON; retry a 503 for a minute.

        Raise the error that the problem names, UnavailableError without an answer.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._http.request(method, path, **how)
            except httpx.TimeoutException:
                raise UnavailableError(
                    f"{self._http.base_url} did not answer within {_TIMEOUT.read:g} s: is it "
                    "overloaded? Run the command again"
                ) from None
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise errors.SettingsError(
                    f"{str(self._http.base_url)!r} is not the address of a service: {error}; "
                    "write http://HOST:PORT"
                ) from None
            except httpx.TransportError as error:
                raise UnavailableError(
                    f"{self._http.base_url} does not answer: {error}; is the service running?"
                ) from None
            pause = _pause(answer)
            if pause is None or time.monotonic() + pause > until:
                return _told(answer, local=self._local)
            time.sleep(pause)

    def upload(self, path: Path, data: bytes, fields: dict[str, Any], key: str) -> Answer:
        """Upload one file under an idempotency key; return its job. Raise its problem."""
        answer = self.ask(
            "POST",
            "/v1/images",
            files={"file": (form_name(path), data)},
            data=fields,
            headers={"Idempotency-Key": key},
        )
        item: Answer = answer["items"][0]
        return item

    def job(self, job_id: str) -> Answer:
        """Return the status of a job."""
        return self.ask("GET", f"/v1/jobs/{job_id}")

    def find(self, **filters: str) -> Answer | None:
        """Return the newest record that passes all filters, None without one."""
        items = self.ask("GET", "/v1/images", params={**filters, "limit": 1})["items"]
        return items[0] if items else None

    def image(self, image_id: str) -> Answer:
        """Return one record by its id."""
        return self.ask("GET", f"/v1/images/{image_id}")

    def check(self, path: Path) -> Answer:
        """Return the verdict a file would get. Raise UnreadError, TooLargeError as `read` does."""
        data = read(path, self.most)
        return self.ask("POST", "/v1/check", files={"file": (form_name(path), data)})

    def stats(self) -> Answer:
        """Return the counts of the tenant."""
        return self.ask("GET", "/v1/stats")

    def search(self, asked: Answer, file: Path | None = None) -> Answer:
        """Return the pictures that match a query, and a file where one is given."""
        return self._asked("/v1/search", asked, [] if file is None else [file])

    def context(self, asked: Answer, files: Sequence[Path] = ()) -> Answer:
        """Return the pictures that help with a question, as a prompt."""
        return self._asked("/v1/rag/context", asked, files)

    def _asked(self, path: str, asked: Answer, files: Sequence[Path]) -> Answer:
        """Send a question as JSON, or as a form where files go with it."""
        if not files:
            return self.ask("POST", path, json=asked)
        texts = {
            name: value if isinstance(value, str | list) else json.dumps(value)
            for name, value in asked.items()
        }
        parts = [("file", (form_name(file), self._read(file))) for file in files]
        return self.ask("POST", path, data=texts, files=parts)

    def _read(self, file: Path) -> bytes:
        """Return the bytes of a file; its error names the file."""
        try:
            return read(file, self.most)
        except errors.InputError as error:
            raise type(error)(f"{printed(file)}: {error.detail}") from None


def problem(error: SeenitError) -> Answer:
    """Return an error of one file as a row has it; raise one that concerns all files."""
    if isinstance(error, UnavailableError | UnauthorizedError | ForbiddenError | SettingsError):
        raise error
    return {"type": error.type, "detail": error.detail}


def _pause(answer: httpx.Response) -> float | None:
    """Return the seconds before a retry, None for a final answer."""
    if answer.status_code not in (429, 503):
        return None
    if _problem(answer) == errors.EmbedderUnavailableError.type:
        return None  # a model that is absent does not come by being asked again
    said = answer.headers.get("Retry-After", "1")
    return min(10.0, float(said)) if said.isdigit() else 1.0


def _problem(answer: httpx.Response) -> str:
    """Return the kind of problem of a response, "" for none."""
    body = _body(answer)
    return str(body.get("type", "")).rpartition("/")[2] if body is not None else ""


def _body(answer: httpx.Response) -> Answer | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _told(answer: httpx.Response, *, local: bool) -> Answer:
    """Return the body, or raise its problem; `local`: with the key of a data folder."""
    body = _body(answer)
    if answer.is_success and body is not None:
        return body
    if body is not None and "detail" in body:
        name = _problem(answer)
        if name == errors.UnauthorizedError.type:
            if local:  # else it says how HTTP wants it
                raise errors.UnauthorizedError(str(body["detail"]))
            raise errors.UnauthorizedError(
                "the service does not know this key: pass one of its SEENIT_API_KEYS with --key "
                "or SEENIT_KEY"
            )
        raise _KINDS.get(name, SeenitError)(str(body["detail"]))
    if answer.status_code in _REFUSED:  # by a proxy, say, and this request alone
        raise _REFUSED[answer.status_code](
            f"a proxy in front of the service answered {answer.status_code}: the request is larger "
            "than it allows"
        )
    raise UnavailableError(
        f"{answer.url} answered {answer.status_code}, which is no answer of Seenit's: check --url "
        "or SEENIT_URL"
    )
