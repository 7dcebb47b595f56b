"""Typed request bodies: one definition for validation, form fields and the OpenAPI document.

The lengths are long enough for a shop's title or a caption, and short enough that a record stays a
few kilobytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, force_setattr

from api.schemas.images import Image
from core import clock
from core.errors import MalformedError
from core.index_port import Filters
from core.records import EXTERNAL_ID, Fields
from core.search.request import Grouping, Metric, Mode, SearchRequest
from core.types import Kind, Value
from rag.budget_packing import Deliver
from rag.prompt_builder import LIMIT, MOST, PromptRequest
from rag.providers.registry import Name

METADATA = 16 * 1024
"""Most bytes of `metadata` as compact JSON."""
NESTED = 32
"""Most levels of lists and objects in a body: encoding them again recurses."""
SCHEMES = ("http", "https", "ftp", "s3", "gs", "az")
"""Schemes of `source_url`: it may be shown as a link, so no script and no local file."""
HITS = 200
"""Most hits of a search."""

Title = Annotated[str, Meta(max_length=500)]
Description = Annotated[str, Meta(max_length=10_000)]
Category = Annotated[str, Meta(max_length=100)]
Tag = Annotated[str, Meta(min_length=1, max_length=100)]
OwnerId = Annotated[str, Meta(max_length=200)]
ExternalId = Annotated[
    str,
    Meta(
        max_length=EXTERNAL_ID,
        description="The caller's own id; an upload of several files cannot have one.",
    ),
]
SourceUrl = Annotated[str, Meta(max_length=2_000)]
Metadata = Annotated[
    dict[str, Any], Meta(description=f"At most {METADATA} bytes and {NESTED} levels.")
]
Id = Annotated[str, Meta(max_length=100)]
Moment = Annotated[
    str,
    Meta(
        max_length=100,
        extra_json_schema={"format": "date-time"},
        extra={"words": "an RFC 3339 time with a zone"},
    ),
]
Question = Annotated[
    str, Meta(max_length=10_000, description="Words to search by; models cut it at their limit.")
]
Cosine = Annotated[float, Meta(ge=-1, le=1)]
Budget = Annotated[int, Meta(ge=0, le=2**53)]


class RecordFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a record that a caller sets; null and an empty text remove a field."""

    title: Title | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    category: Category | UnsetType | None = UNSET
    tags: Annotated[tuple[Tag, ...], Meta(max_length=50)] | UnsetType | None = UNSET
    owner_id: OwnerId | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    source_url: SourceUrl | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        """Raise MalformedError for control characters, and for a URL with another scheme."""
        for name, value in asdict(self).items():
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and _has_controls(text):
                    raise MalformedError(f"{name} has control characters: remove them", field=name)
        if isinstance(self.source_url, str) and self.source_url:
            _check_url(self.source_url)

    def merged(self, fields: Fields) -> Fields:
        """Return the fields after this JSON merge patch (RFC 7396). Raise MalformedError."""
        changes: dict[str, Any] = {
            name: value or None for name in EDITABLE if (value := getattr(self, name)) is not UNSET
        }
        if "tags" in changes:
            changes["tags"] = changes["tags"] or ()
        if "metadata" in changes:
            patch = self.metadata
            merged = {} if patch is None else _merge(fields.metadata, patch)
            changes["metadata"] = check_metadata(merged)
        return msgspec.structs.replace(fields, **changes, reason=None)


EDITABLE = RecordFields.__struct_fields__


class UploadForm(RecordFields, frozen=True, kw_only=True):
    """Fields of an upload, which apply to all its files."""

    on_duplicate: Annotated[
        Literal["keep", "discard_bytes"],
        Meta(
            description="discard_bytes: keep no bytes of an exact duplicate while the same bytes "
            "are stored."
        ),
    ] = "keep"

    def fields(self) -> Fields:
        """Return the fields as a record stores them. Raise MalformedError."""
        given = {name: value for name in EDITABLE if (value := getattr(self, name))}
        return Fields(**given | {"metadata": check_metadata(self.metadata or {})})


