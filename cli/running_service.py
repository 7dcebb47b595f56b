"""The `seenit up` that runs on a data folder: how it says where it is, and how it is found."""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from adapters.process_lock import EngineLock
from adapters.service_address import (
    PATH,
    LocalKey,
    ServiceAddress,
    read_address,
    remove_address,
    write_address,
)
from adapters.settings import Settings
from core.errors import EngineUnavailableError
from core.version import installed_version

_CONNECT_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
"""Seconds that a service may take to answer: it listens before its parts are built."""
_START_SECONDS = 120.0
"""Seconds that a command waits for the models of a starting service."""
_WORDLESS_SECONDS = 1.0
_ANSWER_BYTES = 4096
"""Most bytes of an answer with its headers; a service sends some 500."""
_POLL_SECONDS = 0.1

State = Literal["away", "silent", "starting", "running"]

logger = logging.getLogger(__name__)


def find_running(read: Settings, model: str | None, *, models: bool) -> ServiceAddress | None:
    """Return the service that answers for the data folder, None where a command has to do it.

    `model` is what the command line names: another one than the service's needs a process of its
    own, as do a store and a queue that the settings name beside the folder. `models`: wait until
    a service that is starting has loaded them.
    """
    address = read_address(read.data)
    if (
        address is None
        or address.host != socket.gethostname()
        or (model is not None and model != address.model)
        or not read.broker_url.startswith("memory:")
        or ("blobs_url" in read.model_fields_set and read.blobs_url != address.blobs_url)
        or _state(address, models=models) in ("away", "silent")
    ):
        return None
    if address.version != installed_version():
        _say(
            address,
            f"is version {address.version} and this command {installed_version()}: restart it",
        )
    return address


def _state(address: ServiceAddress, *, models: bool) -> State:
    """Ask the service how far it is, for as long as it is starting; say so after a second."""
    began = time.monotonic()
    state = _answer(address, _WORDLESS_SECONDS)
    if state == "silent" or (state == "starting" and models):
        _say(address, "is starting; this command waits for it")
    if state == "silent" and (state := _answer(address, _ANSWER_SECONDS)) == "silent":
        _say(address, "does not answer; this command does without it")
    while state == "starting" and models and time.monotonic() - began < _START_SECONDS:
        time.sleep(_POLL_SECONDS)
        state = _answer(address, _ANSWER_SECONDS)
    return state


def _answer(address: ServiceAddress, seconds: float) -> State:
    """Ask once whether the service at the address knows the key, which is not sent for that.

    It is `away` where it was killed, or where the folder is shared with another machine or
    container; another program may answer then.
    """
    nonce = secrets.token_hex(16)
    try:
        told = json.loads(_read_answer(address.url, f"{PATH}?nonce={nonce}", seconds))
        known = hmac.compare_digest(str(told["proof"]).encode(), address.key.proof(nonce).encode())
        return ("starting" if told["starting"] else "running") if known else "away"
    except TimeoutError:
        return "silent"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "away"


def _read_answer(url: str, path: str, seconds: float) -> bytes:
    """Return the body of the answer to a GET. Raise OSError, TimeoutError, ValueError for the URL.

    The program there may be hostile, and httpx limits only the time between two bytes: here all of
    the answer has `seconds`, and _ANSWER_BYTES.
    """
    until = time.monotonic() + seconds
    place = urlsplit(url)
    head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
    try:
        link = socket.create_connection((place.hostname or "", place.port or 80), _CONNECT_SECONDS)
    except TimeoutError:
        raise ConnectionError from None
    with link:
        link.sendall(head.encode())
        data = b""
        while len(data) < _ANSWER_BYTES and (left := until - time.monotonic()) > 0:
            link.settimeout(left)
            part = link.recv(_ANSWER_BYTES)
            if not part:
                return data.partition(b"\r\n\r\n")[2]
            data += part
    raise TimeoutError if len(data) < _ANSWER_BYTES else ConnectionError


def _say(address: ServiceAddress, what: str) -> None:
    click.echo(f"seenit: the service at {address.url} (process {address.pid}) {what}", err=True)


class AddressNotice:
    """The file in the data folder that says where this process serves it."""

    def __init__(self, read: Settings, url: str) -> None:
        """Make a key; nothing is written yet. `url` is that of the listening socket."""
        self.key = LocalKey.new()
        self._folder = read.data
        self._address = ServiceAddress(
            # a service on all addresses is reached over loopback
            url=url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"),
            host=socket.gethostname(),
            secret=self.key.secret,
            pid=os.getpid(),
            version=installed_version(),
            model=read.model,
            blobs_url=read.blobs_url,
        )

    def put(self) -> None:
        """Write the file; without it commands do their work by themselves."""
        try:
            write_address(self._folder, self._address)
        except OSError as error:
            logger.warning("commands do not find this service: %s", error.strerror or error)

    @contextmanager
    def until_done(self, *, first: bool) -> Iterator[None]:
        """Keep the file while the service runs; `first` where no other process has one."""
        if first:
            self.put()
        try:
            yield
        finally:
            with suppress(OSError):
                remove_address(self._folder, self._address)


def holder(folder: Path) -> str:
    """Say which process serves a data folder and where, or which one holds it; "" for none."""
    address = read_address(folder)
    if address is not None and _answer(address, _ANSWER_SECONDS) != "away":
        return f"process {address.pid} serves the data folder {folder} at {address.url}"
    lock = EngineLock(folder)
    try:
        if not lock.taken():
            return ""
    except EngineUnavailableError:  # shown by the engine's own attempt
        return ""
    return f"process {lock.holder or 'of unknown id'} holds the data folder {folder}"
