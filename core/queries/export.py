"""Export of every record of a tenant as of now, as the API returns it, with its vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from typing import Any, Literal, NamedTuple

import msgspec

from core.filters import card, passes
from core.index_port import Filters
from core.queries import joined_views
from core.queries.joined_views import OriginalView, RecordView
from core.queries.snapshot import Place, Snapshot, place
from core.types import Decision, Vector

PAGE = 200
"""Records read at a time."""

Holds = Literal["text", "integer", "boolean", "time", "json", "texts"]
"""time: RFC 3339 with milliseconds; json: a document as text; texts: a list of texts."""

COLUMNS: Mapping[str, Holds] = {
    "image_id": "text",
    "owner_id": "text",
    "external_id": "text",
    "title": "text",
    "description": "text",
    "category": "text",
    "tags": "texts",
    "source_url": "text",
    "metadata": "json",
    "filename": "text",
    "sha256": "text",
    "phash": "text",
    "pdq": "text",
    "pdq_quality": "integer",
    "md5": "text",
    "pixels_sha256": "text",
    "pixels_version": "integer",
    "width": "integer",
    "height": "integer",
    "format": "text",
    "frames": "integer",
    "bytes": "integer",
    "content": "text",
    "accepted_at": "time",
    "updated_at": "time",
    "visual_space": "text",
    "caption_space": "text",
    "verdict": "text",
    "original_id": "text",
    "verdict_details": "json",
    "decision": "text",
    "decision_reason": "text",
    "decision_by": "text",
    "decision_at": "time",
    "anchor": "boolean",
    "hold_until": "time",
    "revision": "integer",
}
"""Columns of a table, which `row` returns. `verdict` is the verdict's kind, `verdict_details` all
of it, and `original_id` is set for copies only."""


class Exported(NamedTuple):
    """A record and its vectors by space_id."""

    seen: RecordView
    vectors: dict[str, Vector]


class Exporter:
    """An export of one tenant: the index, overlaid with the log after its watermark.

    Records that the tail touched come from the tail alone, even if the index lacks them; so no
    record comes twice, whatever is projected meanwhile. Uploads settled after the first page was
    read may be left out.
    """

    def __init__(self, snapshot: Snapshot, filters: Filters) -> None:
        """Create an export and count its records. Raise IndexUnavailableError."""
        self._snapshot = snapshot
        self._filters = filters
        states = snapshot.tail.layer.states.values()
        self._fresh = sorted(states, key=place, reverse=True)
        counted = snapshot.index.count_records(snapshot.tenant).total
        self.total = None if filters != Filters() else counted.images
        """Approximate number of records; None if there are filters."""
        held = {space for state in states for space in state.spaces}
        self.spaces = tuple(sorted(held | counted.spaces.keys()))
        """space_ids in which records have vectors."""

    def records(self, *, vectors: bool) -> Iterator[Exported]:
        """Yield records newest first by (accepted_at, image_id); two pages are in memory."""
        spaces = self.spaces if vectors else ()
        return merge(
            self._projected(spaces),
            self._joined(spaces),
            key=lambda one: place(one.seen.record.state),
            reverse=True,
        )

    def _projected(self, spaces: Sequence[str]) -> Iterator[Exported]:
        """Yield the records of the index that the tail does not touch."""
        snapshot = self._snapshot
        before: Place | None = None
        while True:
            page = snapshot.index.list_records(snapshot.tenant, self._filters, PAGE, before)
            found = [one for one in page.records if not snapshot.touched(one.state.image_id)]
            vectors = self._vectors(spaces, [record.state.image_id for record in found])
            for seen in joined_views.records(snapshot, found):
                yield Exported(seen, vectors.get(seen.record.state.image_id, {}))
            if not page.more or not page.records:
                return
            before = place(page.records[-1].state)

    def _vectors(self, spaces: Sequence[str], ids: Sequence[str]) -> dict[str, dict[str, Vector]]:
        """Return stored vectors by image_id and space."""
        found: dict[str, dict[str, Vector]] = {}
        for space in spaces:
            held = self._snapshot.index.read_vectors(self._snapshot.tenant, space, ids)
            for image_id, vector in zip(ids, held, strict=True):
                if vector is not None:
                    found.setdefault(image_id, {})[space] = vector
        return found

    def _joined(self, spaces: Sequence[str]) -> Iterator[Exported]:
        """Yield the records that the tail touched."""
        snapshot = self._snapshot
        for first in range(0, len(self._fresh), PAGE):
            states = self._fresh[first : first + PAGE]
            gone = snapshot.gone([state.image_id for state in states])
            live = [state for state in states if state.image_id not in gone]
            joined = snapshot.shelf.join(snapshot.tenant, snapshot.tail.head, live)
            records = [one for one in joined if passes(card(one), self._filters)]
            for record, seen in zip(records, joined_views.records(snapshot, records), strict=True):
                held = record.vectors
                yield Exported(seen, {space: held[space] for space in spaces if space in held})


def document(exported: Exported, *, vectors: bool) -> bytes:
    """Return one line of JSON: the record as the API returns it, and `vectors` by space."""
    fields = _document(exported.seen)
    if vectors:
        held = exported.vectors.items()
        fields["vectors"] = {space: msgspec.Raw(numbers(one)) for space, one in held}
    return msgspec.json.encode(fields)


def numbers(vector: Vector) -> bytes:
    """Return a vector as a JSON list that reads as the same float32 bit for bit.

    Nine digits distinguish any two float32 (IEEE 754-2019, 5.12.2); the digits of a double, which
    is the default, nearly double the file. Vectors with a zero take the default: it keeps its sign.
    """
    values = vector.tolist()
    if not all(values):
        return msgspec.json.encode(values)
    return f"[{','.join(map('%.9g'.__mod__, values))}]".encode()


def row(exported: Exported) -> dict[str, Any]:
    """Return the values of `COLUMNS`, in their order, JSON as text."""
    fields = _document(exported.seen)
    state = exported.seen.record.state
    prints, spaces = fields["fingerprints"], fields["spaces"]
    verdict, decision = fields["verdict"], fields["decision"]
    fields |= {
        "tags": list(fields["tags"]),
        "metadata": _text(fields["metadata"]),
        "phash": prints["phash"]["hex"],
        "pdq": prints["pdq"]["hex"],
        "pdq_quality": prints["pdq"]["quality"],
        "md5": prints["md5"],
        "pixels_sha256": prints["pixels_sha256"],
        "pixels_version": prints["pixels_version"],
        "visual_space": spaces["visual"],
        "caption_space": spaces["caption"],
        "verdict": verdict["kind"],
        "original_id": None if state.original == state.image_id else _named(verdict["original"]),
        "verdict_details": _text(verdict),
        "decision": decision["value"],
        "decision_reason": decision["reason"],
        "decision_by": decision["by"],
        "decision_at": decision["at"],
    }
    return {name: fields[name] for name in COLUMNS}


def _document(seen: RecordView) -> dict[str, Any]:
    record, state, fields = seen.record, seen.record.state, seen.record.fields
    prints = record.fingerprint
    return {
        "image_id": state.image_id,
        "owner_id": fields.owner_id,
        "external_id": fields.external_id,
        "title": fields.title,
        "description": fields.description,
        "category": fields.category,
        "tags": fields.tags,
        "source_url": fields.source_url,
        "metadata": fields.metadata,
        "filename": fields.filename,
        "sha256": state.sha256,
        "fingerprints": {
            "phash": {"hex": prints.phash, "bits": 64},
            "pdq": {"hex": prints.pdq, "bits": 256, "quality": prints.pdq_quality},
            "md5": prints.md5,
            "pixels_sha256": prints.pixels_sha256,
            "pixels_version": prints.pixels_version,
            "features_version": prints.features_version,
            "frames_sha256": prints.frames_sha256,
            "hdr": prints.hdr,
        },
        "width": prints.width,
        "height": prints.height,
        "format": prints.format,
        "frames": prints.frames,
        "bytes": prints.bytes,
        "content": state.content,
        "accepted_at": state.accepted_at,
        "updated_at": state.updated_at,
        "spaces": {kind: _newest(state.spaces, kind) for kind in ("visual", "caption")},
        "verdict": {
            **msgspec.structs.asdict(state.verdict),
            "original": _original(seen.original),
            "matches": [
                {**msgspec.structs.asdict(match), "image_id": match.image_id or None}
                for match in state.verdict.matches
            ],
        },
        "decision": _decision(state.decision, seen.reason),
        "anchor": state.anchor is not None,
        "hold_until": state.hold_until,
        "revision": state.revision,
    }


def _original(original: OriginalView | None) -> dict[str, Any] | None:
    if original is None or not original.image_id:
        return None
    decision = original.decision
    return {
        "image_id": original.image_id,
        "external_id": original.external_id,
        "owner_id": original.owner_id,
        "decision": None if decision is None else _decision(decision, original.reason),
        "accepted_at": original.accepted_at,
    }


def _named(original: dict[str, Any] | None) -> str | None:
    return None if original is None else original["image_id"]


def _decision(decision: Decision, reason: str | None) -> dict[str, Any]:
    return {"value": decision.value, "reason": reason, "by": decision.by, "at": decision.at}


def _newest(spaces: Sequence[str], kind: str) -> str | None:
    return next((one for one in reversed(spaces) if one.startswith(f"{kind}-")), None)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