class RecordPatch(RecordFields, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7396)."""

    hold_until: (
        Annotated[
            Moment, Meta(description="Role moderate: neither deleted nor purged before then.")
        ]
        | UnsetType
        | None
    ) = UNSET

    def __post_init__(self) -> None:
        """Convert the time to UTC. Raise MalformedError."""
        super().__post_init__()
        if isinstance(self.hold_until, str):
            force_setattr(self, "hold_until", moment("hold_until", self.hold_until))


READ_ONLY = frozenset(Image.__struct_fields__) - frozenset(RecordPatch.__struct_fields__)


class DecisionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's decision on a picture."""

    value: Value
    reason: Annotated[str, Meta(max_length=1_000)] | None = None

    def __post_init__(self) -> None:
        """Raise MalformedError for control characters."""
        if self.reason is not None and _has_controls(self.reason):
            raise MalformedError("reason has control characters: remove them", field="reason")


class AdminTaskBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for an administrative task."""

    kind: Literal["reindex", "backfill", "backfill-pixels", "backfill-features", "calibrate"]
    space: (
        Annotated[
            str,
            Meta(max_length=100, description="For `backfill`: visual, caption or a space's id."),
        ]
        | None
    ) = None
    rate: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=0.5,
                description="For `calibrate`: share of false answers; 0.1 if left out.",
            ),
        ]
        | None
    ) = None

    def arguments(self) -> dict[str, str]:
        """Return the arguments of the task. Raise MalformedError for one of another kind."""
        named = {"space": (self.space, "backfill"), "rate": (self.rate, "calibrate")}
        given = {name: one for name, one in named.items() if one[0] is not None}
        for name, (_, kind) in given.items():
            if kind != self.kind:
                raise MalformedError(
                    f"{name} is an argument of {kind}, not of {self.kind}", field=name
                )
        return {name: str(value) for name, (value, _) in given.items()}


class SearchFilters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions that every found picture must meet."""

    category: Category | None = None
    tags: (
        Annotated[
            tuple[Annotated[str, Meta(max_length=100)], ...],
            Meta(max_length=50, description="A picture must have all of them."),
        ]
        | None
    ) = None
    verdict: Kind | None = None
    decision: Annotated[
        Value | Annotated[tuple[Value, ...], Meta(min_length=1)] | None,
        Meta(description="One or several; default `allow`. Others take the role moderate."),
    ] = None
    owner_id: OwnerId | None = None
    external_id: Annotated[str, Meta(max_length=EXTERNAL_ID)] | None = None
    sha256: Id | None = None
    original_id: Id | None = None
    accepted_after: Moment | None = None
    accepted_before: Moment | None = None

    def filters(self, path: str = "filters.") -> Filters:
        """Return the conditions for the index. Raise MalformedError with a field below `path`."""
        found = {name: value for name, value in asdict(self).items() if value is not None}
        if isinstance(self.decision, str):
            found["decision"] = (self.decision,)
        for name in ("tags", "decision"):
            found[name] = tuple(dict.fromkeys(found.get(name, ())))
        for name in found.keys() & {"sha256", "original_id"}:
            found[name] = found[name].lower()
        for name in found.keys() & {"accepted_after", "accepted_before"}:
            found[name] = moment(f"{path}{name}", found[name])
        return Filters(**found)


