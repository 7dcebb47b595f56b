"""Encoding of records as objects, and decoding of objects.

An object's id includes the entry that wrote it, so that a delayed writer can never undo a newer
state: a record has its seq; the parts of a record (fingerprint, anchor and vectors) have the seq of
their last change. A newer record keeps an unchanged part, whose object is not written again.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec
import numpy as np
from msgspec import Raw, Struct

from adapters.weaviate_index import visual_words
from core.filters import card_of
from core.index_port import RecordCard
from core.records import (
    Fields,
    Outcome,
    Record,
    State,
    Tombstone,
    embeddable_kinds,
    is_candidate,
)
from core.types import ActiveSpaces, Fingerprint, Vector

_NAMESPACE = UUID("5ee1a0f2-7d1c-5e0b-9a53-0d5c6f1b2a77")
"""Namespace of the ids of objects."""

PRINT: Final = "print"
ANCHOR: Final = "anchor"
"""Names of parts; vectors have the name of their space_id."""

Part = tuple[int, str]
"""Entry of the last change of a part, and a digest of its contents."""

_json = msgspec.json.Encoder()
_bytes = msgspec.msgpack.Encoder()
_fingerprint = msgspec.msgpack.Decoder(Fingerprint)
_state = msgspec.json.Decoder(State)
_fields = msgspec.json.Decoder(Fields)
_tombstone = msgspec.json.Decoder(Tombstone)
_outcome = msgspec.json.Decoder(Outcome)
_standing = msgspec.json.Decoder(ActiveSpaces)


class _Data(Struct, frozen=True):
    """Payload of a record's object, decoded when needed."""

    state: Raw
    fields: Raw


_data = msgspec.json.Decoder(_Data)
_parts = msgspec.json.Decoder(dict[str, Part])


class StoredRecord(NamedTuple):
    """Newest object of a record."""

    image_id: str
    seq: int
    born: int
    """Order of projection: the entry, then the place in it."""
    gone: bool
    told: str
    """Parts of the record in JSON."""
    data: str
    """Payload in JSON, empty if it was not queried."""

    @property
    def rank(self) -> tuple[bool, int]:
        """Order of a record's objects; the largest is valid, and a tombstone is largest."""
        return self.gone, self.seq

    @property
    def state(self) -> State:
        """State of a live record."""
        return _state.decode(_data.decode(self.data).state)

    @property
    def shown(self) -> bool:
        """Whether it is a picture to readers: neither deleted nor an entry of a bank."""
        return not self.gone and self.state.bank is None

    @property
    def fields(self) -> Fields:
        """Fields of a live record."""
        return _fields.decode(_data.decode(self.data).fields)

    @property
    def parts(self) -> dict[str, Part]:
        """Parts by name, none of a deleted record."""
        return {} if self.gone else _parts.decode(self.told)

    @property
    def spaces(self) -> tuple[str, ...]:
        """Spaces with a vector of its own, sorted."""
        return tuple(sorted(name for name in self.parts if name not in (PRINT, ANCHOR)))

    @property
    def tombstone(self) -> Tombstone:
        """Tombstone of a deleted record, or of a bank's entry, which is deleted to readers."""
        if not self.gone:
            return Tombstone(self.image_id, self.seq, self.state.updated_at)
        return _tombstone.decode(self.data)

    @property
    def card(self) -> RecordCard:
        """Card that filters compare."""
        read = _data.decode(self.data)
        state, fields = _state.decode(read.state), _fields.decode(read.fields)
        return card_of(state, fields, self.spaces)


def key(*parts: object) -> UUID:
    """Return the id of an object; parts are ids, numbers and constants without a slash."""
    return uuid5(_NAMESPACE, "/".join(map(str, parts)))


