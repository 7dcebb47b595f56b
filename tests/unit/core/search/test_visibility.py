"""Visibility of decisions: searches and neighbours show allowed pictures unless others are named.

The rule is written out once more here, by hand, over every record as it is now.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from core import keys
from core.index_port import Filters
from core.records import Fields, Record
from core.search.request import Grouping, Mode, SearchRequest
from core.search.searcher import FoundPicture
from core.types import Value
from tests.doubles.records import image_id, record
from tests.doubles.small_service import Service, tail_of
from tests.samples.pictures import photo, png
from tests.unit.api.calls import problem

TENANT = "default"
VALUES: tuple[Value, ...] = get_args(Value)
EVERY = Filters(decision=VALUES)
WRITE, MODERATE = "a-key-that-may-write", "a-key-that-moderates"


class Picture(NamedTuple):
    """One of a made-up library: the decision that the index has, and the one that counts."""

    original: int | None
    indexed: Value
    now: Value
    captioned: bool


def decisions() -> st.SearchStrategy[Value]:
    """Mostly allowed, as libraries are."""
    return st.sampled_from(["allow", "allow", *VALUES])


@st.composite
def libraries(draw: st.DrawFn) -> list[Picture]:
    """Stars of originals and copies; some decisions are only in the log's tail."""
    made: list[Picture] = []
    for n in range(draw(st.integers(1, 14))):
        originals = [k for k, one in enumerate(made) if one.original is None]
        original = draw(st.sampled_from([None, *originals])) if n else None
        indexed = draw(decisions())
        now = draw(st.one_of(st.just(indexed), decisions()))
        made.append(Picture(original, indexed, now, draw(st.booleans())))
    return made


def fill(service: Service, library: list[Picture]) -> None:
    """Fill the index with the earlier state, and the tail with the decisions since."""
    visual, caption = service.visual.space.space_id, service.caption.space.space_id
    image = service.visual.embed_images([photo(1, 32, 32)])[0]
    records: list[Record] = []
    states = {}
    for n, one in enumerate(library):
        fields = Fields(title="dog", category=f"c{n % 3}")
        vectors = {caption: service.caption.of(fields)} if one.captioned else {}
        if one.original is None:
            vectors[visual] = image
        held = record(
            n, 1, original=one.original, fields=fields, vectors=vectors, decision=one.indexed
        )
        records.append(held)
        if one.now != one.indexed:
            place = keys.derived(TENANT, image_id(n), "fingerprint")
            service.blobs.put([(place, msgspec.msgpack.encode(held.fingerprint))])
            service.shelf.write_fields(TENANT, [(image_id(n), "op", fields)])
            decision = msgspec.structs.replace(held.state.decision, value=one.now)
            states[image_id(n)] = msgspec.structs.replace(
                held.state, decision=decision, fields="op", revision=9
            )
    service.index.project_entry(TENANT, 1, records, [], [])
    service.follower.tails[TENANT] = tail_of(states=states, head=2)


def passes(library: list[Picture], n: int, wanted: tuple[str, ...]) -> bool:
    """Return the rule's answer: its decision is wanted, and an allowed copy's original's too."""
    one = library[n]
    if one.now not in wanted:
        return False
    return one.now != "allow" or one.original is None or library[one.original].now in wanted


