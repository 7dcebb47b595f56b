"""The protocol of the log under every schedule: the same Ledger as in production, in memory.

Each run ends with a comparison to the serial specification in the order of the log, and with the
promises themselves, checked without the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from msgspec import structs

from core.errors import SeenitError
from core.event_log.settle_reads import SettleSource
from core.event_log.settle_view import IndexView
from core.event_log.tail import LogFollower, LogTail
from core.evidence import Comparison
from core.matching.verdict import Rules
from core.types import Hit, Query
from tests.simulation.breaks import BREAKS
from tests.simulation.case import VARIANT
from tests.simulation.play import Play
from tests.simulation.scenarios import scenario
from tests.simulation.schedule import Choices, Parts, Scenario
from tests.simulation.world import RULES, SECOND, Relation, operation, upload

PAIR = Relation(frozenset({frozenset("ab")}))
COLLAGE = Relation(frozenset({frozenset("ab"), frozenset("ac")}))
"""Relation in which `a` contains `b` and `c`, which have nothing in common."""
UPLOADS = (upload("i0", "a1"), upload("i1", "b1"))
PARTS = (upload("i0", "b1"), upload("i1", "c1"), upload("i2", "a1"))

SMALL = {
    "two pictures that confirm each other": Scenario(UPLOADS, ((("i0",),), (("i1",),)), PAIR),
    "one picture given to both": Scenario(UPLOADS, ((("i0", "i1"),), (("i1", "i0"),)), PAIR),
    "a delete meets its upload": Scenario(
        (upload("i0", "a1"), operation("o0", "delete", "i0")), ((("i0",),), (("o0",),))
    ),
    "an original goes while a copy comes": Scenario(
        (*UPLOADS, operation("o0", "delete", "i0")), ((("i0",), ("o0",)), (("i1",),)), PAIR
    ),
    "an original goes in the batch of its copy": Scenario(
        (*UPLOADS, upload("i2", "d1"), operation("o0", "delete", "i0")),
        ((("i0",), ("i1", "o0")), (("i2",),)),
        PAIR,
    ),
    "a decision meets a copy": Scenario(
        (*UPLOADS, operation("o0", "decide", "i0", value="block")),
        ((("i0",), ("o0",)), (("i1",),)),
        PAIR,
    ),
    "a decision meets a collage": Scenario(
        (*PARTS, operation("o0", "decide", "i1", value="block")),
        ((("i0", "i1"), ("o0",)), (("i2",),)),
        COLLAGE,
    ),
    "a part of a collage goes while it is blocked": Scenario(
        (
            *PARTS,
            operation("o0", "decide", "i0", value="block"),
            operation("o1", "delete", "i1"),
        ),
        ((("i0", "i1", "i2"), ("o0",)), (("o1",),)),
        COLLAGE,
    ),
    "a writer deletes a blocked picture while a copy comes": Scenario(
        (
            upload("i0", "a1"),
            operation("o0", "decide", "i0", value="block"),
            operation("o1", "delete", "i0", erasure="hide"),
            upload("i1", "a1"),
        ),
        ((("i0", "o0"), ("o1",)), (("i1",),)),
    ),
    "a block of the picture that a variant names": Scenario(
        (*UPLOADS, operation("o0", "decide", "i0", value="block")),
        ((("i0",), ("o0",)), (("i1",),)),
        VARIANT,
    ),
}

SMALLEST = ("two pictures that confirm each other", "a delete meets its upload")


class Script(Choices):
    """Fixed choices: turns given away at named steps, and one death."""

    def __init__(self, turns: tuple[int, ...] = (), crash: int = -1) -> None:
        super().__init__(0)
        self._turns = frozenset(turns)
        self._crash = crash
        self.asked = 0
        self.steps = 0

    def runner(self, n: int) -> int:
        """Choose the next one at the named turns."""
        self.asked += 1
        return 1 % n if self.asked - 1 in self._turns else 0

    def crash(self) -> bool:
        """Die at the named step."""
        self.steps += 1
        return self.steps - 1 == self._crash

    def fault(self) -> str:
        """Never let an append fail."""
        return ""

    def happens(self) -> bool:
        """Make background events happen at once."""
        return True


def played(plot: Scenario, choices: Choices) -> None:
    """Run and verify a scenario."""
    play = Play(plot, choices)
    play.run()
    play.verify()


def plots(seed: int) -> Scenario:
    """Make another scenario for every seed."""
    pictures = ("", "", "abcd", "bcda")[seed % 4]
    return scenario(seed, workers=2 + seed // 4 % 2, pictures=pictures)


@pytest.mark.parametrize("part", range(6))
def test_any_interleaving_ends_as_the_serial_run(part: int) -> None:
    """Workers, crashes, redelivery, lost answers, late index: as one at a time in log order."""
    for seed in range(part * 500, part * 500 + 500):
        played(plots(seed), Choices(seed))


def test_collages_are_decided_by_all_that_they_contain() -> None:
    """Two anchors and their collages: blocked, lifted and deleted, also beyond listed matches."""
    for seed in range(300):
        plot = scenario(seed, uploads=6, operations=6, workers=3, pictures="bca")
        rules = structs.replace(RULES, matches=1 + seed % 2)
        play = Play(plot, Choices(seed), Parts(rules=rules))
        play.run()
        play.verify()


def of_one_layout(seeds: range, rules: Rules = RULES) -> int:
    """Play scenarios of one layout; count those in which its company made a copy a variant."""
    found = 0
    for seed in seeds:
        plot = scenario(seed, uploads=6, workers=2 + seed % 2, pictures="abcd", template=True)
        play = Play(plot, Choices(seed), Parts(rules=rules))
        play.run()
        play.verify()
        pictures = {job.image_id: job.sha256 for job in plot.jobs if job.kind == "ingest"}
        found += any(
            plot.relation.rests_on_layout(pictures[state.image_id], pictures[variant])
            for entry in play.store.log.values()
            for operation in entry.operations
            for state in operation.states
            for variant in state.verdict.variants
        )
    return found


def test_a_template_is_known_by_its_company() -> None:
    """In batches, in any order, among deletes and purges: as the serial run, and as counted."""
    assert of_one_layout(range(600)) > 30, "schedules in which no company comes prove nothing"


def test_without_company_a_template_s_instance_is_called_a_copy() -> None:
    """The rule left out, the count of instances differs."""
    with pytest.raises(AssertionError):
        of_one_layout(range(600), structs.replace(RULES, judged=list))


@pytest.mark.parametrize("part", range(2))
def test_a_space_is_asked_once_it_is_filled(part: int) -> None:
    """Vectors made later, a second space and its activation, among uploads, edits and deletes."""
    flipped = 0
    for seed in range(part * 400, part * 400 + 400):
        play = Play(
            scenario(seed, uploads=2, operations=7, workers=2 + seed % 2, spaces=True),
            Choices(seed),
        )
        play.run()
        play.verify()
        flipped += any(
            operation.standing is not None and operation.standing.active == SECOND
            for entry in play.store.log.values()
            for operation in entry.operations
        )
    assert flipped > 5, "schedules in which nothing flips prove nothing"


def fingerprinted_again(seeds: range) -> int:
    """Play scenarios in which pictures get other pixels; count those in which one did."""
    found = 0
    for seed in seeds:
        pictures = ("", "abcd", "bcda")[seed % 3]
        play = Play(
            scenario(seed, workers=2 + seed % 2, pictures=pictures, again=True), Choices(seed)
        )
        play.run()
        play.verify()
        found += any(
            operation.kind == "refingerprinted" and operation.states
            for entry in play.store.log.values()
            for operation in entry.operations
        )
    return found


@pytest.mark.parametrize("part", range(2))
def test_a_picture_fingerprinted_again_is_compared_as_the_log_says(part: int) -> None:
    """Its old pixels are removed after the entry: no verdict is reached with them, or without."""
    found = fingerprinted_again(range(part * 300, part * 300 + 300))
    assert found > 50, "schedules in which no picture changes prove nothing"


@pytest.mark.parametrize("part", range(2))
def test_a_block_survives_the_delete_of_a_writer(part: int) -> None:
    """Blocked pictures are hidden, erased and forgotten, among copies, purges and swaps."""
    hidden = caught = 0
    for seed in range(part * 400, part * 400 + 400):
        pictures = ("", "abcd", "bcda")[seed % 3]
        plot = scenario(
            seed, operations=8, workers=2 + seed % 2, pictures=pictures, blocks=True, swaps=0.5
        )
        play = Play(plot, Choices(seed))
        play.run()
        play.verify()
        done = [one for entry in play.verification.entries() for one in entry.operations]
        banked = {one.image_id for one in done if one.kind == "hidden"}
        hidden += bool(banked)
        caught += any(
            one.kind == "settled" and state.verdict.original in banked
            for one in done
            for state in one.states
        )
    assert hidden > 30, "schedules in which nothing is hidden prove nothing"
    assert caught > 5, "schedules without a copy of what was hidden prove nothing"


class Sticky(LogFollower):
    """Ledger that keeps its tail between batches and does not read others' entries."""

    def tail(self, tenant: str) -> LogTail:
        """Read only the watermark."""
        held = self.held(tenant)
        watermark = self._index.watermark(tenant)
        if held is not None and held.watermark <= watermark <= held.head:
            return held.since(watermark)
        return super().tail(tenant)


