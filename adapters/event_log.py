"""The log of each tenant, as create-only JSON objects in the blob store."""

from __future__ import annotations

import msgspec

from core import keys
from core.errors import CorruptError, MissingError
from core.ports import Blobs
from core.records import ENTRY_BYTES, ENTRY_OPERATIONS, FORMAT, Entry

STRIDES = 8
"""Doublings asked for at once while galloping: a bucket answers them side by side."""


class _Format(msgspec.Struct):
    format: int


class BlobLog:
    """Port Log. Whether the entries form one chain is the reader's to check."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Entry)

    def read(self, tenant: str, seq: int) -> Entry | None:
        """None where that number is not taken. Raise CorruptError, StoreUnavailableError."""
        try:
            data = self._blobs.get(keys.entry(tenant, seq))
        except MissingError:
            return None
        return self._decode(tenant, seq, data)

    def append(self, tenant: str, entry: Entry) -> None:
        """Create-only. Raise ExistsError; on any other error the outcome is unknown.

        ValueError for an entry over ENTRY_OPERATIONS or ENTRY_BYTES, which is never written.
        """
        if len(entry.operations) > ENTRY_OPERATIONS:
            raise ValueError(f"an entry holds at most {ENTRY_OPERATIONS} operations")
        data = self._encoder.encode(entry)
        if len(data) > ENTRY_BYTES:
            raise ValueError(f"an entry holds at most {ENTRY_BYTES} bytes, not {len(data)}")
        self._blobs.create(keys.entry(tenant, entry.seq), data)

    def head(self, tenant: str, at_least: int = 0) -> int:
        """The highest number taken, 0 for none, by galloping from `at_least`.

        Numbers are never skipped, so the taken ones end at one place. Raise CorruptError where
        `at_least` itself, which someone saw, is gone.
        """
        taken = at_least
        first = self._taken(tenant, [at_least, at_least + 1] if at_least else [1])
        if at_least and not first[0]:
            raise CorruptError(f"entry {at_least} of {tenant} was there and is gone")
        if not first[-1]:
            return taken
        taken += 1
        stride = 1
        free: int | None = None
        while free is None:
            asked = [taken + (stride << n) for n in range(STRIDES)]
            found = self._taken(tenant, asked)
            stride <<= STRIDES
            taken, free = _narrow(taken, asked, found)
        while free - taken > 1:
            step = -(-(free - taken) // (STRIDES + 1))
            asked = list(range(taken + step, free, step))
            low, high = _narrow(taken, asked, self._taken(tenant, asked))
            taken, free = low, high or free
        return taken

    def tenants(self) -> list[str]:
        """Those that have a log."""
        return self._blobs.folders("log/")

    def _taken(self, tenant: str, numbers: list[int]) -> list[bool]:
        return self._blobs.exists([keys.entry(tenant, seq) for seq in numbers])

    def _decode(self, tenant: str, seq: int, data: bytes) -> Entry:
        where = f"entry {seq} of {tenant}"
        try:
            written = msgspec.json.decode(data, type=_Format).format
            if written > FORMAT:
                raise CorruptError(
                    f"{where} was written by a newer version (format {written}, known {FORMAT})"
                )
            entry = self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise CorruptError(f"{where} cannot be read: {error}") from error
        if entry.seq != seq:
            raise CorruptError(f"{where} calls itself {entry.seq}")
        return entry


def _narrow(taken: int, asked: list[int], found: list[bool]) -> tuple[int, int | None]:
    """The highest number known to be taken, and the lowest known to be free, None for none."""
    for number, there in zip(asked, found, strict=True):
        if not there:
            return taken, number
        taken = number
    return taken, None
