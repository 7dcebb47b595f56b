"""Folders for the files of a form while it is answered, and threads that never use the index.

Accepting needs only files, the broker and the blob store: in these threads it continues while the
index hangs, and with it every thread that reads.
"""

from __future__ import annotations

import asyncio
import contextvars
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from core.errors import StoreUnavailableError

STALE = 6 * 3600.0
"""Seconds after which a folder left by a killed process is deleted."""
THREADS = 32
"""Threads for calls that block on files and the blob store."""

P = ParamSpec("P")
T = TypeVar("T")


class UploadSpool:
    """A folder with a folder for each request, made when it is needed, and a thread pool."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="spool")

    async def run(self, call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Run a call in one of the threads; it must not use the index."""
        within = contextvars.copy_context()
        ready = partial(within.run, call, *args, **more)
        return await asyncio.get_running_loop().run_in_executor(self._pool, ready)

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """Yield a new folder, deleted when the block ends. Raise StoreUnavailableError."""
        try:
            made = Path(await self.run(tempfile.mkdtemp, dir=self._place))
        except OSError as error:
            raise StoreUnavailableError(f"the upload cannot be written: {error.strerror}") from None
        try:
            yield made
        finally:
            await self.run(shutil.rmtree, made, ignore_errors=True)

    async def tidy(self) -> None:
        """Create the spool, and delete folders that killed processes left in it."""
        await self.run(self._tidy)

    def close(self) -> None:
        """Release the threads; calls that wait for one are not run."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _tidy(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        for folder in self._place.iterdir():
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > STALE:
                    shutil.rmtree(folder, ignore_errors=True)
