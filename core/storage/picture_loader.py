"""A loader of pictures to compare: previews and keypoints, read when an alignment needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.errors import CorruptError, MissingError
from core.fingerprint.fingerprint import decode_preview
from core.fingerprint.keypoints import KEYPOINTS_VERSION, DetailKeypoints, detail
from core.imaging import large_preview
from core.lru_cache import LRUCache
from core.matching.alignment import AlignedPicture, align
from core.matching.candidates import hopeful
from core.matching.policy import Policy
from core.records import Fields
from core.storage.picture_store import PictureStore
from core.types import Comparison, Evidence, Hit, Pixels, Query, Remade, Signal

logger = logging.getLogger(__name__)


class PictureLoader:
    """A loader of the pictures that settling compares: those in hand and those stored.

    Every picture is compared as its stored JPEG preview shows it, also one still in hand, so that
    a verdict does not depend on whether the other was stored a second or a year ago.
    """

    def __init__(
        self,
        shelf: PictureStore,
        policy: Policy,
        space: Callable[[str], str | None],
        *,
        remembered: int = 32,
    ) -> None:
        self._shelf = shelf
        self._policy = policy
        self._space = space
        self._held: dict[tuple[str, str], tuple[Query, bytes]] = {}
        self._pictures: LRUCache[tuple[str, str, Remade | None], AlignedPicture] = LRUCache(
            remembered
        )

    @contextmanager
    def holding(
        self,
        tenant: str,
        items: Sequence[tuple[Query, bytes]],
        *,
        stored: bool,
        large: Mapping[str, bytes] | None = None,
    ) -> Iterator[None]:
        """Hold these pictures in memory; keypoints of those not `stored` are never written.

        `large` has the large previews of those not `stored`, by image_id.
        """
        mine = [(tenant, query.image_id) for query, _ in items]
        for key, (query, preview) in zip(mine, items, strict=True):
            self._held[key] = query, preview
            if not stored:
                given = (large or {}).get(query.image_id)
                self._pictures.put((*key, None), self._lay(query, preview, None, given))
        try:
            yield
        finally:
            for key in mine:
                self._held.pop(key, None)
            if not stored:
                self._pictures.remove(lambda key: key[:2] in mine)

    def align(self, tenant: str, query: Query, hit: Hit) -> Comparison:
        """Align a picture with a hit and compare them; without pixels nothing is confirmed."""
        if not self._is_hopeful(tenant, query, hit):
            return _by_hit(hit, "looks alike")
        one = self._picture(tenant, query.image_id, query.remade)
        other = self._picture(tenant, hit.image_id, hit.remade)
        if one is None or other is None:
            return _by_hit(hit, "there are no pixels left to lay it over")
        return align(one, other, hit, self._policy)

    def _is_hopeful(self, tenant: str, query: Query, hit: Hit) -> bool:
        if hit.votes is not None:
            return True
        held = self._held.get((tenant, hit.image_id))
        found = (
            held[0].fingerprint
            if held is not None
            else self._shelf.fingerprints(tenant, [(hit.image_id, hit.remade)])[0]
        )
        return found is None or hopeful(query.fingerprint, found, hit, self._policy)

    def query(self, tenant: str, image_id: str, remade: Remade | None = None) -> Query:
        """Return a picture's query. Raise MissingError if its fingerprint is not stored."""
        held = self._held.get((tenant, image_id))
        if held is not None:
            return held[0]
        fingerprint = self._shelf.fingerprints(tenant, [(image_id, remade)])[0]
        if fingerprint is None:
            raise MissingError(f"the fingerprint of picture {image_id} is not stored")
        space = self._space(tenant)
        spaces = [space] if space else []
        vectors = self._shelf.vectors(tenant, image_id, spaces, remade.pixels if remade else None)
        return Query(
            image_id=image_id,
            fingerprint=fingerprint,
            vector=vectors.get(space) if space else None,
            space_id=space if space in vectors else None,
            remade=remade,
        )

    def fields(self, tenant: str, image_id: str, op_id: str | None) -> Fields:
        """Return the fields that the caller sent in one call."""
        return self._shelf.fields(tenant, image_id, op_id)

    def _picture(self, tenant: str, image_id: str, remade: Remade | None) -> AlignedPicture | None:
        key = tenant, image_id, remade
        known = self._pictures.get(key)
        if known is not None:
            return known
        try:
            query, preview = self._held.get((tenant, image_id)) or (
                self.query(tenant, image_id, remade),
                self._shelf.preview(tenant, image_id, remade),
            )
            return self._pictures.put(key, self._lay(query, preview, tenant))
        except MissingError:
            return None
        except (
            CorruptError
        ) as error:  # one damaged preview must not block every picture compared with it
            about = {"tenant": tenant, "image_id": image_id, "reason": str(error)}
            logger.error("preview_damaged", extra=about)  # noqa: TRY400  no traceback needed
            return None

    def _lay(
        self, query: Query, preview: bytes, tenant: str | None, large: bytes | None = None
    ) -> AlignedPicture:
        pixels = decode_preview(preview)

        def keypoints() -> DetailKeypoints:
            return self._detail(tenant, query, pixels)

        fingerprint = query.fingerprint
        return AlignedPicture(
            preview=pixels,
            width=fingerprint.width,
            height=fingerprint.height,
            uncompared=fingerprint.uncompared,
            turns=fingerprint.turns,
            detail=keypoints,
            large=lambda: self._large(tenant, query, large),
        )

    def _large(self, tenant: str | None, query: Query, held: bytes | None) -> Pixels | None:
        """Decode a large preview that is held or stored; a damaged or missing one is as none."""
        try:
            if held is None and tenant is not None and query.fingerprint.large:
                held = self._shelf.large(tenant, query.image_id, query.remade)
            return large_preview.decode(held) if held else None
        except (MissingError, CorruptError) as error:
            about = {"tenant": tenant, "image_id": query.image_id, "reason": str(error)}
            logger.warning("large_preview_unread", extra=about)
            return None

    def _detail(self, tenant: str | None, query: Query, pixels: Pixels) -> DetailKeypoints:
        if tenant is None:
            return detail(pixels)
        known = self._shelf.detail(tenant, query.image_id, query.remade)
        if known is None or known.version != KEYPOINTS_VERSION:
            known = detail(pixels)
            self._shelf.write_detail(tenant, query.image_id, known, query.remade)
        return known


def _by_hit(hit: Hit, words: str) -> Comparison:
    """Return the hit's measurements, which confirm nothing."""
    found: dict[Signal, float | None] = {
        "phash": hit.hamming,
        "visual": hit.similarity,
        "features": hit.votes,
    }
    evidence = Evidence(
        signals=tuple(name for name, measured in found.items() if measured is not None),
        hamming=hit.hamming,
        similarity=hit.similarity,
        votes=hit.votes,
        words=words,
    )
    return Comparison(relation="unrelated", evidence=evidence)
