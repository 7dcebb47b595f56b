"""Seenit's HTTP contract from the caller's side; its problems come back as our errors."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

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
"""JSON as it came."""

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_PATIENCE = 60.0
"""Seconds for which a part that is down (503) is asked again."""

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
"""What a proxy answers to a request that is too large for it."""


class HTTPClient:
    """One service and one key. Safe for threads."""

    def __init__(self, url: str, key: str | None = None, most: int = MOST) -> None:
        """Files of over `most` bytes are not read: the service would refuse them."""
        self.most = most
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT, limits=limits, trust_env=False
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, path: str, **how: Any) -> Answer:  # noqa: ANN401 httpx's own
        """Send one request and read its JSON; a 503 is asked again for a while.

        Raises the error that the problem names, UnavailableError where nobody answers.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._http.request(method, path, **how)
            except httpx.TimeoutException:
                raise UnavailableError(f"{self._http.base_url} did not answer in time") from None
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise errors.SettingsError(f"not an address of a service: {error}") from None
            except httpx.TransportError as error:
                raise UnavailableError(f"{self._http.base_url} does not answer: {error}") from None
            pause = _pause(answer)
            if pause is None or time.monotonic() + pause > until:
                return _told(answer)
            time.sleep(pause)

    def upload(self, path: Path, data: bytes, fields: dict[str, Any], key: str) -> Answer:
        """One file under an idempotency key: its job as it was accepted, or its problem."""
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
        """How far a job is."""
        return self.ask("GET", f"/v1/jobs/{job_id}")

    def find(self, **filters: str) -> Answer | None:
        """The newest record that passes all filters."""
        items = self.ask("GET", "/v1/images", params={**filters, "limit": 1})["items"]
        return items[0] if items else None

    def image(self, image_id: str) -> Answer:
        """One record."""
        return self.ask("GET", f"/v1/images/{image_id}")

    def check(self, path: Path) -> Answer:
        """The verdict a file would get. Raise UnreadError, TooLargeError as `read` does."""
        data = read(path, self.most)
        return self.ask("POST", "/v1/check", files={"file": (form_name(path), data)})

    def stats(self) -> Answer:
        """Counts of the tenant."""
        return self.ask("GET", "/v1/stats")

    def search(self, asked: Answer, file: Path | None = None) -> Answer:
        """Pictures that match, asked by a picture of one's own as well."""
        return self._asked("/v1/search", asked, [] if file is None else [file])

    def context(self, asked: Answer, files: Sequence[Path] = ()) -> Answer:
        """The pictures that help with a question, as a prompt."""
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
        """A file that a question names, which its error names as well."""
        try:
            return read(file, self.most)
        except errors.InputError as error:
            raise type(error)(f"{printed(file)}: {error.detail}") from None


def problem(error: SeenitError) -> Answer:
    """An error as a row tells it, where it concerns one file alone. Raises one that does not."""
    if isinstance(error, UnavailableError | UnauthorizedError | ForbiddenError | SettingsError):
        raise error
    return {"type": error.type, "detail": error.detail}


def _pause(answer: httpx.Response) -> float | None:
    """Seconds to wait before the same question, None where it was answered for good."""
    if answer.status_code not in (429, 503):
        return None
    if _problem(answer) == errors.EmbedderUnavailableError.type:
        return None  # a model that is absent does not come by being asked again
    said = answer.headers.get("Retry-After", "1")
    return min(10.0, float(said)) if said.isdigit() else 1.0


def _problem(answer: httpx.Response) -> str:
    """The kind of problem that was told, "" for none."""
    body = _body(answer)
    return str(body.get("type", "")).rpartition("/")[2] if body is not None else ""


def _body(answer: httpx.Response) -> Answer | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _told(answer: httpx.Response) -> Answer:
    body = _body(answer)
    if answer.is_success and body is not None:
        return body
    if body is not None and "detail" in body:
        name = _problem(answer)
        if name == errors.UnauthorizedError.type:
            raise errors.UnauthorizedError("the service wants a key that it knows: --key")
        raise _KINDS.get(name, SeenitError)(str(body["detail"]))
    if answer.status_code in _REFUSED:  # by a proxy, say, and this request alone
        raise _REFUSED[answer.status_code](
            f"something in front of the service answered {answer.status_code}: it takes less"
        )
    raise UnavailableError(
        f"{answer.url} answered {answer.status_code}, which is no answer of Seenit's"
    )
