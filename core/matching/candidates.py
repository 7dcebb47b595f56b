"""Candidates: the measurements of each source for one pair, and their fusion to one list.

An index measures many pictures at once, `measure` one pair. Both give the same absolute numbers, so
`fuse` may combine the hits of an index with those of pictures that it does not hold yet, and gives
the result of one exact index over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from msgspec.structs import replace

from core.evidence import Comparison, Evidence, Signal, Statement, StatementCode
from core.fingerprint.sketches import query_sketches, sketch
from core.matching import hough_voting
from core.matching.differences.wording import words
from core.matching.policy import Policy
from core.matching.regions import homography
from core.types import Candidates, Fingerprint, Hit, Query, Vector

_RANK = 60
"""Constant of reciprocal rank fusion: rank r counts 1 / (60 + r) (Cormack, Clarke and Buettcher
2009)."""
_REMEMBERED = 1_024
"""Pictures whose features stay unpacked, up to 50 KB each: a batch is compared pair by pair."""


def measure(
    query: Query, image_id: str, other: Fingerprint, vector: Vector | None, policy: Policy
) -> Hit | None:
    """Measure a query and one anchor by each source; None if no source finds a match.

    `vector` is the anchor's in the query's space. The hash of a picture that is not comparable, as
    flat, symmetric and tiny ones are, counts for nothing.
    """
    stored = int(other.phash, 16)
    hamming, turn = min(
        ((int(turned, 16) ^ stored).bit_count(), n)
        for n, turned in enumerate(query.fingerprint.turns)
    )
    hashed = query.fingerprint.comparable and other.comparable
    close = hashed and hamming <= policy.phash_radius
    similarity = _similarity(query.vector, vector, policy)
    won = hough_voting.ballot(_asked(query.fingerprint.features), _stored(other.features))
    agree = won.votes >= policy.feature_votes
    if not close and similarity is None and not agree:
        return None
    return Hit(
        image_id=image_id,
        hamming=hamming if close else None,
        turn=turn if close else None,
        similarity=similarity,
        votes=won.votes if agree else None,
        mirrored=won.mirrored and agree,
        negative=won.negative and agree,
    )


def fuse(hits: Iterable[Hit], policy: Policy) -> Candidates:
    """Cut each source to its top, order by reciprocal rank fusion, apply the policy's cap.

    Hits of one picture are joined. Hits below a source's top count as not found by it, so the
    result does not depend on the length of its list. Ties are ordered by image_id.
    """
    joined: dict[str, Hit] = {}
    for hit in hits:
        known = joined.get(hit.image_id)
        joined[hit.image_id] = hit if known is None else _join(known, hit)
    found = [_within(hit, policy) for hit in joined.values()]
    found = _cut(found, _by_similarity, policy.visual_top, similarity=None)
    found = _cut(found, _by_votes, policy.feature_top, votes=None, mirrored=False, negative=False)
    found = [hit for hit in found if any(key(hit) is not None for key in _KEYS)]
    worth: dict[str, float] = {hit.image_id: 0.0 for hit in found}
    for key in _KEYS:
        place, last = 0, None
        for n, hit in enumerate(_ranked(found, key), 1):
            if key(hit) != last:
                place, last = n, key(hit)
            worth[hit.image_id] += 1 / (_RANK + place)
    found.sort(key=lambda hit: (-round(worth[hit.image_id], 12), hit.image_id))
    return Candidates(tuple(found[: policy.candidates]), len(found) > policy.candidates)


def worth(hits: Iterable[Hit], policy: Policy, similar_at: float | None = None) -> frozenset[str]:
    """Select the candidates worth an alignment, by hash, votes or a very high similarity.

    An alignment starts from a turn whose hash is close or from keypoints that agree. A picture with
    too few votes may still have such keypoints at a higher resolution, but among merely similar
    pictures only the nearest are likely to.

    `similar_at` is the threshold for `similar` in the queried space: a model that puts any two
    pictures close together has to exceed it. Returns image_ids.
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
    """Return whether the hash or the local features match by themselves."""
    close = hit.hamming is not None and hit.hamming <= policy.phash_radius
    return close or (hit.votes is not None and hit.votes >= policy.feature_votes)


