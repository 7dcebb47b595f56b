"""The ledger at the edges that no schedule reaches: lost objects, a full store, large entries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from core import keys
from core.errors import CorruptError, ExistsError, StoreUnavailableError
from core.evidence import ChangedRegion, Comparison, Evidence
from core.records import Entry, Job
from core.types import Hit, Query
from tests.simulation import stored, world
from tests.simulation.play import Play, Worker
from tests.simulation.schedule import Choices, Parts, Scenario
from tests.simulation.world import RULES, TENANT, operation, upload


def worker(*jobs: Job, parts: Parts | None = None) -> Worker:
    """Return a worker in memory, the only one there."""
    play = Play(Scenario(jobs, ()), Choices(0), parts)
    play._shielded = True
    return Worker(play)


class Full(stored.Log):
    """A store that answers every create with an error, and lets nothing land."""

    tries = 0

    def append(self, tenant: str, entry: Entry) -> None:
        """Raise either error of a lost append, in turn."""
        self.tries += 1
        raise (ExistsError if self.tries % 2 else StoreUnavailableError)(f"{tenant} {entry.seq}")


def test_a_store_that_takes_nothing_is_down() -> None:
    """After a dozen tries at one number the jobs stay pending."""
    one = worker(upload("i0", "a1"), parts=Parts(log=Full))
    with pytest.raises(StoreUnavailableError, match="entry 1 of t"):
        one.run(["i0"])
    assert isinstance(one.log, Full)
    assert (one.log.tries, one._play.store.pending()) == (12, ["i0"])


def test_a_live_picture_of_which_nothing_is_kept_stops_the_tenant() -> None:
    """Its original cannot be deleted: the copy could not be settled again."""
    one = worker(upload("i0", "a1"), upload("i1", "a1"), operation("o0", "delete", "i0"))
    one.run(["i0", "i1"])
    del one._play.store.objects[keys.derived(TENANT, "i1", "fingerprint")]
    with pytest.raises(CorruptError, match="i1"):
        one.run(["o0"])


def test_a_done_mark_whose_entry_is_gone_stops_the_tenant() -> None:
    """The log is not the one that the mark speaks of."""
    one = worker(upload("i0", "a1"))
    one._play.store.objects[keys.done(TENANT, "i0")] = b"7"
    with pytest.raises(CorruptError, match="entry 7 of t"):
        one.run(["i0"])


class Verbose(stored.Sight):
    """Comparisons with evidence beyond measure."""

    def align(self, tenant: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Nearly a thousand changed regions."""
        regions = (ChangedRegion(0.123456789, 0.123456789, 0.123456789, 0.123456789),) * 900
        evidence = Evidence(changed_regions=regions)
        return [Comparison(one.relation, evidence) for one in super().align(tenant, query, hits)]


class Recorded(stored.Sight):
    """Comparisons that note whether they were prepared."""

    prepared: set[tuple[str, str]]
    unprepared: list[tuple[str, str]]
    compared = 0

    def prepare(
        self, tenant: str, pairs: Sequence[tuple[Query, Hit]], *, urgent: bool = False
    ) -> None:
        """Note the pairs that are prepared."""
        super().prepare(tenant, pairs, urgent=urgent)
        self.prepared.update((query.image_id, hit.image_id) for query, hit in pairs)

    def align(self, tenant: str, query: Query, hits: Sequence[Hit]) -> list[Comparison]:
        """Note pairs that were not prepared."""
        pairs = [(query.image_id, hit.image_id) for hit in hits]
        self.compared += len(pairs)
        self.unprepared += [pair for pair in pairs if pair not in self.prepared]
        return super().align(tenant, query, hits)


def test_comparisons_of_a_batch_are_prepared_before_any_is_decided() -> None:
    """They are with stored pictures, with those of the log's tail and with each other."""
    alike = frozenset(frozenset(pair) for pair in ("ab", "ac", "bc", "de"))
    names = {"i0": "a1", "i1": "b1", "i2": "c1", "i3": "d1", "i4": "e1", "i5": "e1"}
    jobs = tuple(upload(*one) for one in names.items())
    play = Play(Scenario(jobs, (), world.Relation(alike)), Choices(0), Parts(rules=RULES))
    play._shielded = True
    one = Worker(play)
    sight = one.ledger._sight = Recorded(play.store, one.shelf)
    sight.prepared, sight.unprepared = set(), []
    one.run(["i0"])
    one.run(["i1"])
    one.run(["i2", "i3", "i4", "i5"])
    assert (sight.compared, sight.unprepared) == (5, [])


def test_an_entry_holds_at_most_a_megabyte() -> None:
    """A larger batch is split, and so are the copies that one delete settles again."""
    ids = [f"i{n}" for n in range(21)]
    letters = {frozenset(("a", chr(ord("b") + n))) for n in range(21)}
    jobs = [upload("x", "a1"), *(upload(one, f"{chr(ord('b') + n)}1") for n, one in enumerate(ids))]
    scenario = Scenario(
        (*jobs, operation("o", "delete", "x")), (), world.Relation(frozenset(letters))
    )
    play = Play(scenario, Choices(0), Parts(rules=replace(RULES, copies=32)))
    play._shielded = True
    one = Worker(play)
    one.ledger._sight = Verbose(play.store, one.shelf)
    one.run(["x", *ids])
    one.run(["o"])
    sizes = [len(msgspec.json.encode(entry)) for entry in play.store.log.values()]
    assert max(sizes) < 1 << 20
    assert len(sizes) > 4
    assert play.told["o"].kind == "deleted"
    assert play.store.pending() == []
