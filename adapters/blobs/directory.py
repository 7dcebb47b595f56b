"""Blob store in a directory: objects appear whole or not at all, flushed to disk if configured.

Data are written to a temporary file under `.tmp`, flushed, then linked to their key, and the folder
is flushed. So a key never shows half an object, not even after a power cut, and `link` lets exactly
one of several racing creates win.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from adapters.blobs.disk_reserve import DiskReserve
from adapters.blobs.errors import filesystem
from adapters.blobs.fsync import Disk
from core.errors import DiskFullError, ExistsError, MissingError, StoreUnavailableError

CHUNK = 1 << 20
TEMPORARY = ".tmp"
ABANDONED = 3600.0
"""Seconds after which a temporary file is abandoned: no write takes that long."""
TRIES = 100
"""Attempts to write below a folder that another process prunes; each try is a new race."""
RELEASED = 1 << 20
"""Free bytes that show that there is space again."""
KEPT = 2
"""Depth (`pending/<tenant>`) up to which folders are never pruned, so hot ones need not be
recreated."""


def check(key: str) -> str:
    """Return the key; raise ValueError if it could mean anything but a place below the root."""
    if any(not part or part.startswith(".") or "\\" in part for part in key.split("/")):
        raise ValueError(f"not a key: {key!r}")
    return key


class DirectoryBlobs:
    """Port Blobs in a directory, for any number of threads and processes at once."""

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root.absolute()
        self._spool = self.root / TEMPORARY
        self._reserve = DiskReserve(self.root / ".reserve")
        with filesystem(str(root)):
            self._spool.mkdir(parents=True, exist_ok=True)
            self._disk = Disk(self.root, durable=durable)
            self._disk.flush([self.root.parent, self.root], gone=True)
            self._clean()

    def get(self, key: str) -> bytes:
        """Read one object. Raise MissingError."""
        with filesystem(key):
            return (self.root / check(key)).read_bytes()

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read objects in order, None for each that is missing."""
        found: list[bytes | None] = []
        for key in keys:
            try:
                found.append(self.get(key))
            except MissingError:
                found.append(None)
        return found

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield an object in chunks of 1 MB. Raise MissingError before the first one."""

        def chunks() -> Iterator[bytes]:
            with filesystem(key), (self.root / check(key)).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk

        following = chunks()
        first = next(following, b"")
        return chain([first], following) if first else iter(())

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key, in order, whether it exists."""
        found = []
        for key in keys:
            with filesystem(key):
                found.append((self.root / check(key)).is_file())
        return found

    def put(self, items: Sequence[tuple[str, bytes | Path]]) -> None:
        """Write or overwrite, durable with one flush.

        A file is taken over: linked in if it is on the same device, so that nothing is written
        twice, else copied. No other code may write to it afterwards; deleting it is free.
        """
        paths = [self.root / check(key) for key, _ in items]
        sources = self._write([data for _, data in items])
        try:
            for (key, _), source, path in zip(items, sources, paths, strict=True):
                with filesystem(key):
                    self._place(source, path, replace=True)
            with filesystem("a folder"):
                self._disk.flush_chains({path.parent for path in paths}, keep=KEPT)
        finally:
            self._drop(sources)

    def create(self, key: str, data: bytes) -> None:
        """Create an object durably, and never overwrite. Raise ExistsError."""
        if not self.create_many([(key, data)])[0]:
            raise ExistsError(f"{key} already exists")

    def create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Create objects; False where the key was taken, and then that object is durable too.

        On a full disk they take the place of the reserve: what has to be created is small, and a
        delete that frees space begins with it.
        """
        try:
            return self._create_many(items)
        except DiskFullError:
            if not self._reserve.release() and self.free() < RELEASED:
                raise  # else another thread has just released it
        return self._create_many(items)

    def keep_reserve(self) -> None:
        """Set bytes aside for the time when the disk is full, if there are enough by now."""
        self._reserve.fill(self.free())

    def _create_many(self, items: Sequence[tuple[str, bytes]]) -> list[bool]:
        paths = [self.root / check(key) for key, _ in items]
        free = [not path.exists() for path in paths]
        sources = self._write([data for (_, data), new in zip(items, free, strict=True) if new])
        try:
            waiting = iter(sources)
            made = []
            for (key, _), path, new in zip(items, paths, free, strict=True):
                made.append(new)
                if new:
                    try:
                        with filesystem(key):
                            self._place(next(waiting), path, replace=False)
                    except ExistsError:
                        made[-1] = False
            with filesystem("a folder"):
                self._disk.flush_chains({path.parent for path in paths}, keep=KEPT)
        finally:
            self._drop(sources)
        return made

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, missing ones without an error, and the folders that become empty."""
        touched: set[Path] = set()
        for key in keys:
            path = self.root / check(key)
            try:
                with filesystem(key):
                    path.unlink()
            except MissingError:
                continue
            touched.add(self._prune(path.parent))
        with filesystem("a deleted key"):
            self._disk.flush(touched, gone=True)

    def keys(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys under a prefix, sorted, greater than `after`."""
        for key, _ in self._walk(prefix, after or ""):
            yield key

    def folders(self, prefix: str) -> list[str]:
        """List the names directly below a prefix that contain objects."""
        inside = _scan(self._folder(prefix))
        return [entry.name for entry in inside if entry.is_dir() and _holds(Path(entry.path))]

    def modified(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Yield the keys under a prefix with their time of writing in seconds since the epoch."""
        for key, entry in self._walk(prefix, ""):
            try:
                yield key, entry.stat().st_mtime
            except FileNotFoundError:
                continue

    def free(self) -> int:
        """Return the bytes left on the device."""
        with filesystem(str(self.root)):
            return shutil.disk_usage(self.root).free

    def _folder(self, prefix: str) -> Path:
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a prefix ends in a slash: {prefix!r}")
        return self.root / check(prefix[:-1]) if prefix else self.root

    def _walk(self, prefix: str, after: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        def wanted(entry: os.DirEntry[str]) -> bool:
            key = prefix + entry.name
            if not entry.is_dir():
                return key > after
            return f"{key}/" > after or after.startswith(f"{key}/")

        for entry in _scan(self._folder(prefix), wanted):
            key = prefix + entry.name
            if entry.is_dir():
                yield from self._walk(f"{key}/", after)
            else:
                yield key, entry

    def _write(self, items: Sequence[bytes | Path]) -> list[Path]:
        """Write temporary files with these contents, flushed together."""
        sources: list[Path] = []
        try:
            with filesystem("a temporary file"):
                for data in items:
                    sources.append(self._spool / uuid.uuid4().hex)
                    if isinstance(data, Path):
                        _take(data, sources[-1])
                    else:
                        sources[-1].write_bytes(data)
                self._disk.flush(sources)
        except MissingError as error:
            self._drop(sources)
            raise StoreUnavailableError(f"a file to be stored is gone: {error}") from error
        except BaseException:
            self._drop(sources)
            raise
        return sources

    def _place(self, source: Path, path: Path, *, replace: bool) -> None:
        for tries in range(TRIES):
            try:
                self._make(path.parent)
                if replace:
                    source.replace(path)
                else:
                    path.hardlink_to(source)
            except FileNotFoundError:
                if tries == TRIES - 1 or not source.exists():
                    raise
            else:
                return

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            above = next(path for path in (folder, *folder.parents) if path.exists())
            if not above.is_dir():
                raise StoreUnavailableError(f"{folder} lies below another object") from error
            raise FileNotFoundError(folder) from error  # pruned in between

    def _prune(self, folder: Path) -> Path:
        """Remove empty folders upwards; return the first that stays."""
        while len(folder.relative_to(self.root).parts) > KEPT:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                break
            folder = folder.parent
        return folder

    def _drop(self, sources: Iterable[Path]) -> None:
        for source in sources:
            with filesystem("a temporary file"):
                source.unlink(missing_ok=True)

    def _clean(self) -> None:
        """Remove the files of killed processes; those of a living one are younger."""
        for entry in _scan(self._spool, hidden=True):
            try:
                if entry.is_file() and entry.stat().st_mtime < time.time() - ABANDONED:
                    Path(entry.path).unlink()
            except FileNotFoundError:
                continue


def _take(file: Path, to: Path) -> None:
    """Link a file under another name; copy it if the device differs."""
    try:
        to.hardlink_to(file)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(file, to)


def _scan(
    folder: Path, wanted: Callable[[os.DirEntry[str]], bool] | None = None, *, hidden: bool = False
) -> list[os.DirEntry[str]]:
    """List a folder's entries in the order of the keys below them; none if it is gone."""
    try:
        with filesystem(str(folder)), os.scandir(folder) as entries:
            found = [
                entry
                for entry in entries
                if (hidden or not entry.name.startswith(".")) and (wanted is None or wanted(entry))
            ]
    except MissingError:
        return []
    return sorted(found, key=lambda entry: entry.name + ("/" if entry.is_dir() else ""))


def _holds(folder: Path) -> bool:
    """Return whether there is a file in it or below."""
    try:
        with filesystem(str(folder)), os.scandir(folder) as entries:
            return any(
                _holds(Path(entry.path)) if entry.is_dir() else True
                for entry in entries
                if not entry.name.startswith(".")
            )
    except MissingError:
        return False
