"""Generated records, and a dictionary that answers as an index must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from core.evidence import Evidence
from core.filters import ALLOWED
from core.index_port import CategoryCount, Filters, Index, SpaceCoverage, Stats
from core.keys import is_caption
from core.records import Fields, LogPlace, Outcome, Problem, Record, State, Tombstone, caption
from core.types import (
    Decision,
    Features,
    Fingerprint,
    Hit,
    Kind,
    Match,
    Query,
    Value,
    Vector,
    Verdict,
)

SPACE = "visual-0a0a0a0a"
OTHER = "caption-0b0b0b0b"
DIMENSIONS = 8
NOTHING = Features(b"", b"", b"", 224, 168)


def image_id(n: int) -> str:
    """Make an id of the right shape; a larger number is a later one."""
    return f"01900000-0000-7000-8000-{n:012d}"


def moment(n: int) -> str:
    """Format the n-th millisecond as a time."""
    return f"2026-01-01T00:{n // 60_000:02d}:{n // 1000 % 60:02d}.{n % 1000:03d}Z"


def unit(values: Sequence[float]) -> Vector:
    """Scale a vector to unit length."""
    vector = np.array(values, np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def random_vector(seed: int, dimensions: int = DIMENSIONS) -> Vector:
    """Make a random unit vector; a seed always gives the same."""
    return unit(np.random.default_rng(seed).standard_normal(dimensions).tolist())


def turns(seed: int) -> tuple[str, ...]:
    """Make eight random hashes from a seed."""
    generator = np.random.default_rng(seed)
    return tuple(f"{int(value):016x}" for value in generator.integers(0, 2**63, 8, np.uint64) * 2)


def flipped(phash: str, *bits: int) -> str:
    """Invert some of the 64 bits of a hash."""
    value = int(phash, 16)
    for bit in bits:
        value ^= 1 << bit
    return f"{value:016x}"


def fingerprint(n: int, **changes: Any) -> Fingerprint:  # noqa: ANN401  # any field
    """Make the fingerprint of the n-th picture."""
    made = Fingerprint(
        sha256=f"{n:064x}",
        md5=f"{n:032x}",
        bytes=1000 + n,
        format="JPEG",
        frames=1,
        width=640,
        height=480,
        pixels_version=1,
        pixels_sha256=f"{n + 10**9:064x}",
        turns=turns(n),  # type: ignore[arg-type]  # eight of them
        pdq="0" * 64,
        pdq_quality=100,
        comparable=True,
        features=NOTHING,
    )
    return msgspec.structs.replace(made, **changes)


def record(
    n: int,
    seq: int,
    *,
    tenant: str = "default",
    original: int | None = None,
    contains: Sequence[int] = (),
    kind: Kind = "new",
    decision: Value = "allow",
    anchor: bool | None = None,
    variants: Sequence[int] = (),
    print_: Fingerprint | None = None,
    fields: Fields | None = None,
    vectors: dict[str, Vector] | None = None,
    **state: Any,  # noqa: ANN401  # any field
) -> Record:
    """Make the n-th picture as entry `seq` left it: an original, or a copy or variant of others.

    `contains` are confirmed matches besides the original; the last of them is not listed.
    """
    print_ = print_ or fingerprint(n)
    if original is not None and kind == "new":
        kind = "near_duplicate"
    elif variants and kind == "new":
        kind = "variant"
    anchor = original is None if anchor is None else anchor
    matches = tuple(
        Match(image_id=image_id(one), kind="near_duplicate", confirmed=True, evidence=Evidence())
        for one in contains
    )
    verdict = Verdict(
        kind=kind,
        original=None if original is None else image_id(original),
        matches=(
            *matches[:-1],
            *(
                Match(image_id=image_id(one), kind="variant", confirmed=False, evidence=Evidence())
                for one in variants
            ),
        ),
        policy_version="1",
        pipeline_version="1",
        decided_at=moment(seq),
    )
    return Record(
        tenant=tenant,
        seq=seq,
        state=State(
            image_id=image_id(n),
            sha256=print_.sha256,
            pixels=print_.pixels_sha256,
            accepted_at=state.pop("accepted_at", moment(n)),
            updated_at=moment(seq),
            verdict=verdict,
            decision=Decision(value=decision, by="policy", at=moment(seq)),
            anchor=LogPlace(seq, 0) if anchor else None,
            unlisted=matches[-1:],
            **state,
        ),
        fingerprint=print_,
        fields=fields or Fields(),
        vectors=vectors or {},
    )


def tombstone(n: int, seq: int) -> Tombstone:
    """Make the tombstone of the n-th picture."""
    return Tombstone(image_id(n), seq, moment(seq))


def outcome(n: int, seq: int, *, failed: bool = False) -> Outcome:
    """Make the outcome of the n-th picture's job."""
    problem = Problem(type="broken", title="Cannot be read", status=422, detail="no end")
    return Outcome(
        job_id=image_id(n),
        image_id=image_id(n),
        kind="ingest",
        seq=seq,
        accepted_at=moment(n),
        finished_at=moment(seq),
        problem=problem if failed else None,
    )


