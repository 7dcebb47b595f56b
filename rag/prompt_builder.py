"""Building of prompts: retrieval of relevant pictures, packed within budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import starmap
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

from core import validation
from core.errors import CorruptError, MalformedError, MissingError
from core.imaging.previews import Previews
from core.index_port import Filters
from core.queries import joined_views
from core.queries.joined_views import RecordView
from core.queries.snapshot import Snapshots
from core.storage.signed_urls import URLSigner
from core.types import Vector
from rag import sanitize, token_costs
from rag.budget_packing import Deliver, PictureFitter, RemainingBudget, SizedPicture
from rag.providers.base import GUIDE, Block, Prompt, PromptPicture
from rag.providers.registry import FORMATS, Name
from rag.types import DroppedPicture, RelevantPicture, RetrievalResult, RetrievesPictures, allowed
from rag.visible import visible

LIMIT = 8
"""Pictures of one prompt unless the caller sets a limit."""
MOST = 50
"""Most pictures of one prompt."""


class PromptRequest(Struct, frozen=True, kw_only=True):
    """A request for a prompt: a question, pictures to search by, or both."""

    query: str | None = None
    """Invisible characters are removed before the search and from the prompt."""
    image_ids: tuple[str, ...] = ()
    vectors: tuple[Vector, ...] = ()
    """Vectors of pictures sent along, of the active visual space."""
    filters: Filters = Filters()
    limit: int = LIMIT
    token_budget: int | None = None
    """Most tokens of the whole prompt: guide, texts, pictures and question."""
    byte_budget: int | None = None
    """Most bytes of the pictures sent inline, in base64."""
    format: Name = "openai"
    model: str | None = None
    deliver: Deliver = "inline"
    base: str = ""
    """Prefix of pictures' URLs, such as https://pictures.example.org."""


class Citation(Struct, frozen=True, kw_only=True):
    """A picture of the prompt, by the label that the model cites it by."""

    label: Annotated[str, Meta(description="Label before the picture, such as `[img-1]`.")]
    image_id: str
    title: str | None
    external_id: str | None
    source_url: str | None
    similarities: Annotated[dict[str, float], Meta(description="Cosines: visual, caption.")]


class PromptResult(Struct, frozen=True, kw_only=True):
    """A prompt, with its pictures and estimated costs."""

    messages: Annotated[
        list[Block],
        Meta(description="A whole turn, question last, as the provider's API takes it."),
    ]
    blocks: Annotated[
        list[Block],
        Meta(description="The same without the question, for a turn that the caller writes."),
    ]
    citations: list[Citation]
    dropped: list[DroppedPicture]
    estimated_tokens: Annotated[int, Meta(description="Estimated tokens of `messages`.")]
    reason: Annotated[str | None, Meta(description="Why there is no picture.")] = None
    notes: Annotated[list[str], Meta(description="Remarks on an unsure estimate.")] = []


class _PromptPicture(NamedTuple):
    """A found picture, and how the prompt shows it."""

    found: RelevantPicture
    picture: PromptPicture


class _PackedPrompt(NamedTuple):
    """Pictures that fit, pictures that do not, and the tokens of the prompt."""

    shown: list[_PromptPicture]
    dropped: list[DroppedPicture]
    tokens: int