def milliseconds(moment: str) -> int:
    """Return milliseconds since the epoch of an RFC 3339 time in UTC."""
    read = datetime.fromisoformat(moment)
    return round((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


def asked_by(state: State, fields: Fields) -> dict[str, Any]:
    """Return the properties for filters of records and vectors, without those that are None."""
    copy_of = state.original if state.original != state.image_id else None
    found = {
        "image_id": state.image_id,
        "accepted": milliseconds(state.accepted_at),
        "sha256": state.sha256,
        "original_id": copy_of,
        "verdict": state.verdict.kind,
        "decision": state.decision.value,
        "category": fields.category,
        "owner_id": fields.owner_id,
        "external_id": fields.external_id,
        "tags": list(dict.fromkeys(fields.tags)) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def digests(record: Record) -> dict[str, str]:
    """Return the parts of a record, each with a digest of its object's contents."""
    found = {PRINT: digest(_bytes.encode(record.fingerprint))}
    if is_candidate(record.state):
        held = record.fingerprint
        phash = held.phash if held.comparable else ""
        found[ANCHOR] = digest(phash.encode(), _bytes.encode(held.features))
    if record.vectors:
        asked = _json.encode(asked_by(record.state, record.fields))
        for space_id, vector in record.vectors.items():
            found[space_id] = digest(asked, np.ascontiguousarray(vector, "<f4").tobytes())
    return found


def record(
    record: Record, born: int, parts: Mapping[str, Part], words: Sequence[str]
) -> dict[str, Any]:
    """Return the properties of a record; `words` are the stemmed texts of `WORDS`."""
    state, fields = record.state, record.fields
    found = {
        **asked_by(state, fields),
        "seq": record.seq,
        "born": born,
        "pixels": state.pixels,
        "confirmed": list(state.contained) or None,
        "variants": list(state.verdict.variants) or None,
        "spaces": sorted(record.vectors) or None,
        "held": list(state.spaces) or None,
        "able": list(embeddable_kinds(state, fields)) or None,
        **dict(zip(WORDS, words, strict=False)),
        "parts": _json.encode(dict(parts)).decode(),
        "data": _json.encode({"state": state, "fields": fields}).decode(),
    }
    return {name: value for name, value in found.items() if value}


WORDS: Final = ("title", "description", "tag_words", "category_words")
"""Properties with the stemmed words of a record."""


def tombstone(stone: Tombstone) -> dict[str, Any]:
    """Return the properties of a tombstone."""
    return {
        "image_id": stone.image_id,
        "seq": stone.seq,
        "gone": True,
        "data": _json.encode(stone).decode(),
    }


def fingerprint(record: Record) -> dict[str, Any]:
    """Return the properties of a fingerprint."""
    return {"data": b64encode(_bytes.encode(record.fingerprint)).decode()}


def read_fingerprint(data: str) -> Fingerprint:
    """Decode the fingerprint of a record."""
    return _fingerprint.decode(b64decode(data))


def anchor(record: Record) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return the properties and vectors of an anchor; an incomparable one has no hash."""
    held = record.fingerprint
    found = {"image_id": record.state.image_id, **visual_words.stored(held.features)}
    if not held.comparable:
        return found, {}
    return {**found, "phash": held.phash}, {"phash": bits(held.phash)}


def bits(phash: str) -> list[float]:
    """Return a 64-bit hash of 16 hex digits as 64 numbers, 1 or -1."""
    value = int(phash, 16)
    return [1.0 if value >> n & 1 else -1.0 for n in range(64)]


def outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the properties of a job's outcome."""
    return {
        "job_id": outcome.job_id,
        "seq": outcome.seq,
        "status": "done" if outcome.problem is None else "failed",
        "accepted": milliseconds(outcome.accepted_at),
        "data": _json.encode(outcome).decode(),
    }


def read_outcome(data: str) -> Outcome:
    """Decode the outcome of a job."""
    return _outcome.decode(data)


def standing(standing: ActiveSpaces) -> str:
    """Encode the active spaces of a kind."""
    return _json.encode(standing).decode()


def read_standing(data: str) -> ActiveSpaces:
    """Decode the active spaces of a kind."""
    return _standing.decode(data)


def read_vector(values: object) -> Vector:
    """Return a stored vector as (d,) float32, with the same bits as were stored."""
    return np.array(values, np.float32)


def digest(*parts: bytes) -> str:
    """Return a digest of some bytes in 24 hex digits."""
    made = hashlib.blake2b(digest_size=12)
    for part in parts:
        made.update(part)
    return made.hexdigest()