def query(n: int, **changes: Any) -> Query:  # noqa: ANN401  # any field
    """Make the query of the n-th picture."""
    made = Query(image_id=image_id(n), fingerprint=fingerprint(n))
    return msgspec.structs.replace(made, **changes)


def put(index: Index, seq: int, *records: Record) -> None:
    """Project an entry that left only records."""
    index.project_entry(records[0].tenant, seq, records, [], [])


def banked(found: Record, seq: int) -> Record:
    """Make the entry that a bank keeps of a record."""
    state = msgspec.structs.replace(
        found.state,
        bank="BLOCKED",
        content="purged",
        fields=None,
        spaces=(),
        updated_at=moment(seq),
    )
    return msgspec.structs.replace(found, seq=seq, state=state, fields=Fields(), vectors={})


def bare(found: Record) -> Record:
    """Strip the vectors of a record: arrays do not compare as one value."""
    return msgspec.structs.replace(found, vectors={})


class Model:
    """Reference index of one tenant: a dictionary, scanned in full for every answer."""

    def __init__(self) -> None:
        self.live: dict[str, Record] = {}
        """Records, and the entries of banks, which are no pictures to readers."""
        self.buried: dict[str, Tombstone] = {}

    def project(self, records: Iterable[Record], removed: Iterable[Tombstone]) -> None:
        """Apply the effects of an entry."""
        for stone in removed:
            self.live.pop(stone.image_id, None)
            self.buried.setdefault(stone.image_id, stone)
        for record in records:
            if record.state.image_id not in self.buried:
                self.live[record.state.image_id] = record

    @property
    def shown(self) -> dict[str, Record]:
        """The records that readers see."""
        return {one: record for one, record in self.live.items() if record.state.bank is None}

    def tombstone(self, image_id: str) -> Tombstone | None:
        """Return the tombstone of a deleted record, or of a bank's entry."""
        record = self.live.get(image_id)
        if record is not None and record.state.bank is not None:
            return Tombstone(image_id, record.seq, record.state.updated_at)
        return self.buried.get(image_id)

    def page(self, filters: Filters) -> list[Record]:
        """List all records that pass, newest first, without vectors."""
        found = [bare(record) for record in self.shown.values() if _passes(record, filters)]
        return sorted(found, key=lambda r: (r.state.accepted_at, r.state.image_id), reverse=True)

    def copies(self, original: str) -> list[State]:
        """List the copies in the order of their creation."""
        states = (record.state for record in self.live.values())
        return [s for s in states if s.original == original != s.image_id]

    def naming(self, image_id: str) -> list[State]:
        """List the records with a confirmed match in the order of their creation."""
        states = (record.state for record in self.live.values())
        return [state for state in states if image_id in state.confirmed]

    def variants(self, named: str) -> list[State]:
        """List the records that name it as a variant, newest first."""
        states = (record.state for record in self.page(Filters()))
        return [state for state in states if named in state.verdict.variants]

    def hits(
        self, query: Query, radius: int, top: int, floor: float, without: Sequence[str] = ()
    ) -> list[Hit]:
        """Find open anchors by hash, except flat pictures, and by vector."""
        anchors = {
            image_id: record
            for image_id, record in self.live.items()
            if record.state.anchor is not None
            and not record.state.closed
            and image_id not in (query.image_id, *without)
        }
        similar: dict[str, float] = {}
        if query.vector is not None and query.space_id is not None:
            similar = dict(self.near(query.space_id, query.vector, anchors)[:top])
        found = []
        for image_id, record in anchors.items():
            bits = [_hamming(turn, record.fingerprint.phash) for turn in query.fingerprint.turns]
            hashed = query.fingerprint.comparable and record.fingerprint.comparable
            close = hashed and min(bits) <= radius
            similarity = similar.get(image_id)
            if similarity is not None and similarity < floor:
                similarity = None
            if close or similarity is not None:
                found.append(
                    Hit(
                        image_id=image_id,
                        hamming=min(bits) if close else None,
                        turn=bits.index(min(bits)) if close else None,
                        similarity=similarity,
                    )
                )
        return found

    def near(
        self, space_id: str, vector: Vector, among: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Rank all records with a vector in the space, best first."""
        found = [
            (image_id, float(np.dot(vector, self.live[image_id].vectors[space_id])))
            for image_id in (self.live if among is None else among)
            if space_id in self.live[image_id].vectors
        ]
        return sorted(found, key=lambda pair: -pair[1])

    def standing(self, filters: Filters, space_id: str) -> list[str]:
        """List records with a vector in the space that pass, or have a passing copy without one.

        With `ALLOWED` no original passes because of a copy.
        """
        if filters == ALLOWED:
            return [
                image_id
                for image_id, record in self.live.items()
                if space_id in record.vectors and _passes(record, filters)
            ]
        stand = {
            image_id if space_id in record.vectors else record.state.original
            for image_id, record in self.shown.items()
            if _passes(record, filters)
        }
        return [image_id for image_id in self.live if image_id in stand]

    def stats(self, watermark: int) -> Stats:
        """Count the records one by one."""
        shown = list(self.shown.values())
        spaces = sorted({space for record in shown for space in record.vectors})
        categories = {record.fields.category for record in shown} - {None}
        return Stats(
            total=self._group(shown, spaces),
            categories={
                category: self._group([r for r in shown if r.fields.category == category], spaces)
                for category in sorted(filter(None, categories))
            },
            watermark=watermark,
        )

    def _group(self, records: list[Record], spaces: list[str]) -> CategoryCount:
        return CategoryCount(
            images=len(records),
            verdicts=dict(Counter(r.state.verdict.kind for r in records)),
            decisions=dict(Counter(r.state.decision.value for r in records)),
            spaces={space: self._coverage(records, space) for space in spaces},
        )

    def _coverage(self, records: list[Record], space: str) -> SpaceCoverage:
        without = [r for r in records if space not in r.vectors]
        able = [
            r
            for r in without
            if (caption(r.fields) if is_caption(space) else r.state.content != "purged")
        ]
        represented = [
            r
            for r in without
            if r.state.original != r.state.image_id
            and r.state.original in self.live
            and space in self.live[r.state.original].vectors
        ]
        return SpaceCoverage(
            len(records) - len(without),
            len([r for r in able if r not in represented]),
            len(represented),
        )


def _hamming(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _passes(record: Record, filters: Filters) -> bool:
    state, fields = record.state, record.fields
    copy_of = state.original if state.original != state.image_id else None
    has = {
        "category": fields.category,
        "verdict": state.verdict.kind,
        "owner_id": fields.owner_id,
        "external_id": fields.external_id,
        "sha256": state.sha256,
        "original_id": copy_of,
    }
    return (
        all(getattr(filters, name) in (None, value) for name, value in has.items())
        and (not filters.decision or state.decision.value in filters.decision)
        and set(filters.tags) <= set(fields.tags)
        and (filters.accepted_after is None or state.accepted_at > filters.accepted_after)
        and (filters.accepted_before is None or state.accepted_at < filters.accepted_before)
    )
