"""Opening of a blob store by URL, and the test that its creates have one winner."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from obstore.store import MemoryStore, from_url

from adapters.blobs.directory import DirectoryBlobs
from adapters.blobs.errors import object_store
from adapters.blobs.object_store import ObjectStoreBlobs
from core.errors import ExistsError, MissingError, StoreUnavailableError
from core.ports import Blobs

BUCKETS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
CONNECT = timedelta(seconds=3)
"""Time to connect: a store that is down must be recognised well within a request."""
REQUEST = timedelta(seconds=30)
STALL = timedelta(seconds=10)
"""Longest silence while an answer is awaited or read: it ends half-open connections."""
RETRIES = 5
"""Retries after a 5xx or a lost connection: a store that refuses one request in ten then fails one
in a million for good, and a store that is down is recognised within two seconds."""
BACKOFF = timedelta(milliseconds=100)
BACKOFF_MOST = timedelta(seconds=1)
RETRY_FOR = timedelta(seconds=10)
"""obstore's own default is three minutes, longer than any caller here waits."""
RACERS = 8
ROUNDS = 3


def open_blobs(url: str, *, durable: bool = True) -> Blobs:
    """Open the store that `url` names.

    `file:///path` or a plain path: a directory, made if it is missing; `durable` flushes every
    write to the disk. `s3://bucket/prefix`, `gs://…`, `az://container/prefix`: obstore, with
    credentials from the provider's own environment variables. `memory://`: gone with the process.
    Raise StoreUnavailableError, and ValueError for another scheme.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return DirectoryBlobs(Path(unquote(parts.path)), durable=durable)
    if "://" not in url:
        return DirectoryBlobs(Path(url).expanduser(), durable=durable)
    if parts.scheme == "memory":
        return ObjectStoreBlobs(MemoryStore())
    if parts.scheme not in BUCKETS:
        raise ValueError(f"no blob store of scheme {parts.scheme}: use a path or {BUCKETS}")
    with object_store(url):
        # Plain HTTP is only ever used where the operator's own endpoint says http://.
        return ObjectStoreBlobs(
            from_url(
                url,
                client_options={
                    "allow_http": True,
                    "connect_timeout": CONNECT,
                    "timeout": REQUEST,
                    "read_timeout": STALL,
                },
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": RETRY_FOR,
                    "backoff": {
                        "init_backoff": BACKOFF,
                        "max_backoff": BACKOFF_MOST,
                        "base": 2,
                    },
                },
            )
        )


def probe(blobs: Blobs) -> None:
    """Let eight writers race for one key, three times; exactly one may win each time.

    Some gateways report success to several of them, and then the order of the log cannot be
    trusted. Raise StoreUnavailableError with the observed counts.
    """
    with ThreadPoolExecutor(RACERS) as pool:
        for _ in range(ROUNDS):
            key = f"probe/default/{uuid.uuid4().hex}"
            try:
                _race(blobs, key, pool)
            finally:
                blobs.delete([key])


def _race(blobs: Blobs, key: str, pool: ThreadPoolExecutor) -> None:
    start = threading.Barrier(RACERS)

    def create(n: int) -> bool:
        start.wait()
        try:
            blobs.create(key, str(n).encode())
        except ExistsError:
            return False
        return True

    won = [n for n, winner in enumerate(pool.map(create, range(RACERS))) if winner]
    if len(won) > 1:
        raise StoreUnavailableError(
            "this store lets several writers create one key, so the log could lose entries: "
            f"{len(won)} of {RACERS} racing creates succeeded, where one may"
        )
    try:
        stored = blobs.get(key)
    except MissingError as error:
        raise StoreUnavailableError(
            "this store does not show an object that was just created"
        ) from error
    # No winner at all is an answer lost on the way and retried: the object itself is there.
    if won and stored != str(won[0]).encode():
        raise StoreUnavailableError(
            "this store lets several writers create one key: the winner's object was overwritten"
        )
    try:
        blobs.create(key, b"again")
    except ExistsError:
        return
    raise StoreUnavailableError(
        "this store lets several writers create one key: a second create was not refused"
    )
