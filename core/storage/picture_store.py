"""Store of per-picture objects in the blob store: their keys, formats and lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from core import keys
from core.errors import MissingError
from core.fingerprint.fingerprint import decode_preview, thumb
from core.fingerprint.keypoints import DetailKeypoints
from core.lru_cache import LRUCache
from core.ports import Blobs
from core.records import Fields, Record, State
from core.types import Fingerprint, Remade, Vector

_fingerprint = msgspec.msgpack.Decoder(Fingerprint)
_fields = msgspec.json.Decoder(Fields)
_detail = msgspec.msgpack.Decoder(DetailKeypoints)


class StoredFingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the fingerprint stage for one picture."""

    image_id: str
    fingerprint: Fingerprint
    preview: bytes
    """Preview as JPEG; empty if the one before stays."""
    large: bytes = b""
    """Large preview of a drawn picture, as WebP; empty for others."""
    vectors: dict[str, Vector] = {}
    """Vectors by visual space."""
    op_id: str | None = None
    """Name of the objects, if they were computed again after the upload."""


class StoredVector(NamedTuple):
    """Vector with its picture and space."""

    image_id: str
    space_id: str
    said: str | None
    """Operation of the fields, or of the later pixels, that it was computed from."""
    vector: Vector


class PictureStore:
    """Reader and writer of per-picture objects, with a cache of the last fingerprints."""

    def __init__(self, blobs: Blobs, *, remembered: int = 512) -> None:
        self._blobs = blobs
        self._fingerprints: LRUCache[tuple[str, str, str | None], Fingerprint] = LRUCache(
            remembered
        )
        self._vectors: LRUCache[tuple[str, str, str], Vector] = LRUCache(remembered)
        self._fields: LRUCache[tuple[str, str, str], Fields] = LRUCache(remembered)

    # --- writing --------------------------------------------------------------------------------

    def write(self, tenant: str, items: Sequence[StoredFingerprint]) -> None:
        """Write fingerprints, durably; remove those of deleted pictures again at once."""
        objects: list[tuple[str, bytes]] = []
        for item in items:
            image_id, op_id = item.image_id, item.op_id
            encoded = msgspec.msgpack.encode(item.fingerprint)
            objects += [
                (keys.derived(tenant, image_id, "fingerprint", op_id), encoded),
                *(
                    self._vector(tenant, StoredVector(image_id, space, op_id, vector))
                    for space, vector in item.vectors.items()
                ),
            ]
            if item.preview:
                objects.append((keys.derived(tenant, image_id, "preview", op_id), item.preview))
            if item.large:
                objects.append((keys.derived(tenant, image_id, "large", op_id), item.large))
        self._blobs.put(objects)
        for item in items:
            self._fingerprints.put((tenant, item.image_id, item.op_id), item.fingerprint)
        self.revisit(tenant, [item.image_id for item in items])

    def write_vectors(self, tenant: str, made: Sequence[StoredVector]) -> None:
        """Write vectors that were made apart from the pictures' fingerprints, durably."""
        self._blobs.put([self._vector(tenant, one) for one in made])
        self.revisit(tenant, list(dict.fromkeys(one.image_id for one in made)))

    def _vector(self, tenant: str, made: StoredVector) -> tuple[str, bytes]:
        key = keys.vector(tenant, made.image_id, made.space_id, made.said)
        self._vectors.put((tenant, made.image_id, key), made.vector)
        return key, made.vector.astype("<f4").tobytes()

    def write_details(
        self, tenant: str, made: Sequence[tuple[str, Remade | None, DetailKeypoints]]
    ) -> None:
        """Write the keypoints of (image_id, remade), so that the next alignment only reads them."""
        self._blobs.put(
            [
                (_detail_key(tenant, image_id, remade), msgspec.msgpack.encode(detail))
                for image_id, remade, detail in made
            ]
        )
        self.revisit(tenant, list(dict.fromkeys(image_id for image_id, _, _ in made)))

    def write_fields(self, tenant: str, items: Sequence[tuple[str, str, Fields]]) -> None:
        """Write (image_id, op_id, fields), durably, and never over others: op_ids are unique."""
        self._blobs.put(
            [
                (keys.fields(tenant, image_id, op_id), msgspec.json.encode(fields))
                for image_id, op_id, fields in items
            ]
        )
        for image_id, op_id, fields in items:
            self._fields.put((tenant, image_id, op_id), fields)
        self.revisit(tenant, [image_id for image_id, _, _ in items])

    def revisit(self, tenant: str, ids: Sequence[str]) -> None:
        """Remove objects of pictures that have been deleted or purged meanwhile."""
        dead = self._blobs.exists([keys.tombstone(tenant, image_id) for image_id in ids])
        self.remove(tenant, [image_id for image_id, gone in zip(ids, dead, strict=True) if gone])
        purged = self._blobs.exists([keys.purged(tenant, image_id) for image_id in ids])
        for image_id, gone in zip(ids, purged, strict=True):
            if gone:
                hidden = self._blobs.exists([keys.hidden(tenant, image_id)])[0]
                self._strip(tenant, image_id, hidden=hidden)

    # --- reading --------------------------------------------------------------------------------

    def fingerprints(
        self, tenant: str, pictures: Sequence[tuple[str, Remade | None]]
    ) -> list[Fingerprint | None]:
        """Read fingerprints of (image_id, remade), in order, the kept ones of purged pictures.

        None stands for a picture without either.
        """
        named = [(tenant, *_fingerprint_name(*picture)) for picture in pictures]
        found = [self._fingerprints.get(name) for name in named]
        for places in (
            [keys.derived(tenant, image_id, "fingerprint", op_id) for _, image_id, op_id in named],
            [keys.kept(tenant, image_id) for _, image_id, _ in named],
        ):
            lacking = [n for n, fingerprint in enumerate(found) if fingerprint is None]
            objects = self._blobs.get_many([places[n] for n in lacking]) if lacking else []
            for n, data in zip(lacking, objects, strict=True):
                if data is not None:
                    found[n] = self._fingerprints.put(named[n], _fingerprint.decode(data))
        return found

    def vectors(
        self, tenant: str, image_id: str, spaces: Iterable[str], said: str | None = None
    ) -> dict[str, Vector]:
        """Read the vectors that exist, (d,) float32 each; `said` as in `StoredVector`."""
        vectors: dict[str, Vector] = {}
        for space in spaces:
            key = keys.vector(tenant, image_id, space, said)
            vector = self._vectors.get((tenant, image_id, key))
            if vector is None:
                try:
                    data = self._blobs.get(key)
                except MissingError:
                    continue
                vector = np.frombuffer(data, "<f4").astype(np.float32)
                self._vectors.put((tenant, image_id, key), vector)
            vectors[space] = vector
        return vectors

    def fields(self, tenant: str, image_id: str, op_id: str | None) -> Fields:
        """Read the fields that the caller gave in that call; empty if deleted meanwhile."""
        if op_id is None:
            return Fields()
        key = (tenant, image_id, op_id)
        known = self._fields.get(key)
        if known is not None:
            return known
        try:
            data = self._blobs.get(keys.fields(tenant, image_id, op_id))
        except MissingError:
            return Fields()
        return self._fields.put(key, _fields.decode(data))

    def fetch_fields(self, tenant: str, said: Iterable[tuple[str, str | None]]) -> None:
        """Read the fields of (image_id, op_id) pairs into the cache, in parallel."""
        unknown = [
            (tenant, image_id, op_id)
            for image_id, op_id in dict.fromkeys(said)
            if op_id is not None and self._fields.get((tenant, image_id, op_id)) is None
        ]
        found = self._blobs.get_many([keys.fields(*key) for key in unknown]) if unknown else ()
        for key, data in zip(unknown, found, strict=True):
            if data is not None:
                self._fields.put(key, _fields.decode(data))

    def _fetch_vectors(self, tenant: str, states: Sequence[State]) -> None:
        """Read the vectors of records with these states into the cache, likewise."""
        unknown = [
            known
            for state in states
            for space in _spaces(state)
            if self._vectors.get(
                known := (
                    tenant,
                    state.image_id,
                    keys.vector(tenant, state.image_id, space, state.source_of(space)),
                )
            )
            is None
        ]
        found = self._blobs.get_many([key for _, _, key in unknown]) if unknown else ()
        for known, data in zip(unknown, found, strict=True):
            if data is not None:
                self._vectors.put(known, np.frombuffer(data, "<f4").astype(np.float32))

    def stream(self, tenant: str, image_id: str) -> Iterator[bytes]:
        """Yield the uploaded bytes in chunks. Raise MissingError before the first one."""
        return self._blobs.stream(keys.blob(tenant, image_id))

    def preview(self, tenant: str, image_id: str, remade: Remade | None = None) -> bytes:
        """Read the preview, a JPEG of at most 512 pixels a side; a strip's is longer.

        Raise MissingError.
        """
        return self._blobs.get(_preview_key(tenant, image_id, remade))

    def large(self, tenant: str, image_id: str, remade: Remade | None = None) -> bytes:
        """Read the large preview of a drawn picture, a WebP. Raise MissingError.

        It is written with each fingerprint, and has the name of that.
        """
        return self._blobs.get(
            keys.derived(tenant, image_id, "large", remade.fingerprint if remade else None)
        )

    def thumb(self, tenant: str, image_id: str, remade: Remade | None = None) -> bytes:
        """Make a JPEG thumbnail of at most 160 pixels from the preview. Raise MissingError."""
        return thumb(decode_preview(self.preview(tenant, image_id, remade)))

    def detail(
        self, tenant: str, image_id: str, remade: Remade | None = None
    ) -> DetailKeypoints | None:
        """Read the keypoints of the preview, None if no alignment has computed them yet."""
        try:
            return _detail.decode(self._blobs.get(_detail_key(tenant, image_id, remade)))
        except MissingError:
            return None

    def to_align(
        self, tenant: str, pictures: Sequence[tuple[str, Remade | None]]
    ) -> list[tuple[bytes | None, DetailKeypoints | None]]:
        """Read previews and keypoints of (image_id, remade), in order, all of them in parallel."""
        previews = [_preview_key(tenant, *picture) for picture in pictures]
        details = [_detail_key(tenant, *picture) for picture in pictures]
        found = self._blobs.get_many([*previews, *details])
        return [
            (preview, None if packed is None else _detail.decode(packed))
            for preview, packed in zip(found[: len(pictures)], found[len(pictures) :], strict=True)
        ]

    def join(self, tenant: str, seq: int, states: Sequence[State]) -> list[Record]:
        """Join each state with its fingerprint, fields and vectors.

        A copy has the vectors of its caption alone: its original represents its pixels, but two
        sellers of one photo write two titles.
        """
        fingerprints = self.fingerprints(
            tenant, [(state.image_id, state.remade) for state in states]
        )
        self.fetch_fields(tenant, [(state.image_id, state.fields) for state in states])
        self._fetch_vectors(tenant, states)
        return [
            Record(
                tenant=tenant,
                seq=seq,
                state=state,
                fingerprint=fingerprint,
                fields=self.fields(tenant, state.image_id, state.fields),
                vectors={
                    space: vector
                    for space in _spaces(state)
                    for vector in self.vectors(
                        tenant, state.image_id, [space], state.source_of(space)
                    ).values()
                },
            )
            for state, fingerprint in zip(states, fingerprints, strict=True)
            if fingerprint is not None
        ]

    # --- removing -------------------------------------------------------------------------------

    def remove(self, tenant: str, ids: Sequence[str]) -> None:
        """Remove every per-picture object: bytes, derived, vectors, fields, kept fingerprint."""
        for image_id in ids:
            doomed = [keys.blob(tenant, image_id), keys.kept(tenant, image_id)]
            for prefix in keys.of_picture(tenant, image_id):
                doomed += self._blobs.keys(prefix)
            self._blobs.delete(doomed)
        gone = {(tenant, image_id) for image_id in ids}
        self._fingerprints.remove(lambda key: key[:2] in gone)
        self._vectors.remove(lambda key: key[:2] in gone)
        self._fields.remove(lambda key: key[:2] in gone)

    def discard(self, tenant: str, ids: Sequence[str]) -> None:
        """Remove the uploaded bytes alone."""
        self._blobs.delete([keys.blob(tenant, image_id) for image_id in ids])

    def purge(self, tenant: str, image_id: str, remade: Remade | None = None) -> None:
        """Keep the fingerprint, mark the purge, then remove bytes, previews and keypoints."""
        self._keep(tenant, image_id, remade)
        self._blobs.create_many([(keys.purged(tenant, image_id), b"")])
        self._strip(tenant, image_id)

    def hide(self, tenant: str, image_id: str, remade: Remade | None = None) -> None:
        """Purge a picture, and remove its vectors and fields, too.

        A writer that finds the mark of the purge then looks for the other, which is written first.
        """
        self._keep(tenant, image_id, remade)
        for key in (keys.hidden(tenant, image_id), keys.purged(tenant, image_id)):
            self._blobs.create_many([(key, b"")])
        self._strip(tenant, image_id, hidden=True)

    def _keep(self, tenant: str, image_id: str, remade: Remade | None) -> None:
        kept = self.fingerprints(tenant, [(image_id, remade)])[0]
        if kept is not None:
            self._blobs.put([(keys.kept(tenant, image_id), msgspec.msgpack.encode(kept))])

    def drop_remade(self, tenant: str, image_id: str, op_id: str) -> None:
        """Remove objects that were computed again and that no entry names."""
        self._blobs.delete(
            [
                *self._blobs.keys(f"derived/{tenant}/{image_id}/{op_id}/"),
                *self._blobs.keys(f"vectors/{tenant}/{image_id}/{op_id}/"),
            ]
        )

    def drop_large(self, tenant: str, state: State) -> None:
        """Remove the large preview that was written with the fingerprint of an older state."""
        op_id = state.remade.fingerprint if state.remade else None
        self._blobs.delete([keys.derived(tenant, state.image_id, "large", op_id)])

    def drop_pixels(self, tenant: str, state: State) -> None:
        """Remove preview, keypoints and visual vectors that an older state names.

        Its fingerprint stays, as the log's earlier entries are replayed with it.
        """
        image_id, op_id = state.image_id, state.remade.pixels if state.remade else None
        parts: tuple[keys.Part, ...] = ("preview", "detail")
        self._blobs.delete(
            [
                *(keys.derived(tenant, image_id, part, op_id) for part in parts),
                *(
                    keys.vector(tenant, image_id, space, op_id)
                    for space in state.spaces
                    if not keys.is_caption(space)
                ),
            ]
        )

    def _strip(self, tenant: str, image_id: str, *, hidden: bool = False) -> None:
        """Remove bytes and `derived/` of a purged picture; of a `hidden` one vectors and fields."""
        doomed = [keys.blob(tenant, image_id)]
        for prefix in keys.of_picture(tenant, image_id)[: None if hidden else 1]:
            doomed += self._blobs.keys(prefix)
        self._blobs.delete(doomed)
        if hidden:
            self._vectors.remove(lambda key: key[:2] == (tenant, image_id))
            self._fields.remove(lambda key: key[:2] == (tenant, image_id))


def _fingerprint_name(image_id: str, remade: Remade | None) -> tuple[str, str | None]:
    """Return the id, and the job whose fingerprint replaced that of the upload."""
    return image_id, remade.fingerprint if remade else None


def _preview_key(tenant: str, image_id: str, remade: Remade | None) -> str:
    return keys.derived(tenant, image_id, "preview", remade.pixels if remade else None)


def _detail_key(tenant: str, image_id: str, remade: Remade | None) -> str:
    return keys.derived(tenant, image_id, "detail", remade.pixels if remade else None)


def _spaces(state: State) -> list[str]:
    """List the spaces in which its record has a vector: for a copy, its captions' alone."""
    return [space for space in state.spaces if state.anchor is not None or keys.is_caption(space)]
