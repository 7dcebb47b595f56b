"""A loader of pictures to compare: previews and keypoints, read when an alignment needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.errors import CorruptError, MissingError, SeenitError
from core.evidence import Comparison
from core.fingerprint.fingerprint import decode_preview
from core.fingerprint.keypoints import KEYPOINTS_VERSION, DetailKeypoints, detail
from core.imaging import large_preview
from core.lru_cache import LRUCache
from core.matching.alignment import AlignedPicture, align_all
from core.matching.candidates import hopeful, unaligned
from core.matching.policy import Policy
from core.ports import KeypointExtractor
from core.records import Fields
from core.storage.picture_store import PictureStore
from core.types import Hit, Pixels, Query, Remade

logger = logging.getLogger(__name__)

_PREPARED = 256
"""Previews and keypoints that are kept in memory for the next alignments, about 160 KB a picture:
those of a batch, as a rule; the alignment of any other reads them again."""

Key = tuple[str, str, Remade | None]
"""Tenant, image_id and the objects that were made again, of one picture."""


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
        extractor: KeypointExtractor | None = None,
        remembered: int = 32,
    ) -> None:
        """Compare by a policy; without an `extractor` keypoints are made in the calling thread."""
        self._shelf = shelf
        self._policy = policy
        self._space = space
        self._extractor = extractor
        self._held: dict[tuple[str, str], tuple[Query, bytes]] = {}
        self._unstored: set[tuple[str, str]] = set()
        self._pictures: LRUCache[Key, AlignedPicture] = LRUCache(remembered)
        self._previews: LRUCache[Key, bytes] = LRUCache(_PREPARED)
        self._keypoints: LRUCache[Key, DetailKeypoints] = LRUCache(_PREPARED)
        self._hopes: LRUCache[tuple[Key, Key], bool] = LRUCache(4 * _PREPARED)

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
                self._unstored.add(key)
                given = (large or {}).get(query.image_id)
                self._pictures.put((*key, None), self._lay(tenant, query, preview, given))
        try:
            yield
        finally:
            for key in mine:
                self._held.pop(key, None)
            if not stored:
                self._pictures.remove(lambda key: key[:2] in mine)
                self._keypoints.remove(lambda key: key[:2] in mine)
                self._unstored.difference_update(mine)

    def prepare(
        self, tenant: str, pairs: Sequence[tuple[Query, Hit]], *, urgent: bool = False
    ) -> None:
        """Read and make in parallel all that the alignments of these pairs need.

        The alignments give the same results without it, but make their keypoints one by one.
        """
        keys: dict[Key, None] = {}
        self._fetch_fingerprints(tenant, pairs)
        for query, hit in pairs:
            if self._is_hopeful(tenant, query, hit):
                keys[tenant, query.image_id, query.remade] = None
                keys[tenant, hit.image_id, hit.remade] = None
        previews = self._fetch_to_align([key for key in keys if self._keypoints.get(key) is None])
        self._extract(previews, urgent=urgent)

    def align(self, tenant: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Align a picture with hits and compare, in order; without pixels nothing is confirmed."""
        results: dict[int, Comparison] = {}
        pairs: dict[int, tuple[AlignedPicture, Hit]] = {}
        one: AlignedPicture | None = None
        for n, hit in enumerate(hits):
            if not self._is_hopeful(tenant, query, hit):
                results[n] = unaligned(hit, "looks_alike")
                continue
            one = one or self._picture(tenant, query.image_id, query.remade)
            other = self._picture(tenant, hit.image_id, hit.remade)
            if one is None or other is None:
                results[n] = unaligned(hit, "no_pixels")
            else:
                pairs[n] = other, hit
        if one is not None and pairs:
            compared = align_all(one, list(pairs.values()), self._policy)
            results |= dict(zip(pairs, compared, strict=True))
        return [results[n] for n in range(len(hits))]

    def _is_hopeful(self, tenant: str, query: Query, hit: Hit) -> bool:
        if hit.votes is not None:
            return True
        pair = (
            (tenant, query.image_id, query.remade),
            (tenant, hit.image_id, hit.remade),
        )
        known = self._hopes.get(pair)
        if known is not None:
            return known
        held = self._held.get((tenant, hit.image_id))
        found = (
            held[0].fingerprint
            if held is not None
            else self._shelf.fingerprints(tenant, [(hit.image_id, hit.remade)])[0]
        )
        if found is None:
            return True
        return self._hopes.put(pair, hopeful(query.fingerprint, found, hit, self._policy))

    def _fetch_fingerprints(self, tenant: str, pairs: Sequence[tuple[Query, Hit]]) -> None:
        """Read the fingerprints that decide about hope into the cache, in parallel."""
        asked = {
            (hit.image_id, hit.remade): None
            for _, hit in pairs
            if hit.votes is None and (tenant, hit.image_id) not in self._held
        }
        if asked:
            self._shelf.fingerprints(tenant, list(asked))

    def _fetch_to_align(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Read previews and keypoints of one tenant; return previews that have no keypoints."""
        lacking = {key: held[1] for key in keys if (held := self._held.get(key[:2])) is not None}
        stored = [key for key in keys if key not in lacking]
        if not stored:
            return lacking
        found = self._shelf.to_align(stored[0][0], [key[1:] for key in stored])
        for key, (preview, packed) in zip(stored, found, strict=True):
            if preview is None:
                continue
            self._previews.put(key, preview)
            if packed is not None and packed.version == KEYPOINTS_VERSION:
                self._keypoints.put(key, packed)
            else:
                lacking[key] = preview
        return lacking

    def _extract(self, previews: Mapping[Key, bytes], *, urgent: bool) -> None:
        """Have the keypoints of previews of one tenant made, and written where it is stored."""
        if self._extractor is None or not previews:
            return
        made: list[tuple[Key, DetailKeypoints]] = []
        found = self._extractor.keypoints(list(previews.values()), urgent=urgent)
        for key, keypoints in zip(previews, found, strict=True):
            if isinstance(keypoints, SeenitError):
                about = {"tenant": key[0], "image_id": key[1], "reason": keypoints.detail}
                logger.warning("keypoints_not_extracted", extra=about)
                continue
            made.append((key, self._keypoints.put(key, keypoints)))
        self._write(made)

    def _write(self, made: Sequence[tuple[Key, DetailKeypoints]]) -> None:
        """Write keypoints of one tenant, but not those of pictures that are only checked."""
        stored = [(key, keypoints) for key, keypoints in made if key[:2] not in self._unstored]
        if stored:
            tenant = stored[0][0][0]
            self._shelf.write_details(tenant, [(*key[1:], keypoints) for key, keypoints in stored])

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
                self._previews.get(key) or self._shelf.preview(tenant, image_id, remade),
            )
            return self._pictures.put(key, self._lay(tenant, query, preview))
        except MissingError:
            return None
        except (
            CorruptError
        ) as error:  # one damaged preview must not block every picture compared with it
            about = {"tenant": tenant, "image_id": image_id, "reason": str(error)}
            logger.error("preview_damaged", extra=about)  # noqa: TRY400  no traceback needed
            return None

    def _lay(
        self, tenant: str, query: Query, preview: bytes, large: bytes | None = None
    ) -> AlignedPicture:
        pixels = decode_preview(preview)
        fingerprint = query.fingerprint
        return AlignedPicture(
            preview=pixels,
            width=fingerprint.width,
            height=fingerprint.height,
            uncompared=fingerprint.uncompared,
            turns=fingerprint.turns,
            detail=lambda: self._detail((tenant, query.image_id, query.remade), preview, pixels),
            large=lambda: self._large(tenant, query, large),
        )

    def _large(self, tenant: str, query: Query, held: bytes | None) -> Pixels | None:
        """Decode a large preview that is held or stored; a damaged or missing one is as none."""
        try:
            unstored = (tenant, query.image_id) in self._unstored
            if held is None and not unstored and query.fingerprint.large:
                held = self._shelf.large(tenant, query.image_id, query.remade)
            return large_preview.decode(held) if held else None
        except (MissingError, CorruptError) as error:
            about = {"tenant": tenant, "image_id": query.image_id, "reason": str(error)}
            logger.warning("large_preview_unread", extra=about)
            return None

    def _detail(self, key: Key, preview: bytes, pixels: Pixels) -> DetailKeypoints:
        """Return keypoints: prepared, stored, extracted outside of this thread, or else here."""
        known = self._keypoints.get(key)
        if known is not None:
            return known
        stored = None if key[:2] in self._unstored else self._shelf.detail(*key)
        if stored is not None and stored.version == KEYPOINTS_VERSION:
            return self._keypoints.put(key, stored)
        self._extract({key: preview}, urgent=True)
        known = self._keypoints.get(key)
        if known is None:
            known = self._keypoints.put(key, detail(pixels))
            self._write([(key, known)])
        return known
