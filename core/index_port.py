"""Port of the index: what it stores, finds, lists and counts, and how the log is projected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from core.records import Outcome, Record, State, Tombstone
from core.types import ActiveSpaces, Hit, Query, SpaceKind, Vector


class Neighbour(NamedTuple):
    """A stored picture near a query, with its similarity."""

    image_id: str
    similarity: float
    """Cosine, or for a keyword search the BM25 relevance (0 or above); larger is closer."""


class IndexPage(NamedTuple):
    """Part of a list, newest first by (accepted_at, image_id), and whether more follow."""

    records: list[Record]
    more: bool


class Filters(NamedTuple):
    """Conditions on a list or a search; None means any."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    """A record must have all of them."""
    verdict: str | None = None
    decision: tuple[str, ...] = ()
    """Decisions of which the record has one; empty means any."""
    owner_id: str | None = None
    external_id: str | None = None
    sha256: str | None = None
    original_id: str | None = None
    accepted_after: str | None = None
    accepted_before: str | None = None


class RecordCard(NamedTuple):
    """The part of a record that filters, groups and collapsing use, so that lists read no more."""

    image_id: str
    original: str
    """The record that stands for it: itself if it is no copy."""
    verdict: str
    decision: str
    category: str | None
    owner_id: str | None
    external_id: str | None
    sha256: str
    accepted_at: str
    tags: tuple[str, ...]
    spaces: tuple[str, ...]
    """The space_ids in which it has a vector of its own."""


class MissingVectors(NamedTuple):
    """Part of the records without a vector in some space."""

    states: list[State]
    place: int | None
    """The position where the rest begins; None at the end."""


class SpaceCoverage(NamedTuple):
    """Counts of vectors of one space; `missing` counts records that could have one."""

    present: int
    missing: int
    represented_by_original: int


class CategoryCount(NamedTuple):
    """Counts over all records of a tenant or of one category."""

    images: int
    verdicts: dict[str, int]
    decisions: dict[str, int]
    spaces: dict[str, SpaceCoverage]


class Stats(NamedTuple):
    """Counts of what the index holds, as of its watermark."""

    total: CategoryCount
    categories: dict[str, CategoryCount]
    watermark: int


class IndexRecords(Protocol):
    """Look-ups of records and jobs by id, and of records by digest or original.

    An entry of a bank is a deleted picture in every answer but those of `read_states`,
    `find_states` and `find_candidates`, on which verdicts depend.
    """

    def read_states(self, tenant: str, image_ids: Sequence[str]) -> list[State | None]:
        """Return states in the order of the ids, None for unknown and deleted ones.

        The states of a bank's entries are returned as well, here and by `find_states`.
        """

    def read_records(
        self, tenant: str, image_ids: Sequence[str], *, vectors: bool = False
    ) -> list[Record | None]:
        """Return records in the order of the ids, None for unknown and deleted ones."""

    def read_cards(self, tenant: str, image_ids: Sequence[str]) -> list[RecordCard | None]:
        """Return cards in the order of the ids, None for unknown and deleted ones."""

    def read_tombstones(self, tenant: str, image_ids: Sequence[str]) -> list[Tombstone | None]:
        """Return tombstones in the order of the ids, None for records not deleted.

        An entry of a bank has one from the last entry of the log that changed it.
        """

    def read_vectors(
        self, tenant: str, space_id: str, image_ids: Sequence[str]
    ) -> list[Vector | None]:
        """Return each record's own (d,) vector of a space, in the order of the ids."""

    def read_outcomes(self, tenant: str, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return outcomes in the order of the ids, None for jobs unknown or not ended."""

    def find_states(
        self,
        tenant: str,
        *,
        sha256: Sequence[str] = (),
        pixels: Sequence[str] = (),
        originals: Sequence[str] = (),
        confirmed: Sequence[str] = (),
    ) -> list[State]:
        """Return live records with one of these digests, or copies of one of these originals.

        `confirmed` also finds the records that name one of these among their confirmed matches,
        whether as their original or not. Each once, in log order of acceptance; an original is no
        copy of itself.
        """


class IndexSearch(Protocol):
    """Candidates for a verdict, and the searches by vector and by keyword."""

    def find_candidates(
        self, tenant: str, queries: Sequence[Query], *, without: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """Return the anchors near each query from every source, cut only by the source's top.

        Several sources' hits of one anchor are one Hit. Purged anchors are included, closed ones
        left out, and the records in `without` as if they were not there: others take their places.
        """

    def find_neighbours(
        self,
        tenant: str,
        space_id: str,
        vector: Vector,
        *,
        limit: int,
        min_similarity: float = -1.0,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return exact or approximate nearest records of a space, best first.

        A record passes the filters by itself; where it has no vector of its own in that space,
        its original passes for it, except by `core.filters.ALLOWED`. Raise MalformedError for a
        vector of other dimensions than the space has.
        """

    def search_keywords(
        self,
        tenant: str,
        text: str,
        *,
        limit: int,
        without: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> list[Neighbour]:
        """Return records with any of a text's words, copies too, by BM25 relevance."""


class IndexLists(Protocol):
    """Lists of records and jobs part by part, and counts over all of them."""

    def list_records(
        self,
        tenant: str,
        filters: Filters,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> IndexPage:
        """Return records older than (accepted_at, image_id) `before` that pass every filter.

        `accepted_after` and `accepted_before` exclude the moment itself; `original_id` finds the
        copies of an original, not the original.
        """

    def list_variants(
        self, tenant: str, image_id: str, limit: int, before: tuple[str, str] | None = None
    ) -> list[State]:
        """Return the live records whose verdict names a picture as a variant, newest first.

        They are older than (accepted_at, image_id) `before`; fewer than `limit` are the last.
        """

    def list_outcomes(
        self,
        tenant: str,
        status: Literal["done", "failed"] | None,
        limit: int,
        before: tuple[str, str] | None = None,
    ) -> tuple[list[Outcome], bool]:
        """Return ended jobs older than (accepted_at, job_id) `before`, and whether more follow."""

    def list_unembedded(
        self, tenant: str, space_id: str, limit: int, after: int = -1
    ) -> MissingVectors:
        """Return records that could have a vector in a space and have none, in log order.

        A purged picture has no pixels to make a visual vector of; a record without title,
        description and tags has no words to make a caption vector of.
        """

    def list_values(
        self,
        tenant: str,
        by: Literal["category", "owner_id", "decision", "verdict", "tag"],
        limit: int,
    ) -> list[str]:
        """Return the first `limit` different values that records have, sorted."""

    def count_records(self, tenant: str, spaces: Sequence[str] = ()) -> Stats:
        """Return counts as of W; `spaces` are counted also where no record has a vector in them."""


class IndexProjection(Protocol):
    """The log written into the index, entry by entry, and how far that has come."""

    def watermark(self, tenant: str) -> int:
        """Return W: every entry up to it is visible on every replica. 0 for an unknown tenant."""

    def active_spaces(self, tenant: str) -> Mapping[SpaceKind, ActiveSpaces]:
        """Return the spaces of each kind, as far as the log speaks of them."""

    def project_entry(
        self,
        tenant: str,
        seq: int,
        records: Sequence[Record],
        removed: Sequence[Tombstone],
        outcomes: Sequence[Outcome],
        *,
        standings: Sequence[ActiveSpaces] = (),
    ) -> None:
        """Write what entry `seq` left, idempotently, and only then let W be `seq`.

        `seq` is W + 1, else nothing is written: the entry was projected before. Raise
        IndexUnavailableError while a replica is away.
        """


@runtime_checkable
class Index(IndexRecords, IndexSearch, IndexLists, IndexProjection, Protocol):
    """A projection of the log: it can be rebuilt from the log at any time.

    Reads may lag behind `project_entry`; the highest seq of a record wins, a tombstone stays. Every
    method raises IndexUnavailableError.
    """


@runtime_checkable
class ServiceIndex(Index, Protocol):
    """An index as a service holds it: checked, closed, and replaced by one rebuilt beside it."""

    def tenants(self) -> list[str]:
        """Return the tenants that have a watermark, sorted."""

    def check_sound(self) -> None:
        """Raise IndexDamagedError if this index has to be made again from the log."""

    def check_replicas(self) -> None:
        """Raise IndexUnavailableError if a replica is down: reads work, but W cannot advance."""

    def fresh(self) -> ServiceIndex:
        """Create an empty index beside this one; drop what an earlier one left."""

    def swap(self, fresh: Index) -> bool:
        """Serve what `fresh` holds: every reader sees all of the old index or all of the new.

        Return False, with nothing changed, if `fresh` lags behind a watermark that was reported:
        bring it up and call again at once, for nothing is projected for some seconds. If that added
        nothing, `fresh` has all that the log holds, and is taken. The caller closes `fresh`, also
        afterwards. Raise IndexUnavailableError; then the old one stays.
        """

    def close(self) -> None:
        """Close files and connections."""