def hopeful(query: Fingerprint, other: Fingerprint, hit: Hit, policy: Policy) -> bool:
    """Return whether the pixels of a candidate may confirm it, before any are decoded.

    Hashes and vectors come near by chance, in more pictures the more are stored. Where both
    pictures are rich in keypoints, those of a copy agree, though they may share too few words; in a
    picture that was squeezed into another shape its hash alone does.
    """
    if hit.votes is not None or _is_squeezed(query, other, hit, policy):
        return True
    stored = _stored(other.features)
    if min(len(_stored(query.features).codes), len(stored.codes)) < policy.rich:
        return True
    return hough_voting.alike(_asked(query.features), stored) >= policy.feature_votes


def _is_squeezed(query: Fingerprint, other: Fingerprint, hit: Hit, policy: Policy) -> bool:
    if hit.hamming is None or hit.turn is None:
        return False
    sizes = (query.width, query.height), (other.width, other.height)
    return homography.squeeze(*sizes, hit.turn) >= policy.squeezed


def unaligned(hit: Hit, code: StatementCode) -> Comparison:
    """Return the hit's measurements without an alignment: they confirm nothing."""
    found: dict[Signal, float | None] = {
        "phash": hit.hamming,
        "visual": hit.similarity,
        "features": hit.votes,
    }
    said = (Statement(code),)
    evidence = Evidence(
        signals=tuple(name for name, measured in found.items() if measured is not None),
        hamming=hit.hamming,
        similarity=hit.similarity,
        votes=hit.votes,
        statements=said,
        words=words(said),
    )
    return Comparison("unrelated", evidence)


# --- one pair -----------------------------------------------------------------------------------


def _similarity(one: Vector | None, other: Vector | None, policy: Policy) -> float | None:
    """Return the cosine of two vectors where it is near enough to count."""
    if one is None or other is None:
        return None
    cosine = float(np.dot(one, other))
    return cosine if cosine >= policy.visual_floor else None


_stored = lru_cache(_REMEMBERED)(sketch)
_asked = lru_cache(_REMEMBERED)(query_sketches)


# --- one list -----------------------------------------------------------------------------------

Key = Callable[[Hit], float | None]


def _by_hamming(hit: Hit) -> float | None:
    return hit.hamming


def _by_similarity(hit: Hit) -> float | None:
    return None if hit.similarity is None else -hit.similarity


def _by_votes(hit: Hit) -> float | None:
    return None if hit.votes is None else -hit.votes


_KEYS: tuple[Key, ...] = (_by_hamming, _by_similarity, _by_votes)


def _ranked(found: Sequence[Hit], key: Key) -> list[Hit]:
    """Sort the hits that a source found, best first, ties by image_id."""
    measured = (hit for hit in found if key(hit) is not None)
    return sorted(measured, key=lambda hit: (key(hit) or 0.0, hit.image_id))


def _join(one: Hit, other: Hit) -> Hit:
    """Join two hits of one picture; where both have a value, that of `one` is kept."""
    hashed = one if one.hamming is not None else other
    voted = one if one.votes is not None else other
    return Hit(
        image_id=one.image_id,
        hamming=hashed.hamming,
        turn=hashed.turn,
        similarity=one.similarity if one.similarity is not None else other.similarity,
        votes=voted.votes,
        mirrored=voted.mirrored,
        negative=voted.negative,
    )


def _within(hit: Hit, policy: Policy) -> Hit:
    """Drop measurements outside of a source's bounds; sources may measure more than they find."""
    if hit.hamming is not None and hit.hamming > policy.phash_radius:
        hit = replace(hit, hamming=None, turn=None)
    if hit.similarity is not None and hit.similarity < policy.visual_floor:
        hit = replace(hit, similarity=None)
    if hit.votes is not None and hit.votes < policy.feature_votes:
        hit = replace(hit, votes=None, mirrored=False, negative=False)
    return hit


def _cut(found: Sequence[Hit], key: Key, top: int, **without: object) -> list[Hit]:
    """Remove a source's measurement from all but its top: replace the fields by `without`."""
    beyond = {hit.image_id for hit in _ranked(found, key)[top:]}
    return [replace(hit, **without) if hit.image_id in beyond else hit for hit in found]
