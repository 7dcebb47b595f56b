"""A question in, a prompt out: the pictures that help, in a provider's shape, within budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta, Struct
from msgspec.structs import replace

from core.errors import CorruptError, MalformedError, MissingError
from core.imaging.previews import Previews
from core.ports import Filters
from core.queries import joined_views
from core.queries.snapshot import Snapshot
from core.storage.signed_urls import URLSigner
from core.types import Vector
from rag import sanitize, token_costs
from rag.budget_packing import Deliver, PictureFitter, RemainingBudget, SizedPicture
from rag.providers.base import GUIDE, Block, Prompt, PromptPicture
from rag.providers.registry import FORMATS, Name
from rag.types import DroppedPicture, RelevantPicture, RetrievalResult, RetrievesPictures, allowed
from rag.visible import visible

LIMIT = 8
MOST = 50
"""Pictures of one prompt."""


class PromptRequest(Struct, frozen=True, kw_only=True):
    """What a caller asks for. A question, pictures to go by, or both."""

    query: str | None = None
    """Its invisible characters neither search nor reach the prompt."""
    image_ids: tuple[str, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """Of pictures sent along, in the active visual space."""
    filters: Filters = Filters()
    limit: int = LIMIT
    token_budget: int | None = None
    """Of the whole prompt: guide, texts, pictures and question."""
    byte_budget: int | None = None
    """Of the pictures as they are sent inline, in base64."""
    format: Name = "openai"
    model: str | None = None
    deliver: Deliver = "inline"
    base: str = ""
    """What addresses of pictures begin with, such as https://pictures.example.org."""


class Citation(Struct, frozen=True, kw_only=True):
    """A picture of the prompt, by the label that the model cites it by."""

    label: Annotated[str, Meta(description="As it stands before the picture, such as `[img-1]`.")]
    image_id: str
    title: str | None
    external_id: str | None
    source_url: str | None
    similarities: Annotated[dict[str, float], Meta(description="Cosines: visual, caption.")]


class PromptResult(Struct, frozen=True, kw_only=True):
    """A prompt, and what went into it."""

    messages: Annotated[
        list[Block],
        Meta(description="A whole turn, question last: what the provider's API takes."),
    ]
    blocks: Annotated[
        list[Block],
        Meta(description="The same without the question, for a turn of the caller's own."),
    ]
    citations: list[Citation]
    dropped: list[DroppedPicture]
    estimated_tokens: Annotated[int, Meta(description="Of `messages`.")]
    reason: Annotated[str | None, Meta(description="Why there is no picture.")] = None
    notes: Annotated[list[str], Meta(description="What the estimate rests on, where unsure.")] = []


class ReadsRecords(Protocol):
    """The index as of now."""

    def overlay(self, tenant: str) -> Snapshot:
        """With the tail of its log."""


class _PromptPicture(NamedTuple):
    """A picture of the prompt."""

    found: RelevantPicture
    picture: PromptPicture


class _PackedPrompt(NamedTuple):
    """What there was room for, what not, and what it costs."""

    shown: list[_PromptPicture]
    dropped: list[DroppedPicture]
    tokens: int


