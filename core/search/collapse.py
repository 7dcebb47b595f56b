"""Collapsing of ranked lists: the picture by which each hit is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from core.filters import passes, shows
from core.index_port import Filters, Neighbour, RecordCard
from core.queries.snapshot import Snapshot


class RankedPicture(NamedTuple):
    """A picture in a ranked list, as it is shown."""

    image_id: str
    similarity: float
    copy: str | None
    """The copy that matched, if another record is shown for it."""


class CardReader:
    """A cache of record cards as of a snapshot; each is read once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.known: dict[str, RecordCard | None] = {}
        """Cards by image_id, None for records that do not exist any more."""
        self._copies: dict[str, list[RecordCard]] = {}

    def read(self, ids: Sequence[str]) -> None:
        """Read the cards of these records, then of their originals."""
        wanted = ids
        for _ in range(2):
            fresh = [one for one in dict.fromkeys(wanted) if one not in self.known]
            if fresh:
                self.known |= {**dict.fromkeys(fresh), **self._snapshot.cards(fresh)}
            cards = [self.known[image_id] for image_id in ids]
            wanted = [one.original for one in cards if one is not None]

    def copies(self, ids: Sequence[str]) -> dict[str, list[RecordCard]]:
        """Return the copies of these records by image_id, in the order of the index."""
        tenant = self._snapshot.tenant
        fresh = [one for one in dict.fromkeys(ids) if one not in self._copies]
        found = self._snapshot.index.find_states(tenant, originals=fresh) if fresh else []
        self.read([copy.image_id for copy in found])
        self._copies.update((image_id, []) for image_id in fresh)
        for copy in found:
            now = self.known[copy.image_id]
            if now is not None and now.original == copy.original:
                self._copies[copy.original].append(now)
        return {image_id: self._copies[image_id] for image_id in ids}

    def pass_filters(self, one: RecordCard, filters: Filters, wanted: Collection[str]) -> bool:
        """Return whether a record passes, and its and its original's decision are wanted."""
        original = self.known[one.original]
        decision = None if original is None else original.decision
        return passes(one, filters) and shows(one.decision, decision, wanted)


def collapse(
    cards: CardReader,
    found: Sequence[Neighbour],
    filters: Filters,
    *,
    wanted: Collection[str],
    space_id: str | None,
    onto_originals: bool,
) -> list[RankedPicture]:
    """Return a ranked list as it is shown, each picture once, at the place of its best hit.

    `wanted` are the decisions of the whole search. `space_id` is None for a list by keyword; in a
    space, copies without a vector of their own take the place of their original. With
    `onto_originals` a copy is shown by its original, else it appears by itself.
    """
    cards.read([one.image_id for one in found])
    hits = [
        (one, near.similarity) for near in found if (one := cards.known[near.image_id]) is not None
    ]
    shown: dict[str, RankedPicture] = {}
    for one, similarity in _passing(
        cards, hits, filters, wanted=wanted, space_id=space_id, alone=onto_originals
    ):
        # A copy of a picture that was deleted since is shown by itself.
        represented = onto_originals and cards.known[one.original] is not None
        place = one.original if represented else one.image_id
        if place not in shown:
            copy = one.image_id if one.image_id != place else None
            shown[place] = RankedPicture(place, similarity, copy)
    return list(shown.values())


def _passing(
    cards: CardReader,
    hits: Sequence[tuple[RecordCard, float]],
    filters: Filters,
    *,
    wanted: Collection[str],
    space_id: str | None,
    alone: bool,
) -> Iterator[tuple[RecordCard, float]]:
    """Yield the hits that pass, each followed by its copies without a vector in the space.

    `alone` skips the copies of a hit that passes.
    """
    good = {one.image_id for one, _ in hits if cards.pass_filters(one, filters, wanted)}
    needy = [one.image_id for one, _ in hits if not (alone and one.image_id in good)]
    copies = cards.copies(needy) if space_id is not None else {}
    for one, similarity in hits:
        if one.image_id in good:
            yield one, similarity
        for copy in copies.get(one.image_id, ()):
            if space_id not in copy.spaces and cards.pass_filters(copy, filters, wanted):
                yield copy, similarity