class PromptBuilder:
    """Builder of prompts from a retriever, snapshots, previews and a signer."""

    def __init__(
        self,
        retriever: RetrievesPictures,
        snapshots: Snapshots,
        previews: Previews,
        signer: URLSigner,
    ) -> None:
        self._retriever = retriever
        self._snapshots = snapshots
        self._previews = previews
        self._signer = signer

    def build(self, tenant: str, wanted: PromptRequest) -> PromptResult:
        """Return a prompt with the relevant pictures, within its budgets, in its `format`.

        Raise MalformedError, MissingError, GoneError, ConflictError, UnavailableError.
        """
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
        costs = token_costs.scale(wanted.format, wanted.model)
        fitter = PictureFitter(self._previews, wanted.deliver, costs)
        hidden: dict[str, str] = {}
        items = self._shown(tenant, [(one, one.seen) for one in retrieved.items], hidden)
        while True:
            packed = self._pack(tenant, wanted, fitter, items)
            # Reading and shrinking take time: a picture decided, purged or deleted meanwhile must
            # not be shown, and the prompt is packed again without it.
            live = self._shown(tenant, self._as_of_now(tenant, items), hidden)
            if len(live) == len(items):
                break
            items = live
        return _result(wanted, retrieved, packed, hidden, costs.note)

    def _pack(
        self,
        tenant: str,
        wanted: PromptRequest,
        fitter: PictureFitter,
        items: Sequence[RelevantPicture],
    ) -> _PackedPrompt:
        """Return as many pictures as fit, best first, labelled in that order."""
        spent = _question_tokens(wanted) + token_costs.message(GUIDE)
        room = RemainingBudget(wanted.token_budget, wanted.byte_budget, spent)
        shown: list[_PromptPicture] = []
        dropped: list[DroppedPicture] = []
        for found in items:
            name = sanitize.label(len(shown) + 1)
            image_id = found.seen.record.state.image_id
            text = sanitize.facts(name, found.seen.record.fields)
            if wanted.deliver == "reference":
                text += f"\nThe picture is not attached: seenit:{image_id}"
            fit = self._fit(fitter, room, tenant, found, text)
            if isinstance(fit, str):
                dropped.append(DroppedPicture(image_id, fit))
                continue
            room.tokens += fit.tokens
            room.weight += fit.weight
            url = fit.size and wanted.base + self._signer.path(tenant, image_id, fit.size)
            shown.append(
                _PromptPicture(found, PromptPicture(label=name, text=text, data=fit.data, url=url))
            )
        return _PackedPrompt(shown, dropped, room.tokens)

    def _as_of_now(
        self, tenant: str, items: Sequence[RelevantPicture]
    ) -> list[tuple[RelevantPicture, RecordView | None]]:
        """Return each picture with its record read again, None if it was deleted."""
        snapshot = self._snapshots.take(tenant)
        records = snapshot.records([one.seen.record.state.image_id for one in items])
        held = [record for record in records if record is not None]
        views = iter(joined_views.records(snapshot, held))
        return [
            (one, None if record is None else next(views))
            for one, record in zip(items, records, strict=True)
        ]

    def _shown(
        self,
        tenant: str,
        items: Sequence[tuple[RelevantPicture, RecordView | None]],
        hidden: dict[str, str],
    ) -> list[RelevantPicture]:
        """Return the pictures that may be shown; put the others into `hidden`, with the reason."""
        shown = []
        for found, seen in items:
            image_id, why = found.seen.record.state.image_id, withheld(seen)
            if seen is None or why is not None:
                self._previews.forget(tenant, image_id)
                hidden[image_id] = why or ""
            else:
                shown.append(replace(found, seen=seen))
        return shown

    def _fit(
        self,
        fitter: PictureFitter,
        room: RemainingBudget,
        tenant: str,
        found: RelevantPicture,
        text: str,
    ) -> SizedPicture | str:
        """Return the largest way to send a picture that fits, or why there is none."""
        why = "it has no preview"
        try:
            for fit in fitter.ways(tenant, found.seen.record.state, text):
                lacks = room.lacks(fit)
                if lacks is None:
                    return fit
                why = lacks
        except MissingError:
            return "its preview is missing"
        except CorruptError:
            return "its preview cannot be read"
        return why


def check(wanted: PromptRequest) -> None:
    """Raise MalformedError if a request is incomplete or out of bounds."""
    if not (wanted.query and wanted.query.strip()) and not wanted.image_ids and not wanted.vectors:
        raise MalformedError("send a query, images, or both", field="query")
    if wanted.format not in FORMATS:
        raise validation.mismatch("format", wanted.format, Name)
    if wanted.deliver not in ("inline", "url", "reference"):
        raise validation.mismatch("deliver", wanted.deliver, Deliver)
    if not 1 <= wanted.limit <= MOST:
        raise MalformedError(
            f"limit is {wanted.limit}; it must be between 1 and {MOST}", field="limit"
        )
    for name in ("token_budget", "byte_budget"):
        most = getattr(wanted, name)
        if most is not None and most < 0:
            raise MalformedError(f"{name} is {most}; it must be at least 0", field=name)


def withheld(seen: RecordView | None) -> str | None:
    """Return why a picture may not be shown, None if it may."""
    if seen is None:
        return "it was deleted"
    if not allowed(seen):
        return "its decision or its original's is not allow"
    if seen.record.state.content == "purged":
        return "it was purged"
    return None


def _result(
    wanted: PromptRequest,
    retrieved: RetrievalResult,
    packed: _PackedPrompt,
    hidden: Mapping[str, str],
    note: str | None,
) -> PromptResult:
    """Return the packed pictures in the provider's format, with those left out and why."""
    prompt = Prompt(pictures=tuple(one.picture for one in packed.shown), question=wanted.query)
    written = FORMATS[wanted.format]
    dropped = [*starmap(DroppedPicture, hidden.items()), *packed.dropped]
    return PromptResult(
        messages=written.messages(prompt),
        blocks=written.blocks(prompt),
        citations=[
            Citation(
                label=picture.label,
                image_id=found.seen.record.state.image_id,
                title=_seen(found.seen.record.fields.title),
                # the caller's own id, never altered
                external_id=found.seen.record.fields.external_id,
                source_url=_seen(found.seen.record.fields.source_url),
                similarities=found.similarities,
            )
            for found, picture in packed.shown
        ],
        dropped=[*retrieved.dropped, *dropped],
        estimated_tokens=packed.tokens if packed.shown else _question_tokens(wanted),
        reason=None if packed.shown else _reason(retrieved, dropped),
        notes=[note] if note and wanted.deliver != "reference" else [],
    )


def _question_tokens(wanted: PromptRequest) -> int:
    return token_costs.message(wanted.query) if wanted.query else 0


def _seen(text: str | None) -> str | None:
    return None if text is None else visible(text)


def _reason(retrieved: RetrievalResult, dropped: Sequence[DroppedPicture]) -> str:
    if not retrieved.items:
        return retrieved.reason or "nothing stored is near enough to the question"
    whys = [one.reason for one in dropped]
    tight = [why for why in whys if "budget" in why]
    return f"none of {len(whys)} pictures can be shown; the first: {(tight or whys)[0]}"
