"""One run of the protocol: workers, crashes, lost answers and a late index, by choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from core import keys
from core.errors import MissingError, UnavailableError
from core.event_log.decide import Claim
from core.event_log.replay import replay
from core.ingest.orphans import WAIT_SECONDS, Leftovers
from core.records import Job, Operation
from tests.doubles.every_pair import EveryPair
from tests.simulation import world
from tests.simulation.baton import Baton
from tests.simulation.memory_index import MemoryIndex
from tests.simulation.schedule import Choices, Parts, Scenario, Seen
from tests.simulation.stored import Blobs, Log, Shelf, Sight, Store
from tests.simulation.verification import Verification
from tests.simulation.world import AT, TENANT, claim

MOST_STEPS = 4_000


class CrashError(BaseException):
    """Death of a worker, which no code may catch."""


class Play:
    """Run of one schedule of one scenario."""

    def __init__(self, scenario: Scenario, choices: Choices, parts: Parts | None = None) -> None:
        self.scenario = scenario
        self.choices = choices
        self.parts = parts or Parts()
        self.store = Store(
            relation=scenario.relation,
            replicas=[self.parts.replica() for _ in range(scenario.replicas)],
        )
        self.told: dict[str, Operation] = {}
        """Results of `settle`, by job."""
        self.seen: list[Seen] = []
        self._baton = Baton(choices.runner)
        self._shielded = False
        self._steps = 0
        for job in scenario.jobs:
            self.store.accept(job)

    # --- running --------------------------------------------------------------------------------

    def run(self) -> None:
        """Run all workers, sweep until nothing is pending, then remove what the dead left."""
        bodies = [self._worker(batches) for batches in self.scenario.batches]
        if self.scenario.reads:
            bodies.append(self._reader)
        if self.scenario.swaps:
            bodies.append(self._reindexer)
        self._baton.run(bodies)
        self.settle_down()
        if self.parts.clears:
            self._clear()

    def settle_down(self) -> None:
        """Finish everything that the sweeper can finish."""
        self._shielded = True
        worker = Worker(self)
        for _ in range(len(self.scenario.jobs) + 3):
            self._background(everything=True)
            pending = self.store.pending()
            if not pending or not self.parts.sweeps:
                break
            worker.run(pending)
        self._background(everything=True)

    def _clear(self) -> None:
        """Remove leftovers, once every worker has ended or died."""
        worker = Worker(self)
        clock = iter((0.0, WAIT_SECONDS, WAIT_SECONDS))
        left = Leftovers(
            worker.blobs,
            worker.log,
            worker.projector.marked,
            worker.shelf.revisit,
            now=lambda: next(clock),
        )
        for _ in range(2):
            left.sweep_log(TENANT, len(self.store.log) + len(self.scenario.jobs))

    def gate(self, name: str) -> None:
        """Pass a step: others may run first, the worker may die, late events may arrive."""
        self._steps += 1
        assert self._steps < MOST_STEPS, "it comes to an end"
        if self._shielded:
            return
        self._baton.gate()
        if (self.store.late or len(self.store.replicas) > 1) and self.choices.happens():
            self._background()
        if name != "quiet" and self.choices.crash():
            raise CrashError

    def fault(self) -> str:
        """Return the outcome of the next append."""
        return "" if self._shielded else self.choices.fault()

    def _worker(self, batches: Sequence[Sequence[str]]) -> Callable[[], None]:
        def body() -> None:
            worker = Worker(self)
            for batch in batches:
                try:
                    worker.run(batch)
                except CrashError:
                    worker = Worker(self)
                except UnavailableError:
                    pass

        return body

    def _reader(self) -> None:
        """Read every picture and job, again and again; the reads are judged at the end."""
        blobs = Blobs(self.store, self._quietly)
        index = self.parts.index(self.store, self._quietly, self.choices.replica)
        follower = self.parts.follower(Log(self.store, self._quietly), index)
        images = list(dict.fromkeys(job.image_id for job in self.scenario.jobs))
        jobs = [job.job_id for job in self.scenario.jobs]
        for _ in range(self.scenario.reads):
            self._quietly("read")
            known, since = set(self.told), self.store.head
            overlay = self.parts.overlay(index, Shelf(blobs), TENANT, follower.tail(TENANT))
            records = overlay.records(images)
            ended = {
                job_id
                for job_id, outcome in zip(jobs, overlay.outcomes(jobs), strict=True)
                if outcome is not None
            }
            states = {record.state.image_id: record.state for record in records if record}
            self.seen.append(Seen(since, self.store.head, states, known - ended))

    def _reindexer(self) -> None:
        """Fill a new index from the log while the others continue, then swap it in."""
        fresh = Store(replicas=[self.parts.replica()])
        index = MemoryIndex(fresh)
        worker = Worker(self)

        def catch_up() -> None:
            until = self.store.head if self.parts.rash else worker.projector.marked(TENANT)
            list(replay(worker.log, worker.shelf, index, TENANT, until))

        try:
            catch_up()
            self.gate("swap")
        except CrashError:
            return
        self._shielded = True
        if self.parts.catches_up:
            catch_up()
        self._shielded = False
        self.store.replicas[:] = fresh.replicas

    def verify(self) -> None:
        """Compare with the serial run in the order of the log; AssertionError where it differs."""
        self.verification.verify()

    @property
    def verification(self) -> Verification:
        """Return the verification of what was stored, answered and read so far."""
        return Verification(self.scenario, self.parts, self.store, self.told, self.seen)

    def _quietly(self, _: str) -> None:
        self.gate("quiet")

    def _background(self, *, everything: bool = False) -> None:
        """Land late appends, and drain the queues of the index."""
        while self.store.late:
            entry = self.store.late.pop(0)
            Log(self.store).land(entry)
            if not everything:
                return
        for replica in self.store.replicas:
            while replica.queue and (everything or self.choices.happens()):
                replica.take()


class Worker:
    """One worker process: its memory is lost when it dies."""

    def __init__(self, play: Play) -> None:
        parts, store = play.parts, play.store
        self._play = play
        self.blobs = parts.blobs(store, play.gate)
        self.log = parts.log(store, play.gate, play.fault)
        self.index = parts.index(store, play.gate, play.choices.replica)
        self.index.top = parts.top
        self.shelf = Shelf(self.blobs)
        nonces = iter(range(10**6))
        follower = parts.follower(self.log, self.index)
        self.projector = parts.projector(
            log=self.log,
            blobs=self.blobs,
            index=self.index,
            shelf=self.shelf,
            follower=follower,
        )
        self.ledger = parts.ledger(
            log=self.log,
            blobs=self.blobs,
            index=self.index,
            sight=Sight(store, self.shelf, play.gate),
            rules=parts.rules,
            pool=lambda: EveryPair(world.measure),
            fuse=world.fuse,
            follower=follower,
            projector=self.projector,
            now=lambda: AT,
            nonce=lambda: f"{id(self)}.{next(nonces)}",
            pause=lambda _: play.gate("quiet"),
        )

    def run(self, job_ids: Sequence[str]) -> None:
        """Take a batch: fingerprint the uploads, then settle."""
        claims = []
        for job_id in job_ids:
            try:
                data = self.blobs.get(keys.pending(TENANT, job_id))
            except MissingError:
                continue
            job = msgspec.json.decode(data, type=Job)
            claims.append(self._claim(job))
        if len(claims) < len(job_ids):
            self.projector.advance(TENANT)
        for one, done in zip(claims, self.ledger.settle(TENANT, claims), strict=True):
            assert done is not None
            self._play.told[one.job.job_id] = done
            if done.kind == "refingerprinted" and done.states:
                self.shelf.drop_pixels(one.job.image_id)

    def _claim(self, job: Job) -> Claim:
        found = claim(job)
        again = job.kind == "refingerprint"
        if found.query is not None or again:
            picture = world.decoded_again(job.sha256) if again else job.sha256
            self.shelf.write(job.image_id, picture, job.job_id if again else None)
        return found
