"""Reading as of now: whatever the index holds, what the log says after it wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import cursor, keys
from core.errors import ConflictError, GoneError, MalformedError, MissingError
from core.evidence import Evidence
from core.index_port import Filters
from core.queries.jobs import UnsettledError
from core.queries.joined_views import BANKED
from core.records import Fields, Job, Outcome, Record, Tombstone
from core.types import Match
from tests.doubles.records import (
    banked,
    image_id,
    moment,
    outcome,
    random_vector,
    record,
    tombstone,
)
from tests.doubles.small_service import SPACE, Service, tail_of

TENANT = "default"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service with reader and index."""
    made = Service(tmp_path)
    yield made
    made.close()


def project(service: Service, *records: Record, ended: tuple[Outcome, ...] = ()) -> None:
    """Project records into the index."""
    seq = service.index.watermark(TENANT) + 1
    service.index.project_entry(TENANT, seq, records, [], ended)


def log(
    service: Service,
    *records: Record,
    removed: tuple[Tombstone, ...] = (),
    ended: tuple[Outcome, ...] = (),
) -> None:
    """Into the tail; what else belongs to the records goes where a worker puts it."""
    for one in records:
        place = keys.derived(TENANT, one.state.image_id, "fingerprint")
        service.blobs.put([(place, msgspec.msgpack.encode(one.fingerprint))])
        if one.state.fields is not None:
            service.shelf.write_fields(TENANT, [(one.state.image_id, one.state.fields, one.fields)])
        for space, vector in one.vectors.items():
            service.blobs.put(
                [
                    (
                        keys.vector(TENANT, one.state.image_id, space, one.state.fields),
                        vector.tobytes(),
                    )
                ]
            )
    service.follower.tails[TENANT] = tail_of(
        states={one.state.image_id: one.state for one in records},
        removed={stone.image_id: stone for stone in removed},
        outcomes={one.job_id: one for one in ended},
        head=service.index.watermark(TENANT) + 3,
    )


def listed(service: Service, limit: int = 50, **filters: str) -> list[str]:
    """Ids of a whole list, part by part."""
    ids: list[str] = []
    onward = None
    while True:
        found = service.reader.pictures(TENANT, Filters(**filters), limit, onward)
        ids += [seen.record.state.image_id for seen in found.items]
        onward = found.next_cursor
        if onward is None:
            return ids


def test_a_record_is_as_the_tail_left_it(service: Service) -> None:
    """Newer state, with the fields it names; one only in the tail; one that went."""
    project(service, *(record(n, 1) for n in (1, 2)))
    newer = record(1, 5, decision="block", revision=2, fields=Fields(title="t"))
    newer = msgspec.structs.replace(newer, state=msgspec.structs.replace(newer.state, fields="op"))
    fresh = record(3, 5)
    log(service, newer, fresh, removed=(tombstone(2, 5),))
    read = service.reader.record
    assert read(TENANT, image_id(1)).record.state == newer.state
    assert read(TENANT, image_id(1)).record.fields == Fields(title="t")
    assert read(TENANT, image_id(3)).record.state == fresh.state
    with pytest.raises(GoneError):
        read(TENANT, image_id(2))


def test_a_projection_that_overtook_the_tail_wins(service: Service) -> None:
    """The tail may be of a moment before: a higher revision and a tombstone of the index stay."""
    project(service, record(1, 5, decision="block", revision=3), record(2, 1))
    service.index.project_entry(TENANT, 2, [], [tombstone(2, 2)], [])
    log(service, record(1, 4, revision=2), record(2, 1))
    assert service.reader.record(TENANT, image_id(1)).record.state.decision.value == "block"
    with pytest.raises(GoneError):
        service.reader.record(TENANT, image_id(2))


def test_lists_drop_and_update_what_the_tail_changed(service: Service) -> None:
    """Without short parts, doubles or gaps, whatever the limit."""
    project(service, *(record(n, 1) for n in range(1, 10)))
    log(
        service,
        *(record(n, 5, decision="block", revision=2) for n in (2, 3, 9)),
        removed=tuple(tombstone(n, 5) for n in (4, 5, 8)),
    )
    for limit in (1, 2, 3, 50):
        assert listed(service, limit) == [image_id(n) for n in (9, 7, 6, 3, 2, 1)]
        assert listed(service, limit, decision=("allow",)) == [image_id(n) for n in (7, 6, 1)]


