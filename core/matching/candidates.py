"""Candidates: what each source says of one pair, and how the sources' answers become one list.

An index answers for many pictures at once, `measure` for one pair; both give the same absolute
numbers, so `fuse` may be handed the hits of an index together with those of pictures it does not
hold yet and gives what one exact index over all of them would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from msgspec.structs import replace

from core.fingerprint.visual_words import reflected, sketch
from core.matching import hough_voting
from core.matching.policy import Policy
from core.types import Candidates, Features, Fingerprint, Hit, Query, Vector

_RANK = 60
"""Of reciprocal rank fusion: a place r counts 1 / (60 + r) (Cormack, Clarke and Buettcher 2009)."""
_REMEMBERED = 1_024
"""Pictures whose features stay unpacked, 8 KB each: a batch meets itself pair by pair."""


def measure(
    query: Query, image_id: str, other: Fingerprint, vector: Vector | None, policy: Policy
) -> Hit | None:
    """What each source finds between a query and one anchor; None where none finds anything.

    `vector` is the anchor's in the query's space. A flat or tiny picture has no candidates and is
    none.
    """
    if not (query.fingerprint.comparable and other.comparable):
        return None
    hamming, turn = _nearest(query.fingerprint, other)
    close = hamming <= policy.phash_radius
    similarity = None
    if query.vector is not None and vector is not None:
        cosine = float(np.dot(query.vector, vector))
        similarity = cosine if cosine >= policy.visual_floor else None
    count, mirrored = _votes(query.fingerprint.features, other.features)
    agree = count >= policy.feature_votes
    if not close and similarity is None and not agree:
        return None
    return Hit(
        image_id=image_id,
        hamming=hamming if close else None,
        turn=turn if close else None,
        similarity=similarity,
        votes=count if agree else None,
        mirrored=mirrored and agree,
    )


def fuse(hits: Iterable[Hit], policy: Policy) -> Candidates:
    """Cut each source to its top, order by reciprocal rank fusion, keep at most the policy's cap.

    Hits of one picture are joined. What lies beyond a source's top counts as not found by it, so
    that it does not matter how much more than its top a source gave. Equal places are settled by
    image_id.
    """
    joined: dict[str, Hit] = {}
    for hit in hits:
        known = joined.get(hit.image_id)
        joined[hit.image_id] = hit if known is None else _join(known, hit)
    found = [_within(hit, policy) for hit in joined.values()]
    found = _cut(found, _by_similarity, "similarity", policy.visual_top)
    found = _cut(found, _by_votes, "votes", policy.feature_top)
    found = [hit for hit in found if _found(hit)]
    worth: dict[str, float] = {hit.image_id: 0.0 for hit in found}
    for key in (_by_hamming, _by_similarity, _by_votes):
        ranked = sorted((hit for hit in found if key(hit) is not None), key=_order(key))
        place, last = 0, None
        for n, hit in enumerate(ranked, 1):
            if key(hit) != last:
                place, last = n, key(hit)
            worth[hit.image_id] += 1 / (_RANK + place)
    found.sort(key=lambda hit: (-round(worth[hit.image_id], 12), hit.image_id))
    return Candidates(tuple(found[: policy.candidates]), len(found) > policy.candidates)


def worth(hits: Iterable[Hit], policy: Policy, similar_at: float | None = None) -> frozenset[str]:
    """Which candidates deserve to be laid over, by image_id: hash, votes or a very high similarity.

    An alignment starts from a turn whose hash is close or from keypoints that agree; a picture
    whose votes fall short may still have such keypoints at a higher resolution, but among those
    that merely look alike only the nearest are likely to.

    `similar_at` is what the space asked calls similar: a model that puts any two pictures close
    together has to say more than that they are.
    """
    found: set[str] = set()
    alike: list[tuple[float, str]] = []
    least = max(policy.alike, similar_at or 0.0)
    for hit in hits:
        if agrees(hit, policy):
            found.add(hit.image_id)
        elif hit.similarity is not None and hit.similarity >= least:
            alike.append((-hit.similarity, hit.image_id))
    return frozenset(found.union(image_id for _, image_id in sorted(alike)[: policy.alike_top]))


def agrees(hit: Hit, policy: Policy) -> bool:
    """Whether the hash or the local features find the two alike by themselves."""
    close = hit.hamming is not None and hit.hamming <= policy.phash_radius
    return close or (hit.votes is not None and hit.votes >= policy.feature_votes)


# --- one pair -----------------------------------------------------------------------------------


def _nearest(query: Fingerprint, other: Fingerprint) -> tuple[int, int]:
    """The least distance over the query's eight turns, and the first turn that has it."""
    stored = int(other.phash, 16)
    return min(((int(turn, 16) ^ stored).bit_count(), n) for n, turn in enumerate(query.turns))


@lru_cache(_REMEMBERED)
def _asked(made: Features) -> hough_voting.Ways:
    return sketch(made), reflected(made)


def _votes(query: Features, other: Features) -> tuple[int, bool]:
    return hough_voting.ballot(_asked(query), _asked(other)[0])


# --- one list -----------------------------------------------------------------------------------

Key = Callable[[Hit], float | None]


def _by_hamming(hit: Hit) -> float | None:
    return hit.hamming


def _by_similarity(hit: Hit) -> float | None:
    return None if hit.similarity is None else -hit.similarity


def _by_votes(hit: Hit) -> float | None:
    return None if hit.votes is None else -hit.votes


def _order(key: Key) -> Callable[[Hit], tuple[float, str]]:
    def order(hit: Hit) -> tuple[float, str]:
        value = key(hit)
        return (0.0 if value is None else value, hit.image_id)

    return order


def _join(one: Hit, other: Hit) -> Hit:
    """Two hits of one picture: what either knows, `one` first where both do."""
    hashed = one if one.hamming is not None else other
    voted = one if one.votes is not None else other
    return Hit(
        image_id=one.image_id,
        hamming=hashed.hamming,
        turn=hashed.turn,
        similarity=one.similarity if one.similarity is not None else other.similarity,
        votes=voted.votes,
        mirrored=voted.mirrored,
    )


def _within(hit: Hit, policy: Policy) -> Hit:
    """Drop what lies outside of a source's own bounds: a source may measure more than it finds."""
    if hit.hamming is not None and hit.hamming > policy.phash_radius:
        hit = replace(hit, hamming=None, turn=None)
    if hit.similarity is not None and hit.similarity < policy.visual_floor:
        hit = replace(hit, similarity=None)
    if hit.votes is not None and hit.votes < policy.feature_votes:
        hit = replace(hit, votes=None, mirrored=False)
    return hit


def _cut(found: Sequence[Hit], key: Key, field: str, top: int) -> list[Hit]:
    """Take a source's word away from all but its top."""
    ranked = sorted((hit for hit in found if key(hit) is not None), key=_order(key))
    beyond = {hit.image_id for hit in ranked[top:]}
    return [_without(hit, field) if hit.image_id in beyond else hit for hit in found]


def _without(hit: Hit, field: str) -> Hit:
    if field == "similarity":
        return replace(hit, similarity=None)
    return replace(hit, votes=None, mirrored=False)


def _found(hit: Hit) -> bool:
    return hit.hamming is not None or hit.similarity is not None or hit.votes is not None
