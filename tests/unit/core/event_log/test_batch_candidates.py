"""A crowd gives what measuring every pair gives, and measures hardly any."""

from __future__ import annotations

from functools import cache

import numpy as np

from core.event_log.batch_candidates import BatchCandidates
from core.fingerprint.fingerprint import fingerprint
from core.matching.candidates import measure
from core.matching.policy import POLICY
from core.types import Hit, Limits, Query
from tests.doubles.every_pair import EveryPair
from tests.samples.pictures import EDITS, flat, jpeg, photo, png

EDITED = ("jpeg-30", "mirror", "crop-70", "screenshot", "caption")


class Measured:
    """The real measure, counting."""

    def __init__(self) -> None:
        self.pairs = 0

    def __call__(self, query: Query, anchor: Query) -> Hit | None:
        """Measure one pair, and count it."""
        self.pairs += 1
        vector = anchor.vector if anchor.space_id == query.space_id else None
        return measure(query, anchor.image_id, anchor.fingerprint, vector, POLICY)


@cache
def pictures() -> list[Query]:
    """Photos, edits of some of them, flat ones; vectors of two spaces, or none."""
    files = {f"photo-{seed}": jpeg(photo(seed, 320, 240)) for seed in range(24)}
    files |= {
        f"{name}-{seed}": EDITS[name].apply(photo(seed, 320, 240), 1)
        for name in EDITED
        for seed in range(2)
    }
    files |= {"flat": png(flat()), "flat again": png(flat("black"))}
    random = np.random.default_rng(3)
    base = random.normal(size=8)
    made = []
    for n, (name, data) in enumerate(files.items()):
        vector = base + random.normal(size=8)
        made.append(
            Query(
                image_id=name,
                fingerprint=fingerprint(data, Limits())[1],
                vector=None if n % 5 == 0 else (vector / np.linalg.norm(vector)).astype(np.float32),
                space_id=None if n % 5 == 0 else f"visual-{n % 2}",
            )
        )
    return made


def test_a_crowd_finds_what_a_pool_finds() -> None:
    """The same hits for every picture, with a small part of the pairs measured."""
    everyone, few = Measured(), Measured()
    pool, crowd = EveryPair(everyone), BatchCandidates(few, POLICY)
    found = 0
    for query in pictures():
        hits = sorted(pool.near(query), key=lambda hit: hit.image_id)
        assert sorted(crowd.near(query), key=lambda hit: hit.image_id) == hits
        found += len(hits)
        pool.add(query)
        crowd.add(query)
    assert found > 2 * len(EDITED)
    assert few.pairs < everyone.pairs / 2


def test_a_crowd_leaves_the_picture_itself_out() -> None:
    """A stored copy that is settled again meets itself."""
    query = pictures()[1]
    crowd = BatchCandidates(Measured(), POLICY)
    crowd.add(query)
    assert (query.image_id in crowd, crowd.near(query)) == (True, [])
