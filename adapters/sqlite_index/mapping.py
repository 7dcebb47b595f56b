"""Encoding of records as rows, and decoding of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from adapters.full_text import indexed_texts
from core.index_port import RecordCard
from core.records import Fields, Outcome, Record, State, embeddable_kinds, is_candidate
from core.types import ActiveSpaces, Features, Fingerprint, Vector

RECORD: Final = (
    "image_id, seq, accepted_at, phash, sha256, pixels, original_id, verdict, decision, "
    "category, owner_id, external_id, spaces, held, able, state, fingerprint, fields"
)
"""Columns that `record` fills, in its order."""

JOINED: Final = "r.seq, r.state, r.fingerprint, r.fields, f.data"
"""Columns that `read_record` takes, from the record r and its features f."""

CARD: Final = (
    "r.image_id, ifnull(r.original_id, r.image_id), r.verdict, r.decision, r.category, "
    "r.owner_id, r.external_id, r.sha256, r.accepted_at, r.spaces, "
    "(SELECT json_group_array(t.tag) FROM tags t WHERE t.row = r.row)"
)
"""Columns that `read_card` takes, from the record r."""

ABLE: Final = {"visual": 1, "caption": 2}
"""Bits of the column `able`: the record has pixels, it has words."""

_NO_FEATURES = Features(b"", b"", b"", 0, 0)

encode = msgspec.msgpack.Encoder().encode
read_state = msgspec.msgpack.Decoder(State).decode
read_features = msgspec.msgpack.Decoder(Features).decode
read_outcome = msgspec.msgpack.Decoder(Outcome).decode
read_standing = msgspec.msgpack.Decoder(ActiveSpaces).decode
_read_fingerprint = msgspec.msgpack.Decoder(Fingerprint).decode
_read_fields = msgspec.msgpack.Decoder(Fields).decode


def _hash_of(fingerprint: Fingerprint) -> int | bytes:
    """Return the hash of a candidate, or no bytes where the hash counts for nothing."""
    return signed(fingerprint.phash) if fingerprint.comparable else b""


def signed(phash: str) -> int:
    """Return a 64-bit hash of 16 hex digits as the signed integer that SQLite stores."""
    value = int(phash, 16)
    return value - (1 << 64) if value >> 63 else value


def record(record: Record) -> tuple[object, ...]:
    """Return the values of the columns `RECORD`."""
    state, fingerprint, fields = record.state, record.fingerprint, record.fields
    return (
        state.image_id,
        record.seq,
        state.accepted_at,
        _hash_of(fingerprint) if is_candidate(state) else None,
        state.sha256,
        state.pixels,
        state.original if state.original != state.image_id else None,
        state.verdict.kind,
        state.decision.value,
        fields.category,
        fields.owner_id,
        fields.external_id,
        " ".join(sorted(record.vectors)),
        " ".join(state.spaces),
        able(state, fields),
        encode(state),
        encode(msgspec.structs.replace(fingerprint, features=_NO_FEATURES)),
        encode(fields),
    )


def able(state: State, fields: Fields) -> int:
    """Return the kinds of spaces a record could have a vector in, a bit each, as in `ABLE`."""
    return sum(ABLE[kind] for kind in embeddable_kinds(state, fields))


def held_of(state: bytes) -> str:
    """Return the column `held` of a stored state, for a migration."""
    return " ".join(read_state(state).spaces)


def able_of(state: bytes, fields: bytes) -> int:
    """Return the column `able` of a stored state and its fields, for a migration."""
    return able(read_state(state), _read_fields(fields))


def contained_in(state: bytes) -> str:
    """Return the rows of table `confirmed` for a stored state, in JSON, for a migration."""
    return msgspec.json.encode(read_state(state).contained).decode()


def words_of(stored: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield row and texts of each stored (row, fields) that has any, for a migration."""
    for row, data in stored:
        texts = indexed_texts(_read_fields(data))
        if texts is not None:
            yield row, *texts


def vector(values: Vector) -> bytes:
    """Encode a vector as little-endian float32."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def read_vector(data: bytes) -> Vector:
    """Return a writable (d,) copy of a stored vector."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32)


def read_record(tenant: str, row: Sequence[bytes | int]) -> Record:
    """Decode a record without vectors from seq, state, fingerprint, fields and features."""
    seq, state, fingerprint, fields, features_data = row
    return Record(
        tenant=tenant,
        seq=int(seq),
        state=read_state(state),  # type: ignore[arg-type]  # columns of one statement
        fingerprint=msgspec.structs.replace(
            _read_fingerprint(fingerprint),  # type: ignore[arg-type]
            features=read_features(features_data),  # type: ignore[arg-type]
        ),
        fields=_read_fields(fields),  # type: ignore[arg-type]
    )


def read_card(row: Sequence[str]) -> RecordCard:
    """Decode the columns `CARD`; tags are in no particular order."""
    *values, spaces, tags = row
    return RecordCard(*values, tuple(msgspec.json.decode(tags)), tuple(spaces.split()))  # type: ignore[call-arg,arg-type]  # columns of one statement


def outcome(outcome: Outcome) -> tuple[object, ...]:
    """Return job_id, seq, status, accepted_at and data."""
    return (
        outcome.job_id,
        outcome.seq,
        "done" if outcome.problem is None else "failed",
        outcome.accepted_at,
        encode(outcome),
    )