def test_a_worker_may_keep_its_tail() -> None:
    """A worker that does not read others' entries is merely slower: its number is taken."""
    for seed in range(400):
        play = Play(replace(plots(seed), reads=0), Choices(seed), Parts(follower=Sticky))
        play.run()
        play.verify()


@pytest.mark.hard
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(20))
def test_any_interleaving_of_very_many(part: int) -> None:
    """Forty thousand schedules end as the serial run, too."""
    for seed in range(10_000 + part * 2000, 10_000 + part * 2000 + 2000):
        played(plots(seed), Choices(seed))


def schedules(plot: Scenario, most: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to take the turn away from a worker up to so many times."""
    for many in range(most + 1):
        probe = Script()
        Play(plot, probe).run()
        # A turn given away leaves fewer or more to be asked; what lies beyond changes nothing.
        yield from combinations(range(probe.asked), many)


@pytest.mark.parametrize("name", SMALL)
def test_all_small_schedules(name: str) -> None:
    """Two workers, the turn taken from one at any step, or at any two: every schedule."""
    for turns in schedules(SMALL[name], 2 if name in SMALLEST else 1):
        played(SMALL[name], Script(turns))


@pytest.mark.hard
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SMALL)
def test_all_small_schedules_of_three_turns(name: str) -> None:
    """Two workers, the turn taken three times, at all of their steps."""
    for turns in schedules(SMALL[name], 3 if name in SMALLEST else 2):
        played(SMALL[name], Script(turns))


@pytest.mark.parametrize("name", SMALL)
def test_a_death_at_any_step(name: str) -> None:
    """A worker dies between any two steps; the other, then the sweeper, bring it to an end."""
    probe = Script()
    Play(SMALL[name], probe).run()
    for step in range(probe.steps):
        played(SMALL[name], Script((), step))
        played(SMALL[name], Script((0,), step))


@pytest.mark.hard
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SMALL)
def test_a_death_at_any_step_and_a_turn_at_any_other(name: str) -> None:
    """A worker dies between any two steps while the other stands anywhere."""
    probe = Script()
    Play(SMALL[name], probe).run()
    for step in range(probe.steps):
        for turn in range(probe.asked):
            played(SMALL[name], Script((turn,), step))


HARDEST = {
    "5 ask for more": {"pictures": "bca", "deletes": True, "replicas": 1, "operations": 2},
    "5 all candidates": {"pictures": "bcda", "deletes": True},
    "6 all that name it": {"pictures": "bca"},
    "6 the strictest": {"pictures": "bca"},
    "5 the deleted go": {"pictures": "abcd", "deletes": True},
    "8 every replica": {"replicas": 2},
    "8 marks before a new W": {"replicas": 1, "swaps": 1.0},
    "8 W never goes back": {"pictures": "abcd", "replicas": 1, "swaps": 1.0},
    "8 tombstones stay": {"deletes": True, "replicas": 1},
    "6 tombstones": {"deletes": True, "replicas": 1},
    "2 marks stay": {"deletes": True, "replicas": 1},
    "9 leftovers": {"deletes": True},
    "6 a block survives": {"blocks": True, "operations": 8},
    "6 kept before the rest goes": {"blocks": True, "operations": 8},
    "11 deleted to readers": {"blocks": True, "operations": 8},
}
"""Scenarios for the rules whose failures random ones rarely reach."""


@pytest.mark.parametrize("rule", BREAKS)
def test_every_rule_is_needed(rule: str) -> None:
    """With one rule left out some schedule breaks a promise."""
    for seed in range(3000):
        plot = scenario(seed, workers=2 + seed % 2, **HARDEST.get(rule, {}))
        play = Play(plot, Choices(seed), BREAKS[rule]())
        try:
            play.run()
            play.verify()
        except (AssertionError, SeenitError):
            return
    pytest.fail(f"no schedule of 3,000 needs rule {rule}")


def test_what_lacks_a_vector_is_looked_for_in_the_tail_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that reads the index alone misses newer pictures, and verify fails."""

    def index_alone(self: IndexView, space_id: str) -> int:
        held = self._source.lacking(space_id)
        return sum(1 for state in held if self._source.able(state, space_id))

    monkeypatch.setattr(IndexView, "lacking", index_alone)
    with pytest.raises(AssertionError):
        test_a_space_is_asked_once_it_is_filled(0)


def _as_uploaded(self: IndexView, _: str) -> None:
    """Name no objects but those of the upload."""


def _by_name(self: SettleSource, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
    """Remember a comparison by the pictures' names alone."""
    found = []
    for hit in hits:
        pair = query.image_id, None, ((hit.image_id, None),)
        if pair not in self._compared:
            self._compared[pair] = self._sight.align(self.tenant, query, [hit])
        found += self._compared[pair]
    return found


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [(IndexView, "_remade", _as_uploaded), (SettleSource, "compare", _by_name)],
)
def test_a_reader_of_the_wrong_pixels_is_noticed(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Callable[..., object]
) -> None:
    """Objects of another state, or a comparison from before the entry."""
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        fingerprinted_again(range(3000))
