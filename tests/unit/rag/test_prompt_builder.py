"""A prompt within its budgets, of pictures that may be shown at the moment it is built."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from core import keys
from core.errors import MalformedError
from core.fingerprint.fingerprint import encode_preview
from core.imaging.previews import Previews
from core.index_port import Filters
from core.records import Fields, Record, Tombstone
from core.storage.signed_urls import URLSigner
from core.types import Pixels, Remade, Vector
from rag import token_costs
from rag.prompt_builder import PromptBuilder, PromptRequest, PromptResult
from rag.providers.base import GUIDE
from rag.providers.registry import FORMATS
from rag.types import DroppedPicture, RelevantPicture, RetrievalResult
from tests.doubles.records import image_id, record
from tests.doubles.small_service import Service, tail_of
from tests.samples.pictures import photo

TENANT = "default"
QUESTION = "What is on the table?"


class Retriever:
    """Finds what a test put there, as it was when it was put there."""

    def __init__(self) -> None:
        self.items: list[RelevantPicture] = []
        self.dropped: tuple[DroppedPicture, ...] = ()
        self.reason: str | None = None
        self.asked: list[tuple[str | None, Sequence[str], Sequence[Vector], Filters, int]] = []

    def retrieve(
        self,
        _: str,
        *,
        text: str | None,
        image_ids: Sequence[str] = (),
        vectors: Sequence[Vector] = (),
        filters: Filters = Filters(),  # noqa: B008 - a value that never changes
        limit: int = 8,
    ) -> RetrievalResult:
        self.asked.append((text, image_ids, vectors, filters, limit))
        return RetrievalResult(
            items=tuple(self.items[:limit]), dropped=self.dropped, reason=self.reason
        )


class Setting:
    """A service with previews, a retriever and a context."""

    def __init__(self, folder: Path) -> None:
        self.service = Service(folder)
        self.retriever = Retriever()
        self.previews = Previews(self.service.shelf.preview)
        self.context = PromptBuilder(
            self.retriever,
            self.service.snapshots,
            self.previews,
            URLSigner(b"s" * 32, lambda: 1000.0),
        )

    def store(self, *records: Record, found: bool = True) -> None:
        """Into the index, with previews of 512 x 384 pixels; the retriever finds them all."""
        seq = self.service.index.watermark(TENANT) + 1
        for one in records:
            data = encode_preview(_pixels(512, 384))
            place = keys.derived(TENANT, one.state.image_id, "preview")
            self.service.blobs.put([(place, data)])
        self.service.index.project_entry(TENANT, seq, records, [], [])
        if found:
            for one in records:
                seen = self.service.reader.record(TENANT, one.state.image_id)
                self.retriever.items.append(
                    RelevantPicture(seen=seen, similarities={"caption": 0.5})
                )

    def tail(self, *records: Record, removed: Sequence[Tombstone] = ()) -> None:
        """Set a tail of records settled after the index was read."""
        for one in records:
            place = keys.derived(TENANT, one.state.image_id, "fingerprint")
            self.service.blobs.put([(place, msgspec.msgpack.encode(one.fingerprint))])
        self.service.follower.tails[TENANT] = tail_of(
            states={one.state.image_id: one.state for one in records},
            removed={stone.image_id: stone for stone in removed},
            head=self.service.index.watermark(TENANT) + 1,
        )

    def build(self, **wanted: object) -> PromptResult:
        """Build a prompt of the query that all tests use."""
        return self.context.build(TENANT, PromptRequest(**({"query": QUESTION} | wanted)))  # type: ignore[arg-type]


def _pixels(width: int, height: int) -> Pixels:
    return np.asarray(photo(3, width, height), np.uint8)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    """Yield a setting of its own for each test."""
    made = Setting(tmp_path)
    yield made
    made.service.close()


def cited(built: PromptResult) -> list[str]:
    """Ids of the pictures shown."""
    return [one.image_id for one in built.citations]


def shown(built: PromptResult) -> list[Image.Image]:
    """Return the pictures inside Anthropic's messages."""
    return [
        Image.open(io.BytesIO(base64.b64decode(part["source"]["data"])))
        for message in built.messages
        for part in message["content"]
        if part["type"] == "image"
    ]


def test_pictures_come_with_labels_that_the_citations_explain(setting: Setting) -> None:
    """They are in the order found; the retriever receives the caller's query."""
    fields = Fields(title="A <mug>", external_id="x-1", source_url="https://a.example/1")
    setting.store(record(1, 1, fields=fields), record(2, 1))
    built = setting.build(format="anthropic", limit=5, filters=Filters(category="mugs"))
    assert setting.retriever.asked == [(QUESTION, (), (), Filters(category="mugs"), 5)]
    first, second = built.citations
    assert (first.label, first.image_id, first.title) == ("[img-1]", image_id(1), "A <mug>")
    assert (first.external_id, first.source_url) == ("x-1", "https://a.example/1")
    assert (second.label, second.similarities) == ("[img-2]", {"caption": 0.5})
    assert [picture.format for picture in shown(built)] == ["JPEG", "JPEG"]
    said = json.dumps(built.messages)
    assert said.index("[img-1]") < said.index("[img-2]") < said.index(QUESTION)
    assert (built.reason, built.dropped) == (None, [])
    assert QUESTION not in json.dumps(built.blocks)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("deliver", ["inline", "url", "reference"])