class PromptBuilder:
    """Builds prompts over a retriever, records, previews and a signer."""

    def __init__(
        self,
        retriever: RetrievesPictures,
        reader: ReadsRecords,
        previews: Previews,
        signer: URLSigner,
    ) -> None:
        self._retriever = retriever
        self._reader = reader
        self._previews = previews
        self._signer = signer

    def build(self, tenant: str, wanted: PromptRequest) -> PromptResult:
        """Raise MalformedError, MissingError, GoneError, ConflictError, UnavailableError."""
        if wanted.query is not None:
            wanted = replace(wanted, query=visible(wanted.query))
        check(wanted)
        retrieved = self._retriever.retrieve(
            tenant,
            text=wanted.query,
            image_ids=wanted.image_ids,
            vectors=wanted.vectors,
            filters=wanted.filters,
            limit=wanted.limit,
        )
        scale = token_costs.scale(wanted.format, wanted.model)
        fitter = PictureFitter(self._previews, wanted.deliver, scale)
        hidden: list[DroppedPicture] = []
        items = self._live(tenant, retrieved.items, hidden)
        while True:
            filled = self._fill(tenant, wanted, fitter, items)
            # Reading and shrinking take a while: what was decided meanwhile counts as well.
            still = self._live(tenant, [one.found for one in filled.shown], hidden)
            if len(still) == len(filled.shown):
                break
            gone = {one.image_id for one in hidden}
            items = [one for one in items if one.seen.record.state.image_id not in gone]
        prompt = Prompt(pictures=tuple(one.picture for one in filled.shown), question=wanted.query)
        written = FORMATS[wanted.format]
        dropped = [*hidden, *filled.dropped]
        return PromptResult(
            messages=written.messages(prompt),
            blocks=written.blocks(prompt),
            citations=[_citation(one) for one in filled.shown],
            dropped=[*retrieved.dropped, *dropped],
            estimated_tokens=filled.tokens if filled.shown else _asked(wanted),
            reason=None if filled.shown else _reason(retrieved, dropped),
            notes=[scale.note] if scale.note and wanted.deliver != "reference" else [],
        )

    def _fill(
        self,
        tenant: str,
        wanted: PromptRequest,
        fitter: PictureFitter,
        items: Sequence[RelevantPicture],
    ) -> _PackedPrompt:
        """As many as there is room for, best first, labelled in that order."""
        spent = _asked(wanted) + token_costs.message(GUIDE)
        room = RemainingBudget(wanted.token_budget, wanted.byte_budget, spent)
        shown: list[_PromptPicture] = []
        dropped: list[DroppedPicture] = []
        for found in items:
            name = sanitize.label(len(shown) + 1)
            image_id = found.seen.record.state.image_id
            text = _text(name, found, wanted.deliver)
            fit = self._fit(fitter, room, tenant, found, text)
            if isinstance(fit, str):
                dropped.append(DroppedPicture(image_id, fit))
                continue
            room.take(fit)
            url = fit.size and wanted.base + self._signer.path(tenant, image_id, fit.size)
            shown.append(
                _PromptPicture(found, PromptPicture(label=name, text=text, data=fit.data, url=url))
            )
        return _PackedPrompt(shown, dropped, room.tokens)

    def _live(
        self, tenant: str, items: Sequence[RelevantPicture], dropped: list[DroppedPicture]
    ) -> list[RelevantPicture]:
        """Those that may be shown as of now, each as it is now: looked at once more.

        A decision, a purge or a delete may have been settled since the index was asked.
        """
        overlay = self._reader.overlay(tenant)
        ids = [found.seen.record.state.image_id for found in items]
        records = [record for record in overlay.records(ids) if record is not None]
        now = {one.record.state.image_id: one for one in joined_views.records(overlay, records)}
        live = []
        for found, image_id in zip(items, ids, strict=True):
            seen = now.get(image_id)
            why = withheld(seen)
            if seen is None or why is not None:
                self._previews.forget(tenant, image_id)
                dropped.append(DroppedPicture(image_id, why or ""))
            else:
                live.append(
                    RelevantPicture(
                        seen=seen,
                        similarities=found.similarities,
                        matched_copy_id=found.matched_copy_id,
                    )
                )
        return live

    def _fit(
        self,
        fitter: PictureFitter,
        room: RemainingBudget,
        tenant: str,
        found: RelevantPicture,
        text: str,
    ) -> SizedPicture | str:
        """The largest way that fits, or why there is none."""
        why = "it has no preview"
        try:
            for fit in fitter.ways(tenant, found.seen.record.state.image_id, text):
                lacks = room.lacks(fit)
                if lacks is None:
                    return fit
                why = lacks
        except MissingError:
            return "its preview is not there any more"
        except CorruptError:
            return "its preview cannot be read"
        return why


def check(wanted: PromptRequest) -> None:
    """Whether this can be asked. Raise MalformedError naming what is wrong."""
    if not (wanted.query and wanted.query.strip()) and not wanted.image_ids and not wanted.vectors:
        raise MalformedError("send a query, images, or both", field="query")
    if wanted.format not in FORMATS:
        raise MalformedError(f"format is one of {', '.join(FORMATS)}", field="format")
    if wanted.deliver not in ("inline", "url", "reference"):
        raise MalformedError("deliver is inline, url or reference", field="deliver")
    if not 1 <= wanted.limit <= MOST:
        raise MalformedError(f"limit is between 1 and {MOST}", field="limit")
    for name in ("token_budget", "byte_budget"):
        most = getattr(wanted, name)
        if most is not None and most < 0:
            raise MalformedError(f"{name} is at least 0", field=name)


def withheld(seen: joined_views.RecordView | None) -> str | None:
    """Why a picture may not be shown, None where it may."""
    if seen is None:
        return "it was deleted"
    if not allowed(seen):
        return "its decision or its original's is not allow"
    if seen.record.state.content == "purged":
        return "it was purged"
    return None


def _asked(wanted: PromptRequest) -> int:
    return token_costs.message(wanted.query) if wanted.query else 0


def _text(name: str, found: RelevantPicture, deliver: Deliver) -> str:
    record = found.seen.record
    told = sanitize.facts(name, record.fields)
    if deliver != "reference":
        return told
    return f"{told}\nThe picture is not attached: seenit:{record.state.image_id}"


def _citation(one: _PromptPicture) -> Citation:
    record = one.found.seen.record
    return Citation(
        label=one.picture.label,
        image_id=record.state.image_id,
        title=_seen(record.fields.title),
        external_id=record.fields.external_id,  # an id of the caller's, never altered
        source_url=_seen(record.fields.source_url),
        similarities=one.found.similarities,
    )


def _seen(text: str | None) -> str | None:
    return None if text is None else visible(text)


def _reason(retrieved: RetrievalResult, dropped: Sequence[DroppedPicture]) -> str:
    if not retrieved.items:
        return retrieved.reason or "nothing stored is near enough to the question"
    whys = [one.reason for one in dropped]
    tight = [why for why in whys if "budget" in why]
    return f"none of {len(whys)} pictures can be shown: of the first, {(tight or whys)[0]}"
