"""Streaming of multipart bodies: the files are written to a folder and hashed as they arrive.

At most one megabyte of a file is in memory. Writing and hashing happen in a thread, so that a large
upload does not delay other requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request
from litestar.exceptions import InternalServerException
from multipart import MultipartError  # type: ignore[import-untyped]

from api.form_parser import FormParser, FormPart, why
from api.upload_spool import UploadSpool
from core.errors import (
    InputError,
    MalformedError,
    SeenitError,
    StoreUnavailableError,
    TooLargeError,
    UnsupportedError,
)
from core.ingest.accept import Upload

CHUNK = 1024 * 1024
"""Bytes of a file held before they are written."""
TEXT = 64 * 1024
"""Most bytes of one form field: four times the largest that any field may have."""
TEXTS = 200
"""Most form fields of one request; tags are the only ones that repeat."""
FORMS = 1024 * 1024
"""Most bytes of a request beside its files: fields, part headers, boundaries."""
FILENAME = 255
"""Most characters of a file name that are kept: the limit of common file systems."""

Run = Callable[..., Awaitable[Any]]
"""A function that runs a call in a thread, such as `UploadSpool.run` or `asyncio.to_thread`."""


class ReceivedForm(NamedTuple):
    """A received form: its texts by name, and an upload or an error for each file, in order."""

    texts: dict[str, list[str]]
    files: list[Upload | SeenitError]
    names: list[str | None]
    """File names as they were sent, in the order of `files`."""

    def paths(self) -> list[Path]:
        """Return the paths of the files. Raise the error of the first that was refused."""
        for file in self.files:
            if isinstance(file, SeenitError):
                raise file
        return [file.path for file in self.files if isinstance(file, Upload)]


class FormLimits(NamedTuple):
    """Limits of a form: its files, their bytes, and the names of its fields."""

    files: int
    """Most parts named `file`."""
    bytes: int
    """Most bytes of one file."""
    texts: frozenset[str] = frozenset()
    """Names of the other fields."""
    either: frozenset[str] = frozenset()
    """Names among `texts` that may also be files, treated like parts named `file`."""


class FormFile:
    """One file part on its way to the disk."""

    def __init__(self, path: Path, name: str | None, limit: int, run: Run) -> None:
        self.name = name
        self._run = run
        self._path = path
        self._limit = limit
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._held = bytearray()
        self._size = 0

    async def feed(self, data: bytes) -> None:
        """Take the next bytes; bytes past the limit are counted and dropped."""
        self._size += len(data)
        if self._size > self._limit:
            self._held.clear()
            return
        self._held += data
        if len(self._held) >= CHUNK:
            await self._run(self._write)

    async def close(self) -> Upload | SeenitError:
        """Return the upload, or the error that refuses the file."""
        if self._size > self._limit:
            await self._run(self._path.unlink, missing_ok=True)
            return TooLargeError(
                f"the file has {self._size} bytes (limit {self._limit})", field="file"
            )
        await self._run(self._write)
        return Upload(
            path=self._path,
            filename=self.name,
            sha256=self._sha256.hexdigest(),
            md5=self._md5.hexdigest(),
            bytes=self._size,
        )

    def _write(self) -> None:
        self._sha256.update(self._held)
        self._md5.update(self._held)
        try:
            with self._path.open("ab") as file:
                file.write(self._held)
        except OSError as error:
            raise StoreUnavailableError(f"the upload cannot be written: {error.strerror}") from None
        self._held = bytearray()


class FormReceiver:
    """Reader of one form, whose files it writes into a folder."""

    def __init__(self, folder: Path, bounds: FormLimits, run: Run) -> None:
        self._folder = folder
        self._run = run
        self._bounds = bounds
        self._form = ReceivedForm({}, [], [])
        self._file: FormFile | None = None
        self._text: bytearray | None = None
        self._name = ""
        self._texts = 0

    async def read(self, chunks: AsyncIterator[bytes], boundary: str) -> ReceivedForm:
        """Return the form. Raise MalformedError if it is cut off or exceeds its limits."""
        try:
            with FormParser(boundary, FORMS) as parser:
                async for chunk in chunks:
                    if chunk:
                        for event in parser.parse(chunk):
                            await self._take(event)
        except MultipartError as error:
            raise MalformedError(why(error)) from None
        return self._form

    async def _take(self, event: FormPart | bytes | bytearray | None) -> None:
        if isinstance(event, FormPart):
            self._start(event)
        elif event is None:
            await self._end()
        elif self._file is not None:
            await self._file.feed(bytes(event))
        elif self._text is not None:
            self._text += event
            if len(self._text) > TEXT:
                raise MalformedError(
                    f"{self._name} has over {TEXT} bytes (limit {TEXT})", field=self._name
                )

    def _start(self, part: FormPart) -> None:
        name, filename = part.name, part.filename
        self._name = name
        taken = name == "file" or (filename is not None and name in self._bounds.either)
        if (taken or part.fault) and len(self._form.files) >= self._bounds.files:
            most = self._bounds.files
            raise MalformedError(f"the form has over {most} files (limit {most})", field="file")
        if part.fault:  # only this part is refused: the error takes its place
            self._form.names.append(_plain(filename))
            self._form.files.append(MalformedError(part.fault, field=part.field))
            return
        if taken:
            path = self._folder / str(len(self._form.files))
            self._file = FormFile(path, _plain(filename), self._bounds.bytes, self._run)
            return
        if name not in self._bounds.texts:
            allowed = ", ".join(sorted(self._bounds.texts | {"file"}))
            raise MalformedError(
                f"there is no field {name!r:.80}; the fields are {allowed}", field=name[:80]
            )
        if filename is not None:
            raise MalformedError(
                f"{name} must be a text, not a file: send it without a filename", field=name
            )
        self._texts += 1
        if self._texts > TEXTS:
            raise MalformedError(f"the form has over {TEXTS} fields (limit {TEXTS})", field=name)
        self._text = bytearray()

    async def _end(self) -> None:
        if self._file is not None:
            self._form.names.append(self._file.name)
            self._form.files.append(await self._file.close())
        elif self._text is not None:
            try:
                text = self._text.decode("utf-8")
            except UnicodeDecodeError:
                raise MalformedError(
                    f"{self._name} is not UTF-8: send the form's texts in UTF-8", field=self._name
                ) from None
            self._form.texts.setdefault(self._name, []).append(text)
        self._file = self._text = None


@asynccontextmanager
async def received(
    request: Request[Any, Any, Any], spool: UploadSpool, bounds: FormLimits
) -> AsyncIterator[ReceivedForm]:
    """Yield the form of a request; its files are deleted when the block ends.

    Raise MalformedError, UnsupportedError for another media type, TooLargeError if the request has
    more bytes than `bounds` allow for all files together, StoreUnavailableError for a full disk.
    """
    kind, options = request.content_type
    if kind != "multipart/form-data":
        raise UnsupportedError(
            f"send multipart/form-data, not {kind[:80] or 'nothing'}", field="Content-Type"
        )
    boundary = options.get("boundary")
    if not boundary:
        raise MalformedError("multipart/form-data needs a boundary parameter", field="Content-Type")
    chunks = _bounded(request, bounds.files * bounds.bytes + FORMS)
    async with spool.folder() as folder:
        try:
            form = await FormReceiver(folder, bounds, spool.run).read(chunks, boundary)
        except SeenitError:
            await _drain(chunks)
            raise
        yield form


async def whole(request: Request[Any, Any, Any], most: int) -> bytes:
    """Return a body of up to `most` bytes. Raise TooLargeError, MalformedError if it is cut off."""
    chunks = _bounded(request, most)
    try:
        return b"".join([chunk async for chunk in chunks])
    except TooLargeError:
        with suppress(InternalServerException):
            async for _ in request.stream():  # so that the caller can read the answer
                pass
        raise


async def _bounded(request: Request[Any, Any, Any], most: int) -> AsyncGenerator[bytes, None]:
    """Yield a body in chunks. Raise TooLargeError past `most`, MalformedError if it is cut off."""
    announced = request.content_length
    if announced is not None and announced > most:
        raise TooLargeError(f"the request has {announced} bytes (limit {most})")
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise TooLargeError(f"the request has over {most} bytes (limit {most})")
            yield chunk
    except InternalServerException:
        raise MalformedError("the connection closed before the body was complete") from None


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the rest of a refused request, so that the caller can read the answer."""
    with suppress(InputError):
        async for _ in chunks:
            pass


def _plain(filename: str | None) -> str | None:
    """Return the last part of a file name, without control characters, cut to length."""
    if filename is None:
        return None
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(letter for letter in name if letter.isprintable())[:FILENAME]
    return name or None