def test_every_format_delivers_every_way(setting: Setting, name: str, deliver: str) -> None:
    """Bytes only inline, addresses only by url, ids only by reference."""
    setting.store(record(1, 1))
    built = setting.build(format=name, deliver=deliver, base="https://pictures.example")
    said = json.dumps(built.messages)
    assert cited(built) == [image_id(1)]
    assert ("/9j/" in said) == (deliver == "inline")
    address = f"https://pictures.example/v1/images/{image_id(1)}/content?size=preview"
    assert (address in said) == (deliver == "url")
    assert (f"seenit:{image_id(1)}" in said) == (deliver == "reference")


def test_what_must_not_be_shown_is_not(setting: Setting) -> None:
    """Its own decision counts, or its original's, whatever a retriever found."""
    setting.store(
        record(1, 1, decision="block"),
        record(2, 1, decision="review"),
        record(3, 1, original=1),
        record(4, 1, original=5),
        record(5, 1),
        record(6, 1, content="purged"),
    )
    built = setting.build()
    assert cited(built) == [image_id(4), image_id(5)]
    assert [one.image_id for one in built.dropped] == [image_id(n) for n in (1, 2, 3, 6)]
    assert "decision" in built.dropped[0].reason
    assert "purged" in built.dropped[3].reason


def test_what_was_settled_meanwhile_counts(setting: Setting) -> None:
    """A decision, one on the original, a purge and a delete, all still in the log's tail."""
    setting.store(*(record(n, 1) for n in (1, 2, 3, 4)), record(5, 1, original=4), record(6, 1))
    setting.build()  # previews are remembered now
    setting.tail(
        record(1, 2, decision="block", revision=2),
        record(2, 2, content="purged", revision=2),
        record(4, 2, decision="review", revision=2),
        removed=[Tombstone(image_id(3), 2, "2026-01-01T00:00:00.000Z")],
    )
    built = setting.build()
    assert cited(built) == [image_id(6)]
    assert [one.image_id for one in built.dropped] == [image_id(n) for n in range(1, 6)]
    assert built.dropped[2].reason == "it was deleted"


def test_what_is_decided_while_pictures_are_read_counts(setting: Setting) -> None:
    """The prompt is packed again without it: labels stay consecutive, and others get its room."""
    setting.store(*(record(n, 1) for n in range(1, 5)))
    stored = setting.service.shelf

    def slowly(tenant: str, one: str, remade: Remade | None) -> bytes:
        """While the last picture is read, the second one is blocked."""
        if one == image_id(3):
            setting.tail(record(2, 2, decision="block", revision=2))
        return stored.preview(tenant, one, remade)

    setting.context._previews = Previews(slowly)
    whole = setting.build(format="anthropic", model="claude-opus-4-8", token_budget=1700)
    assert cited(whole) == [image_id(n) for n in (1, 3, 4)]
    assert [one.label for one in whole.citations] == ["[img-1]", "[img-2]", "[img-3]"]
    assert [one.image_id for one in whole.dropped] == [image_id(2)]
    assert len(shown(whole)) == 3
    assert whole.estimated_tokens <= 1700


def test_a_similar_picture_stands_for_itself(setting: Setting) -> None:
    """The picture it merely resembles is no original: that one's decision is not its own."""
    setting.store(record(1, 1, decision="block"), record(2, 1, kind="similar", original=1))
    assert cited(setting.build()) == [image_id(2)]


def test_a_lost_preview_is_told(setting: Setting) -> None:
    """Its neighbours are shown."""
    setting.store(record(1, 1), record(2, 1), record(3, 1))
    place = keys.derived(TENANT, image_id(1), "preview")
    setting.service.blobs.delete([place])
    setting.service.blobs.put([(keys.derived(TENANT, image_id(2), "preview"), b"no picture")])
    built = setting.build()
    assert cited(built) == [image_id(3)]
    reasons = [one.reason for one in built.dropped]
    assert reasons == ["its preview is missing", "its preview cannot be read"]


def test_a_tight_budget_makes_pictures_smaller_before_it_drops_them(setting: Setting) -> None:
    """Never enlarged, never over; the reason for a dropped one names the budget it needs."""
    setting.store(*(record(n, 1) for n in range(1, 7)))
    whole = setting.build(format="anthropic", model="claude-opus-4-8")
    assert {picture.size for picture in shown(whole)} == {(504, 378)}
    sizes = set()
    for most in range(0, whole.estimated_tokens + 50, 50):
        built = setting.build(format="anthropic", model="claude-opus-4-8", token_budget=most)
        assert len(built.citations) + len(built.dropped) == 6
        assert built.estimated_tokens <= most or not built.citations
        assert [one.label for one in built.citations] == [
            f"[img-{n}]" for n in range(1, len(built.citations) + 1)
        ]
        sizes |= {picture.size for picture in shown(built)}
        if built.dropped and built.citations:
            assert "token_budget" in built.dropped[0].reason
    assert sizes == {(504, 378), (384, 288), (256, 192)}


