"""Blob store in a bucket (S3, Google Cloud Storage, Azure, memory) through obstore."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.store import ObjectStore

from adapters.blobs.directory import check
from adapters.blobs.errors import object_store
from core.backoff import pause_after
from core.errors import ExistsError, MissingError, StoreUnavailableError

if TYPE_CHECKING:
    from obstore import BytesStream  # a type only, absent at run time

CHUNK = 1 << 20
TRIES = 6
PAUSE = 0.02
"""Seconds before a put that met another is retried, doubled each time: at most a second in all."""
PARALLEL = 16
"""Concurrent requests: a bucket answers in 15 to 50 ms and takes hundreds side by side."""

T = TypeVar("T")
R = TypeVar("R")


class ObjectStoreBlobs:
    """Port Blobs over any obstore store. A bucket is durable by itself."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="bucket")

    def get(self, key: str) -> bytes:
        """Read one object. Raise MissingError."""
        with object_store(check(key)):
            return bytes(obstore.get(self._store, key).bytes())

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read objects in order, None for each that is missing."""

        def one(key: str) -> bytes | None:
            try:
                return self.get(key)
            except MissingError:
                return None

        return self._each(one, keys)

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object in chunks of about 1 MB. Raise MissingError before the first one."""
        with object_store(check(key)):
            answer = obstore.get(self._store, key)
        return _chunks(key, answer.stream(min_chunk_size=CHUNK))

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key, in order, whether it exists."""
        return self._each(self._there, keys)

    def put(self, items: Sequence[tuple[str, bytes | Path]]) -> None:
        """Write or overwrite objects, in parallel."""

        def one(item: tuple[str, bytes | Path]) -> None:
            key, data = item
            for attempt in range(TRIES):
                try:
                    with object_store(check(key)):
                        obstore.put(self._store, key, data)
                except ExistsError:
                    # A 409: another request was at this key or its folder. Nothing landed.
                    time.sleep(pause_after(attempt + 1, first=PAUSE))
                else:
                    return
            raise StoreUnavailableError(f"the blob store refuses {key} again and again")

        self._each(one, items)

    def create(self, key: str, data: bytes) -> None:
        """Create an object. Raise ExistsError, also for an own put whose first answer was lost.

        A store also reports "exists" (409) for a put that merely met another request at this key or
        its folder, and of which nothing landed. So the key is read, and the put is retried if the
        key is free; otherwise a pending job could be reported as written without being stored.
        """
        for attempt in range(TRIES):
            try:
                with object_store(check(key)):
                    obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except ExistsError:
                if self._there(key):
                    raise
                time.sleep(pause_after(attempt + 1, first=PAUSE))
            else:
                return
        raise StoreUnavailableError(f"the blob store refuses {key} again and again")

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create objects; False where the key was taken."""

        def one(item: tuple[str, bytes]) -> bool:
            try:
                self.create(*item)
            except ExistsError:
                return False
            return True

        return self._each(one, items)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, missing ones without an error."""
        wanted = [check(key) for key in keys]
        if not wanted:
            return
        try:
            with object_store(wanted[0]):
                obstore.delete(self._store, wanted)
        except MissingError:
            # Google and Azure refuse what is gone: then one by one, each gone one passed over.
            self._each(self._delete, wanted)

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys under a prefix, sorted, greater than `after`."""
        for found in self._list(prefix, after):
            yield found[0]

    def folders(self, prefix: str) -> list[str]:
        """List the names directly below a prefix that contain objects."""
        with object_store(prefix):
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def modified(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Yield the keys under a prefix with their time of writing in seconds since the epoch."""
        return self._list(prefix, None)

    def free(self) -> int | None:
        """Return None: a bucket has no limit."""
        return None

    def _list(self, prefix: str, after: str | None) -> Iterator[tuple[str, float]]:
        with object_store(prefix):
            for page in obstore.list(self._store, prefix or None, offset=after):
                for found in page:
                    yield found["path"], found["last_modified"].timestamp()

    def _there(self, key: str) -> bool:
        try:
            with object_store(check(key)):
                obstore.head(self._store, key)
        except MissingError:
            return False
        return True

    def _delete(self, key: str) -> None:
        try:
            with object_store(key):
                obstore.delete(self._store, key)
        except MissingError:
            return

    def _each(self, one: Callable[[T], R], items: Sequence[T]) -> list[R]:
        if len(items) == 1:
            return [one(items[0])]
        return list(self._pool.map(one, items))


def _chunks(key: str, source: BytesStream) -> Iterator[bytes]:
    """Yield the chunks of `source`, the first one already fetched when this returns."""

    def rest() -> Iterator[bytes]:
        with object_store(key):
            for chunk in source:
                yield bytes(chunk)

    following = rest()
    first = next(following, b"")
    return chain([first], following) if first else iter(())
