"""Who a hit stands for: itself, its original, or a copy that let it through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from core.filters import card, passes, shows
from core.ports import Filters, Index, Neighbour, RecordCard
from core.queries.snapshot import Snapshot


class RankedPicture(NamedTuple):
    """A picture in a ranked list, as it is shown."""

    image_id: str
    similarity: float
    copy: str | None
    """The copy that matched, where another record is shown for it."""


class CardReader:
    """Cards as of now: the index overlaid with the tail, each read once."""

    def __init__(self, index: Index, overlay: Snapshot) -> None:
        self._index = index
        self._overlay = overlay
        self._known: dict[str, RecordCard | None] = {}
        self._stars: dict[str, list[RecordCard]] = {}

    def __getitem__(self, image_id: str) -> RecordCard | None:
        return self._known[image_id]

    def read(self, ids: Sequence[str]) -> None:
        """Have the cards of these, and of their originals."""
        self._read(ids)
        cards = [self._known[image_id] for image_id in ids]
        self._read([one.original for one in cards if one is not None])

    def stars(self, ids: Sequence[str]) -> None:
        """Have the copies of these."""
        fresh = [one for one in dict.fromkeys(ids) if one not in self._stars]
        if not fresh:
            return
        found = self._index.stars(self._overlay.tenant, fresh)
        self._read([copy.image_id for star in found for copy in star])
        for image_id, star in zip(fresh, found, strict=True):
            now = (self._known[copy.image_id] for copy in star)
            self._stars[image_id] = [one for one in now if one and one.original == image_id]

    def copies(self, image_id: str) -> list[RecordCard]:
        """Of one that `stars` has read, in the order they came."""
        return self._stars[image_id]

    def _read(self, ids: Sequence[str]) -> None:
        fresh = [one for one in dict.fromkeys(ids) if one not in self._known]
        if not fresh:
            return
        tail = self._overlay.tail
        moved = [one for one in fresh if one in tail.removed or one in tail.states]
        settled = [one for one in fresh if one not in tail.removed and one not in tail.states]
        held = self._index.cards(self._overlay.tenant, settled) if settled else []
        self._known.update(zip(settled, held, strict=True))
        records = self._overlay.records(moved) if moved else []
        for image_id, record in zip(moved, records, strict=True):
            self._known[image_id] = None if record is None else card(record)


def stand(
    cards: CardReader,
    found: Sequence[Neighbour],
    filters: Filters,
    *,
    wanted: Collection[str],
    space_id: str | None,
    collapse: bool,
) -> list[RankedPicture]:
    """A ranked list as it is shown, each picture once, at the place of its best.

    `wanted` are the decisions that the whole search asks for. `space_id` is None of a list by
    keyword. In a space, copies without a vector of their own stand where their original does.
    """

    def good(one: RecordCard) -> bool:
        original = cards[one.original]
        originals = None if original is None else original.decision
        return passes(one, filters) and shows(one.decision, originals, wanted)

    cards.read([one.image_id for one in found])
    needy = [] if space_id is None else _needy(cards, found, good, collapse=collapse)
    cards.stars(needy)
    asked = set(needy)
    shown: dict[str, RankedPicture] = {}
    for image_id, similarity in found:
        one = cards[image_id]
        if one is None:
            continue
        hits = [one] if good(one) else []
        if image_id in asked:
            hits += [
                copy
                for copy in cards.copies(image_id)
                if space_id not in copy.spaces and good(copy)
            ]
        for hit in hits:
            place = hit.original if collapse else hit.image_id
            if cards[place] is not None and place not in shown:
                copy = hit.image_id if hit.image_id != place else None
                shown[place] = RankedPicture(place, similarity, copy)
    return list(shown.values())


def _needy(
    cards: CardReader,
    found: Sequence[Neighbour],
    good: Callable[[RecordCard], bool],
    *,
    collapse: bool,
) -> list[str]:
    """Those whose copies matter: all where copies appear, else those that do not pass alone."""
    here = [one for n in found if (one := cards[n.image_id]) is not None]
    return [one.image_id for one in here if not collapse or not good(one)]