def test_bytes_are_counted_as_they_are_sent(setting: Setting) -> None:
    """In base64, inline alone: an address weighs nothing."""
    setting.store(*(record(n, 1) for n in range(1, 5)))
    for most in (0, 10_000, 60_000, 150_000):
        built = setting.build(format="gemini", model="gemini-3-pro", byte_budget=most)
        sent = [
            len(part["inlineData"]["data"])
            for message in built.messages
            for part in message["parts"]
            if "inlineData" in part
        ]
        assert sum(sent) <= most
        assert len(sent) == len(built.citations)
        assert all("byte_budget" in one.reason for one in built.dropped)
    assert len(setting.build(byte_budget=0, deliver="url").citations) == 4


@pytest.mark.parametrize("tight", [{"token_budget": 1}, {"byte_budget": 100}])
def test_a_budget_too_small_for_one_picture_says_so(
    setting: Setting, tight: dict[str, int]
) -> None:
    """No citation, a reason; the query is still in the prompt."""
    setting.store(record(1, 1), record(2, 1))
    built = setting.build(**tight)
    assert built.citations == []
    assert built.reason is not None
    assert next(iter(tight)) in built.reason
    assert built.blocks == []
    assert (QUESTION in json.dumps(built.messages), GUIDE in json.dumps(built.messages)) == (
        True,
        False,
    )
    assert built.estimated_tokens == token_costs.message(QUESTION)


def test_nothing_relevant_says_why(setting: Setting) -> None:
    """In the retriever's words."""
    setting.retriever.reason = "nothing stored is near enough: best 0.41, needed 0.52"
    setting.retriever.dropped = (DroppedPicture(image_id(9), "blocked"),)
    built = setting.build()
    assert (built.citations, built.blocks) == ([], [])
    assert built.reason == setting.retriever.reason
    assert [one.image_id for one in built.dropped] == [image_id(9)]


def test_the_estimate_is_of_all_that_is_sent(setting: Setting) -> None:
    """Texts and pictures of the messages, counted by hand."""
    setting.store(record(1, 1, fields=Fields(title="word " * 30)), record(2, 1))
    built = setting.build(format="openai", model="gpt-4o")
    parts = [
        part
        for message in built.messages
        for part in (message["content"] if isinstance(message["content"], list) else [])
    ]
    texts = [part["text"] for part in parts if part["type"] == "text"] + [GUIDE]
    least = sum(map(token_costs.text, texts)) + 85 * 2
    assert least <= built.estimated_tokens <= least + 20 * (len(parts) + 1)
    assert built.notes == []


def test_an_unknown_model_is_told(setting: Setting) -> None:
    """It costs the most, and the answer reports it; by reference there is nothing to count."""
    setting.store(record(1, 1))
    assert "gpt-x" in setting.build(model="gpt-x").notes[0]
    assert setting.build(model="gpt-x", deliver="reference").notes == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"query": None}, "query"),
        ({"query": "  "}, "query"),
        ({"format": "mistral"}, "format"),
        ({"deliver": "fax"}, "deliver"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"token_budget": -1}, "token_budget"),
        ({"byte_budget": -1}, "byte_budget"),
    ],
)
def test_what_cannot_be_asked_is_named(
    setting: Setting, wrong: dict[str, object], field: str
) -> None:
    """Before anything is looked up."""
    with pytest.raises(MalformedError) as raised:
        setting.build(**wrong)
    assert (raised.value.field, setting.retriever.asked) == (field, [])


def test_previews_are_those_that_the_record_names(setting: Setting) -> None:
    """A picture that was decoded again is shown as it is now, whatever is remembered."""
    setting.store(record(1, 1))
    assert setting.previews.get(TENANT, image_id(1), 256).width == 256
    new = encode_preview(np.zeros((60, 80, 3), np.uint8))
    setting.service.blobs.put([(keys.derived(TENANT, image_id(1), "preview", "job"), new)])
    shown = setting.previews.get(TENANT, image_id(1), 256, Remade("job", "job"))
    assert (shown.width, shown.height) == (80, 60)


def test_previews_are_remembered_up_to_their_bound(setting: Setting) -> None:
    """The same one comes back; the oldest go; none is enlarged."""
    setting.store(*(record(n, 1) for n in range(1, 9)))
    first = setting.previews.get(TENANT, image_id(1), 256)
    assert setting.previews.get(TENANT, image_id(1), 256) is first
    assert max(Image.open(io.BytesIO(first.data)).size) == 256
    assert setting.previews.get(TENANT, image_id(1), 2000)[1:] == (512, 384)
    small = Previews(setting.service.shelf.preview, held=3 * len(first.data))
    for n in range(1, 9):
        small.get(TENANT, image_id(n), 256)
    held = small._held._values
    assert 0 < sum(len(one.data) for one in held.values()) <= 3 * len(first.data)
    small.forget(TENANT, image_id(8))
    assert all(key[1] != image_id(8) for key in held)