def number(told: str | None) -> int:
    """Return the number of a picture."""
    assert told is not None
    return int(told[-12:])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yield a service with both models."""
    made = opened(tmp_path)
    yield made
    made.close()


def opened(folder: Path, **more: Any) -> Service:  # noqa: ANN401  # any setting
    """Open a service with both models."""
    made = Service(folder, **more)
    made.visual.absent = made.caption.absent = None
    return made


@given(
    library=libraries(),
    mode=st.sampled_from(get_args(Mode)),
    by=st.sampled_from(["text", "image_id", "vector"]),
    wanted=st.one_of(st.just(()), st.sets(st.sampled_from(VALUES), min_size=1).map(tuple)),
    collapse=st.booleans(),
    group_by=st.one_of(st.none(), st.sampled_from(get_args(Grouping))),
    limit=st.integers(1, 20),
)
@settings(max_examples=120, deadline=None)
def test_search_shows_the_decisions_asked_for(  # noqa: PLR0917 - all that a search asks
    library: list[Picture],
    mode: Mode,
    by: str,
    wanted: tuple[str, ...],
    collapse: bool,
    group_by: Grouping | None,
    limit: int,
) -> None:
    """For any query, index and tail, no other decision comes through by any way."""
    asks = {"text": "dog", "image_id": image_id(0), "vector": None}
    if by == "vector" and mode in ("caption", "keyword"):
        by = "text"
    if by == "image_id" and (mode == "keyword" or not library[0].captioned):
        by = "text"
    with tempfile.TemporaryDirectory() as folder:
        service = opened(Path(folder))
        try:
            fill(service, library)
            asked: dict[str, Any] = {by: asks[by]}
            if by == "vector":
                asked = {"vector": service.visual.embed_images([photo(1, 32, 32)])[0]}
            ask = SearchRequest(
                **asked,
                mode=mode,
                filters=Filters(decision=wanted),
                limit=limit,
                collapse=collapse,
                group_by=group_by,
            )
            hits = service.searcher.search(TENANT, ask).hits
        finally:
            service.close()
    given_ = wanted or ("allow",)
    for hit in hits:
        shown = number(hit.seen.record.state.image_id)
        matched = shown if hit.matched_copy_id is None else number(hit.matched_copy_id)
        assert passes(library, matched, given_)
        if given_ == ("allow",):
            assert library[shown].now == "allow"
            original = library[shown].original
            assert original is None or library[original].now == "allow"
    if group_by is None and by == "text" and mode in ("keyword", "caption"):
        # what the index already lets through must all be there, up to the limit
        found = [
            n
            for n, one in enumerate(library)
            if (mode == "keyword" or one.captioned)
            and one.indexed in given_
            and passes(library, n, given_)
        ]
        original = [library[n].original for n in found]
        places = {
            n if o is None or not collapse else o for n, o in zip(found, original, strict=True)
        }
        assert len(hits) >= min(limit, len(places))


@given(library=libraries(), wanted=st.sets(st.sampled_from(VALUES)), limit=st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_neighbours_are_of_the_decisions_asked_for(
    library: list[Picture], wanted: set[str], limit: int
) -> None:
    """There are as many as exist, however many were decided since the index was written."""
    with tempfile.TemporaryDirectory() as folder:
        service = opened(Path(folder))
        try:
            fill(service, library)
            given_ = tuple(wanted) or ("allow",)
            more: Mapping[str, Any] = {"decisions": given_} if wanted else {}
            space = service.visual.space.space_id
            near = service.reader.similar(TENANT, image_id(0), space, limit, -1.0, **more)
        finally:
            service.close()
    found = {number(one.seen.record.state.image_id) for one in near}
    able = {
        n for n, one in enumerate(library) if n > 0 and one.original is None and one.now in given_
    }
    assert found <= able
    known = {n for n in able if library[n].indexed in given_}  # to the index, or it waits
    assert min(limit, len(known)) <= len(found) <= limit


def test_a_hidden_copy_does_not_lead_to_its_original(service: Service) -> None:
    """Neither found by it nor named after it; an allowed copy of a hidden one is not shown."""
    fill(
        service,
        [
            Picture(None, "allow", "allow", captioned=False),
            Picture(0, "block", "block", captioned=True),
            Picture(None, "block", "block", captioned=False),
            Picture(2, "allow", "allow", captioned=True),
        ],
    )

    def found(**more: Any) -> list[FoundPicture]:  # noqa: ANN401  # any question
        return service.searcher.search(
            TENANT, SearchRequest(text="dog", mode="caption", **more)
        ).hits

    for collapse in (True, False):
        assert found(collapse=collapse) == []
        told = found(collapse=collapse, filters=EVERY)
        assert len(told) == 2
    (hit,) = found(filters=Filters(decision=("block",)))
    assert (hit.seen.record.state.image_id, hit.matched_copy_id) == (image_id(0), image_id(1))


def test_an_answer_is_filled_behind_thousands_that_are_hidden(service: Service) -> None:
    """Blocked ones, and allowed copies of a blocked one, which the index alone lets through."""
    hidden: list[Picture] = [Picture(None, "block", "block", captioned=True)]
    hidden += [Picture(0, "allow", "allow", captioned=True)] * 600
    hidden += [Picture(None, "block", "block", captioned=True)] * 600
    hidden += [Picture(None, "allow", "block", captioned=True)] * 300
    shown = [Picture(None, "allow", "allow", captioned=True)] * 30
    fill(service, [*hidden, *shown])
    for mode in ("keyword", "caption", "visual", "hybrid"):
        ask = SearchRequest(text="dog", mode=mode, limit=30)  # type: ignore[arg-type]
        found = service.searcher.search(TENANT, ask).hits
        numbers = sorted(number(hit.seen.record.state.image_id) for hit in found)
        assert numbers == list(range(len(hidden), len(hidden) + 30)), mode
    for kind in (service.visual, service.caption):
        near = service.reader.similar(TENANT, image_id(0), kind.space.space_id, 30, -1.0)
        assert len(near) == 30


# --- by the door ----------------------------------------------------------------------------------


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    """Five pictures of all decisions; a key that writes and one that moderates."""
    grants = f"{WRITE}:default:write,{MODERATE}:default:moderate"
    made = opened(tmp_path, api_keys=grants)
    library = [Picture(None, value, value, captioned=True) for value in (*VALUES, "allow", "allow")]
    fill(made, library)
    with TestClient(create_app(made)) as opened_:
        yield opened_
    made.close()


def by(key: str) -> dict[str, str]:
    """Return the header of a key."""
    return {"Authorization": f"Bearer {key}"}


def numbers(answer: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the pictures found."""
    hits = answer["hits"] if "hits" in answer else answer["items"]
    return sorted(number(hit.get("image", hit)["image_id"]) for hit in hits)