def test_the_star_is_of_now(service: Service) -> None:
    """Copies that came, went, or were given another original, in the tail."""
    project(service, record(1, 1), record(2, 1, original=1), record(3, 1, original=1))
    log(
        service,
        record(3, 5, revision=2),
        record(4, 5, original=1),
        removed=(tombstone(2, 5),),
    )
    star = service.reader.duplicate_group(TENANT, image_id(4), 50, None)
    assert star.original.record.state.image_id == image_id(1)
    assert [seen.record.state.image_id for seen in star.copies] == [image_id(4)]
    assert star.copies[0].original is not None
    assert star.copies[0].original.accepted_at == moment(1)


def test_variants_are_of_now(service: Service) -> None:
    """Some that the tail brought, took away, or gave another verdict."""
    project(service, record(1, 1), *(record(n, 1, variants=(1,)) for n in (2, 3)), record(6, 1))
    log(
        service,
        record(3, 5, revision=2),
        record(4, 5, variants=(1,)),
        record(1, 5, variants=(6, 7), revision=2),
        removed=(tombstone(2, 5),),
    )
    found = service.reader.variants(TENANT, image_id(1), 50, None)
    assert [seen.record.state.image_id for seen in found.items] == [image_id(6), image_id(4)]
    back = service.reader.variants(TENANT, image_id(6), 50, None)
    assert [seen.record.state.image_id for seen in back.items] == [image_id(1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_pages_of_variants_are_whole(service: Service, limit: int) -> None:
    """Without gaps or doubles, though the tail took some away and brought others."""
    project(service, record(1, 1), *(record(n, 1, variants=(1,)) for n in range(2, 12)))
    log(
        service,
        *(record(n, 5, variants=(1,)) for n in (12, 13)),
        removed=tuple(tombstone(n, 5) for n in (3, 8, 9, 10)),
    )
    found, onward = [], None
    while not found or onward is not None:
        page = service.reader.variants(TENANT, image_id(1), limit, onward)
        found += [seen.record.state.image_id for seen in page.items]
        onward = page.next_cursor
    assert found == [image_id(n) for n in (13, 12, 11, 7, 6, 5, 4, 2)]


def test_neighbours_are_of_now(service: Service) -> None:
    """A copy uses its original's vector; itself, its original and deleted ones are left out."""
    vectors = {n: {SPACE.space_id: random_vector(n)} for n in range(6)}
    project(service, *(record(n, 1, vectors=vectors[n]) for n in range(5)))
    project(service, record(6, 2, original=1), record(7, 2, anchor=False))
    fresh = record(5, 3, vectors=vectors[5])
    state = msgspec.structs.replace(fresh.state, spaces=(SPACE.space_id,))
    log(service, msgspec.structs.replace(fresh, state=state), removed=(tombstone(2, 3),))

    def near(n: int, limit: int = 10) -> list[str]:
        found = service.reader.similar(TENANT, image_id(n), SPACE.space_id, limit, -1.0)
        return [one.seen.record.state.image_id for one in found]

    assert set(near(1)) == {image_id(n) for n in (0, 3, 4)}
    assert near(6) == near(1)
    assert len(near(1, 2)) == 2
    assert set(near(5)) == {image_id(n) for n in (0, 1, 3, 4)}
    with pytest.raises(ConflictError):
        near(7)


def test_a_job_that_moves_while_it_is_asked_for_is_found(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves `pending/` only after the log has it, so one more look finds it."""
    job = Job(
        job_id=image_id(1),
        tenant=TENANT,
        image_id=image_id(1),
        kind="ingest",
        accepted_at=moment(1),
    )
    service.blobs.create(keys.pending(TENANT, job.job_id), msgspec.json.encode(job))
    get_many = service.blobs.get_many

    def settled_before(names: list[str]) -> list[bytes | None]:
        monkeypatch.setattr(service.blobs, "get_many", get_many)
        project(service, record(1, 1), ended=(outcome(1, 1),))
        service.blobs.delete([keys.pending(TENANT, job.job_id)])
        return get_many(names)

    monkeypatch.setattr(service.blobs, "get_many", settled_before)
    assert service.jobs.job(TENANT, job.job_id).status == "done"


def test_a_settled_job_is_no_longer_listed_as_waiting(service: Service) -> None:
    """Its pending object may outlive it for a moment."""
    for n in (1, 2):
        job = Job(
            job_id=image_id(n),
            tenant=TENANT,
            image_id=image_id(n),
            kind="ingest",
            accepted_at=moment(n),
        )
        service.blobs.create(keys.pending(TENANT, job.job_id), msgspec.json.encode(job))
    log(service, record(1, 5), ended=(outcome(1, 5),))
    page = service.jobs.job_page(TENANT, None, 50, None)
    assert [(job.job_id, job.status) for job in page.items] == [
        (image_id(2), "queued"),
        (image_id(1), "done"),
    ]
    assert service.jobs.job_page(TENANT, "queued", 50, None).items == page.items[:1]


def test_jobs_of_a_long_queue_are_read_in_parts(service: Service) -> None:
    """Retries, whose ids are older than they are, stand where their time puts them."""
    for n in range(1, 40):
        name = f"{image_id(n)}.1" if n % 10 == 0 else image_id(n)
        at = moment(100 + n) if n % 10 == 0 else moment(n)
        job = Job(job_id=name, tenant=TENANT, image_id=image_id(n), kind="ingest", accepted_at=at)
        service.blobs.create(keys.pending(TENANT, name), msgspec.json.encode(job))
    seen: list[str] = []
    before = None
    while True:
        page = service.jobs.job_page(TENANT, None, 7, before)
        seen += [job.job_id for job in page.items]
        before = page.after
        if before is None:
            break
    retries = [f"{image_id(n)}.1" for n in (30, 20, 10)]
    others = [image_id(n) for n in range(39, 0, -1) if n % 10]
    assert seen == retries + others


def test_jobs_of_one_status_are_found_behind_others(service: Service) -> None:
    """The oldest of a long queue are the ones under way."""
    for n in range(1, 30):
        job = Job(
            job_id=image_id(n),
            tenant=TENANT,
            image_id=image_id(n),
            kind="ingest",
            accepted_at=moment(n),
        )
        service.blobs.create(keys.pending(TENANT, job.job_id), msgspec.json.encode(job))
    service.progress.publish(TENANT, [image_id(1), image_id(2)], "decoding")
    page = service.jobs.job_page(TENANT, "decoding", 1, None)
    assert [job.job_id for job in page.items] == [image_id(2)]
    page = service.jobs.job_page(TENANT, "decoding", 1, page.after)
    assert ([job.job_id for job in page.items], page.after) == ([image_id(1)], None)


def test_what_is_unsettled_says_its_newest_try(service: Service) -> None:
    """The error carries the job."""
    project(service, ended=(outcome(1, 1, failed=True),))
    retry = msgspec.structs.replace(outcome(1, 2, failed=True), job_id=f"{image_id(1)}.1")
    log(service, ended=(retry,))
    with pytest.raises(UnsettledError, match="no end") as caught:
        service.reader.record(TENANT, image_id(1))
    assert caught.value.job is not None
    assert (caught.value.job.job_id, caught.value.job.attempts) == (f"{image_id(1)}.1", 2)
    service.reader.check_erasable(TENANT, image_id(1))


@pytest.mark.parametrize("bad", ["", "x", "../../etc/passwd", image_id(1) + "/..", image_id(9)])
def test_ids_that_are_none_are_missing(service: Service, bad: str) -> None:
    """They never become part of a key."""
    for read in (service.reader.record, service.jobs.job, service.reader.check_erasable):
        with pytest.raises(MissingError):
            read(TENANT, bad)


def test_an_owner_has_what_the_tail_brought(service: Service) -> None:
    """Pictures that it removed or gave to another are left out."""
    mine = Fields(owner_id="o")
    project(service, *(record(n, 1, fields=mine) for n in (1, 2, 3)))
    other = record(2, 5, revision=2, fields=Fields(owner_id="p"))
    fresh = record(4, 5, fields=mine)
    log(
        service,
        *(
            msgspec.structs.replace(
                one, state=msgspec.structs.replace(one.state, fields=one.state.image_id)
            )
            for one in (other, fresh)
        ),
        removed=(tombstone(3, 5),),
    )
    assert sorted(service.reader.owned(TENANT, "o")) == [image_id(1), image_id(4)]


def test_an_owner_is_whom_the_record_names(service: Service) -> None:
    """Not whom the first, failed try of an upload named, before it was given to another."""
    for n in (1, 2):
        first = Fields(owner_id="o")
        service.shelf.write_fields(TENANT, [(image_id(n), image_id(n), first)])
    given = record(1, 2, fields=Fields(owner_id="p"))
    project(service, given, ended=(outcome(1, 1, failed=True), outcome(2, 1, failed=True)))
    assert service.reader.owned(TENANT, "o") == [image_id(2)]
    assert service.reader.owned(TENANT, "p") == [image_id(1)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**12 - 1), st.integers(0, 3_000_000))
def test_a_cursor_is_its_place(n: int, at: int) -> None:
    """Decoding is the inverse of encoding."""
    assert cursor.decode(cursor.encode(moment(at), image_id(n))) == (moment(at), image_id(n))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200))
def test_any_other_text_is_no_cursor(text: str) -> None:
    """400, whatever it is."""
    with pytest.raises(MalformedError):
        cursor.decode(text)


def _match(n: int) -> Match:
    evidence = Evidence(signals=("alignment",), same_owner=True, words="the same photo")
    return Match(image_id=image_id(n), kind="near_duplicate", confirmed=True, evidence=evidence)


def _copy_of(original: int, n: int) -> Record:
    found = record(n, 1, original=original, decision="block")
    verdict = msgspec.structs.replace(found.state.verdict, matches=(_match(original), _match(3)))
    state = msgspec.structs.replace(found.state, verdict=verdict)
    return msgspec.structs.replace(found, state=state)


@pytest.mark.parametrize("projected", [False, True])
def test_a_bank_s_entry_is_a_deleted_picture_without_a_name(
    service: Service, *, projected: bool
) -> None:
    """In the tail as in the index; and the picture that an entry after that forgets has none."""
    original = record(1, 1, decision="block", fields=Fields(owner_id="jane"))
    ended = msgspec.structs.replace(outcome(2, 1), verdict=_copy_of(1, 2).state.verdict)
    project(service, original, _copy_of(1, 2), record(3, 1), ended=(ended,))
    entry = banked(original, 2)
    (project if projected else log)(service, entry)
    reader = service.reader
    for read in (reader.record, reader.check_erasable):
        with pytest.raises(GoneError):
            read(TENANT, image_id(1))
    reader.check_erasable(TENANT, image_id(1), "forget")
    copy = reader.record(TENANT, image_id(2))
    job = reader.job_view(TENANT, image_id(2))
    assert job.job.verdict is not None
    for verdict, named in (
        (copy.record.state.verdict, copy.original),
        (job.job.verdict, job.original),
        reader.joined(TENANT, _copy_of(1, 9).state.verdict),
    ):
        nameless, other = verdict.matches
        assert (nameless.image_id, other.image_id) == ("", image_id(3))
        assert nameless.evidence.words == f"{BANKED}: the same photo"
        assert (nameless.evidence.same_owner, other.evidence.same_owner) == (None, True)
        assert named is not None
        assert (named.image_id, named.owner_id, named.decision) == ("", None, None)
    star = reader.duplicate_group(TENANT, image_id(2), 50, None)
    assert (star.original, [one.record.state.image_id for one in star.copies]) == (
        None,
        [image_id(2)],
    )
    assert image_id(1) not in listed(service, 50)
    assert reader.owned(TENANT, "jane") == []
    for_readers, hidden = reader.joined(TENANT, _copy_of(1, 9).state.verdict, shown_only=True)
    assert ([one.image_id for one in for_readers.matches], hidden) == ([image_id(3)], None)

    log(service, removed=(tombstone(1, 3),))
    assert service.snapshots.take(TENANT).banked([image_id(1)]) == set()
    with pytest.raises(GoneError):
        reader.check_erasable(TENANT, image_id(1), "forget")
