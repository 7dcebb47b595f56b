"""Twins of a picture: live records with the same bytes or pixels, and the anchor of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from core.errors import MissingError
from core.evidence import Evidence, Signal, Statement
from core.matching.decisions import STRICTNESS
from core.matching.differences.wording import words
from core.matching.subject import SeesPictures, Subject
from core.records import LogPlace, State
from core.types import Match, Query

_SAME = frozenset(("same_file", "same_pixels"))
"""Statements of a twin, which one of an earlier twin does not repeat."""


class ExactTwin(NamedTuple):
    """Record with the same bytes or pixels, and the anchor that represents it."""

    record: State
    root: State
    place: LogPlace
    kind: Literal["exact", "near_duplicate"] = "exact"


def find_twin(subject: Subject) -> ExactTwin | None:
    """Return the twin by bytes, else by pixels, that decides what the picture is."""
    by_bytes = subject.sees.same_bytes(subject.query.fingerprint.sha256)
    return earliest(subject, by_bytes) or _twin_by_pixels(subject)


def _twin_by_pixels(subject: Subject) -> ExactTwin | None:
    """Return the twin with the same pixels, if those are all that both pictures show.

    Canonical pixels are those of one frame: many animations and scans begin with the same title
    page, so the digest over all frames has to agree as well. A flat or tiny picture shares its
    pixels with many others.
    """
    sees, query = subject.sees, subject.query
    if not query.fingerprint.digested or not query.fingerprint.comparable:
        return None
    records = [
        record
        for record in sees.same_pixels(query.fingerprint.pixels_sha256)
        if record.image_id != query.image_id and _same_frames(sees, query, record.image_id)
    ]
    twin = earliest(subject, records)
    return twin and twin._replace(kind="near_duplicate")


def _same_frames(sees: SeesPictures, query: Query, image_id: str) -> bool:
    """Return whether the digests cover all of a stored picture, and those of its frames agree."""
    try:
        stored = sees.query(image_id).fingerprint
    except MissingError:  # deleted by an entry that was not read yet: the append will find it
        return False
    return stored.digested and stored.frames_sha256 == query.fingerprint.frames_sha256


def earliest(subject: Subject, records: Sequence[State]) -> ExactTwin | None:
    """Return the twin with the earliest anchor, then a person's decision, then the strictest."""
    me = subject.query.image_id
    twins: list[ExactTwin] = []
    for record in records:
        root = record if record.anchor is not None else subject.sees.state(record.original)
        if (
            root is None
            or root.anchor is None
            or root.closed
            or me in {record.image_id, root.image_id}
        ):
            continue
        if subject.precedes(root.anchor):
            twins.append(ExactTwin(record, root, root.anchor))
    return min(twins, key=_rank) if twins else None


def _rank(twin: ExactTwin) -> tuple[LogPlace, bool, int, str, str]:
    decision = twin.record.decision
    return (
        twin.place,
        decision.by != "person",
        -STRICTNESS[decision.value],
        twin.record.accepted_at,
        twin.record.image_id,
    )


def matches_of(subject: Subject, twin: ExactTwin) -> Iterator[Match]:
    """Yield the twin's original, then all else that the twin was confirmed against."""
    root = twin.root.image_id
    proofs = twin.record.confirmed if twin.record.image_id != root else {root: None}
    for image_id, proof in proofs.items():
        other = twin.root if image_id == root else subject.sees.state(image_id)
        if other is None or other.anchor is None or other.closed:
            continue
        if image_id != subject.query.image_id and subject.precedes(other.anchor):
            evidence = subject.with_owner(_same(twin, proof), other)
            yield Match(image_id=image_id, kind=twin.kind, confirmed=True, evidence=evidence)


def _same(twin: ExactTwin, proof: Evidence | None) -> Evidence:
    """Return the evidence of a twin: the same file or pixels, as an earlier copy if it is one."""
    exact = twin.kind == "exact"
    signal: Signal = "sha256" if exact else "pixels"
    first = Statement("same_file" if exact else "same_pixels")
    if proof is None:
        return Evidence(
            signals=(signal,),
            hamming=0,
            turn="none",
            overlap=1.0,
            statements=(first,),
            words=words((first,)),
        )
    said = (first, *(one for one in proof.statements if one.code not in _SAME))
    told = words(said)
    if not proof.statements and proof.words:  # stored before there were statements
        told = f"{told}, as an earlier copy: {proof.words}"
    signals = (signal, *(name for name in proof.signals if name not in {"sha256", "pixels"}))
    return replace(proof, signals=signals, same_owner=None, statements=said, words=told)