class MinSimilarity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Minimum cosines by space, of which a hit must reach one."""

    visual: Cosine | UnsetType = UNSET
    caption: Cosine | UnsetType = UNSET


class SearchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search by text, stored picture or file."""

    text: Question | None = None
    image_id: Annotated[Id, Meta(description="A stored picture to search by.")] | None = None
    mode: Mode = "hybrid"
    filters: SearchFilters | None = None
    limit: Annotated[int, Meta(ge=1, le=HITS)] = 20
    min_similarity: Annotated[
        Cosine | MinSimilarity | None,
        Meta(description="Minimum cosine: a number with one mode, by space with hybrid."),
    ] = None
    max_distance: (
        Annotated[float, Meta(ge=0, le=2, description="With mode visual or caption.")] | None
    ) = None
    metric: Metric = "cosine"
    group_by: Grouping | None = None
    collapse: Annotated[bool, Meta(description="Whether copies are shown as their original.")] = (
        True
    )
    space: (
        Annotated[
            Id, Meta(description="`visual`, `caption` or an id: 409 unless it is the active one.")
        ]
        | None
    ) = None

    def request(self) -> SearchRequest:
        """Return the search request for core. Raise MalformedError."""
        wanted = asdict(self) | {"filters": self.filters.filters() if self.filters else Filters()}
        if self.image_id is not None:
            wanted["image_id"] = self.image_id.lower()
        if isinstance(self.min_similarity, MinSimilarity):
            least = asdict(self.min_similarity).items()
            wanted["min_similarity"] = {kind: one for kind, one in least if one is not UNSET}
        return SearchRequest(**wanted)


class PromptBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question to find pictures for."""

    query: Question | None = None
    images: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(max_length=50, description="Ids of stored pictures to search by."),
    ] = ()
    filters: SearchFilters | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = LIMIT
    token_budget: Annotated[Budget, Meta(description="Tokens of the whole prompt.")] | None = None
    byte_budget: Annotated[Budget, Meta(description="Bytes of the pictures in base64.")] | None = (
        None
    )
    format: Name = "openai"
    model: (
        Annotated[
            str,
            Meta(max_length=200, description="The provider's name of the model, for the estimate."),
        ]
        | None
    ) = None
    deliver: Deliver = "inline"

    def request(self, base: str) -> PromptRequest:
        """Return the prompt request for rag; signed URLs begin with `base`."""
        wanted = asdict(self) | {
            "filters": self.filters.filters() if self.filters else Filters(),
            "base": base,
        }
        wanted["image_ids"] = tuple(dict.fromkeys(one.lower() for one in wanted.pop("images")))
        return PromptRequest(**wanted)


def moment(name: str, value: str) -> str:
    """Return an RFC 3339 time in UTC with milliseconds. Raise MalformedError."""
    try:
        return clock.stamp(clock.parse(value))
    except (ValueError, OverflowError):
        raise MalformedError(
            f"{name} must be an RFC 3339 time with a zone, not {value[:40]!r}", field=name
        ) from None


def check_metadata(metadata: dict[str, object]) -> dict[str, object]:
    """Return `metadata` if it can be stored. Raise MalformedError for its depth or size."""
    check_nesting(metadata, "metadata", "metadata")
    try:
        msgspec.msgpack.encode(metadata)  # the index stores msgpack, whose integers have 64 bits
        size = len(msgspec.json.encode(metadata))
    except (OverflowError, RecursionError):
        raise MalformedError(
            "metadata has an integer of more than 64 bits: send it as a text", field="metadata"
        ) from None
    if size > METADATA:
        raise MalformedError(f"metadata has {size} bytes (limit {METADATA})", field="metadata")
    return metadata


def check_nesting(value: object, what: str, field: str | None) -> None:
    """Raise MalformedError for a list or object of more than NESTED levels."""
    level: list[Any] = [value]
    for _ in range(NESTED):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise MalformedError(f"{what} has more than {NESTED} levels (limit {NESTED})", field=field)


def _merge(present: object, patch: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value merged by RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(present) if isinstance(present, dict) else {}
    for name, value in patch.items():
        if value is None:
            whole.pop(name, None)
        else:
            whole[name] = _merge(whole.get(name), value)
    return whole


def _check_url(value: str) -> None:
    try:
        url = urlsplit(value)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in SCHEMES or not url.netloc:
        raise MalformedError(
            f"source_url must be a URL with one of the schemes {', '.join(SCHEMES)}",
            field="source_url",
        )


def _has_controls(value: str) -> bool:
    return any(letter < " " and letter not in "\t\n\r" for letter in value) or "\x7f" in value