OTHERS: list[tuple[object, list[int]]] = [
    ("review", [1]),
    (["block"], [2]),
    (["block", "review"], [1, 2]),
    (["allow", "review", "block"], [0, 1, 2, 3, 4]),
]


def test_every_key_finds_what_is_allowed(client: TestClient[Litestar]) -> None:
    """The default is the same as naming it; as JSON and as a form, by picture and file."""
    file = {"file": ("a.png", png(photo(1, 32, 32)))}
    for key in (WRITE, MODERATE):
        for filters in ({}, {"decision": None}, {"decision": "allow"}, {"decision": ["allow"]}):
            body = {"text": "dog", "filters": filters}
            told = client.post("/v1/search", json=body, headers=by(key))
            assert numbers(told.json()) == [0, 3, 4]
        body = {"image_id": image_id(2), "mode": "visual"}  # of one that is not allowed itself
        assert numbers(client.post("/v1/search", json=body, headers=by(key)).json()) == [0, 3, 4]
        told = client.post("/v1/search", files=file, headers=by(key))
        assert numbers(told.json()) == [0, 3, 4]
        for query in ("", "&decision=allow", "&decision=allow,allow"):
            url = f"/v1/images/{image_id(2)}/similar?space=visual{query}"
            assert numbers(client.get(url, headers=by(key)).json()) == [0, 3, 4]
        # its books stay whole
        assert numbers(client.get("/v1/images", headers=by(key)).json()) == [0, 1, 2, 3, 4]
        one = client.get(f"/v1/images/{image_id(2)}/duplicates", headers=by(key)).json()
        assert one["original"]["image_id"] == image_id(2)


@pytest.mark.parametrize(("decision", "found"), OTHERS)
def test_other_decisions_take_a_moderator(
    client: TestClient[Litestar], decision: object, found: list[int]
) -> None:
    """A lower role gets 403, which names the decisions, the role required, and the field."""
    body = {"text": "dog", "filters": {"decision": decision}}
    told = client.post("/v1/search", json=body, headers=by(MODERATE)).json()
    assert numbers(told) == found
    form = {"text": (None, "dog"), "filters": (None, msgspec.json.encode(body["filters"]))}
    assert numbers(client.post("/v1/search", files=form, headers=by(MODERATE)).json()) == found
    for refused in (
        client.post("/v1/search", json=body, headers=by(WRITE)),
        client.post("/v1/search", files=form, headers=by(WRITE)),
    ):
        answer = problem(refused)
        assert (refused.status_code, answer["field"]) == (403, "filters.decision")
        assert "role moderate" in answer["detail"]
        assert "yours has write" in answer["detail"]
    several = ",".join(decision) if isinstance(decision, list) else decision
    url = f"/v1/images/{image_id(3)}/similar?decision={several}"
    assert numbers(client.get(url, headers=by(MODERATE)).json()) == [n for n in found if n != 3]
    refused = client.get(url, headers=by(WRITE))
    assert (refused.status_code, problem(refused)["field"]) == (403, "decision")


@pytest.mark.parametrize("decision", [[], "", "maybe", ["allow", "maybe"], {}, 1, [["allow"]]])
def test_a_decision_that_is_none_is_named(client: TestClient[Litestar], decision: object) -> None:
    """400 before any role is looked at."""
    body = {"text": "dog", "filters": {"decision": decision}}
    for key in (WRITE, MODERATE):
        refused = client.post("/v1/search", json=body, headers=by(key))
        assert (refused.status_code, problem(refused)["field"]) == (400, "filters.decision")
    url = f"/v1/images/{image_id(3)}/similar?decision=allow,maybe"
    refused = client.get(url, headers=by(WRITE))
    assert (refused.status_code, problem(refused)["field"]) == (400, "decision")
