"""Event log: one create-only JSON object per entry in the blob store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core import keys
from core.errors import LogCorruptError, MissingError
from core.ports import Blobs
from core.records import ENTRY_BYTES, ENTRY_OPERATIONS, FORMAT, Entry

STRIDES = 8
"""Doublings probed at once while galloping; a bucket answers them in parallel."""


class _Format(msgspec.Struct):
    format: int


class BlobLog:
    """Implementation of the port `Log`; readers check that the entries form one chain."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Entry)

    def read(self, tenant: str, seq: int) -> Entry | None:
        """Return an entry, or None. Raise LogCorruptError, StoreUnavailableError."""
        try:
            data = self._blobs.get(keys.entry(tenant, seq))
        except MissingError:
            return None
        where = f"entry {seq} of {tenant}"
        try:
            written = msgspec.json.decode(data, type=_Format).format
            if written > FORMAT:
                raise LogCorruptError(
                    f"{where} was written by a newer version (format {written}, known {FORMAT}); "
                    "run that version"
                )
            entry = self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise LogCorruptError(f"{where} cannot be read: {error}") from error
        if entry.seq != seq:
            raise LogCorruptError(f"{where} calls itself {entry.seq}")
        return entry

    def append(self, tenant: str, entry: Entry) -> None:
        """Write an entry unless its number is taken.

        Raise ExistsError if it is taken; after any other error of the store the outcome is unknown.
        Raise ValueError for an entry over ENTRY_OPERATIONS or ENTRY_BYTES, which is never written.
        """
        size = len(entry.operations)
        if size > ENTRY_OPERATIONS:
            raise ValueError(f"an entry holds at most {ENTRY_OPERATIONS} operations, not {size}")
        data = self._encoder.encode(entry)
        if len(data) > ENTRY_BYTES:
            raise ValueError(f"an entry holds at most {ENTRY_BYTES} bytes, not {len(data)}")
        self._blobs.create(keys.entry(tenant, entry.seq), data)

    def head(self, tenant: str, at_least: int = 0) -> int:
        """Return the highest number taken, 0 for none, by galloping from `at_least`.

        Numbers are never skipped, so a binary search finds the last one. Raise LogCorruptError if
        entry `at_least`, which a reader has seen, is gone.
        """
        taken = at_least
        first = self.taken(tenant, [at_least, at_least + 1] if at_least else [1])
        if at_least and not first[0]:
            raise LogCorruptError(
                f"entry {at_least} of {tenant} was there and is gone; restore it from a backup"
            )
        if not first[-1]:
            return taken
        taken += 1
        stride = 1
        free: int | None = None
        while free is None:
            probed = [taken + (stride << n) for n in range(STRIDES)]
            stride <<= STRIDES
            taken, free = _narrow(taken, probed, self.taken(tenant, probed))
        while free - taken > 1:
            step = -(-(free - taken) // (STRIDES + 1))
            probed = list(range(taken + step, free, step))
            taken, lower = _narrow(taken, probed, self.taken(tenant, probed))
            free = lower or free
        return taken

    def tenants(self) -> list[str]:
        """Return the tenants that have a log."""
        return self._blobs.folders("log/")

    def taken(self, tenant: str, numbers: Sequence[int]) -> list[bool]:
        """Return for each number whether an entry has it, with requests side by side."""
        return self._blobs.exists([keys.entry(tenant, seq) for seq in numbers])


def _narrow(taken: int, probed: list[int], found: list[bool]) -> tuple[int, int | None]:
    """Return the highest number known to be taken, and the lowest known to be free or None."""
    for number, there in zip(probed, found, strict=True):
        if not there:
            return taken, number
        taken = number
    return taken, None
