"""Pictures for a prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.wiring import Services
from api.auth import KEYED
from api.dependencies import Spooled, Who, Wired
from api.forwarding import TrustedProxies
from api.multipart import FormLimits, received, whole
from api.problems import BusyError, documented
from api.routes.check import CheckGate
from api.schemas import prompts, search
from core.errors import (
    BrokenError,
    ConflictError,
    DecoderKilledError,
    EmbedderUnavailableError,
    GoneError,
    MalformedError,
    MissingError,
    SeenitError,
    TooLargeError,
    UnsupportedError,
)
from rag.budget_packing import Deliver
from rag.prompt_builder import MOST, PromptBuilder, PromptRequest, PromptResult
from rag.providers.registry import Name

BODY = 1024 * 1024
"""Bytes of a question as JSON."""
FILES = 8
"""Pictures sent along with one question."""
IDS = 50
"""Stored pictures that one question names."""
ID = 100
MODEL = 200
"""Characters of an id and of a model's name."""
NAMES = (
    "query",
    "images",
    "filters",
    "limit",
    "token_budget",
    "byte_budget",
    "format",
    "model",
    "deliver",
)
WRITTEN = frozenset({"filters", "limit", "token_budget", "byte_budget"})
"""Form fields that hold JSON."""
CHOICES: Mapping[str, tuple[str, ...]] = {"format": get_args(Name), "deliver": get_args(Deliver)}
LONGEST = {"query": search.TEXT, "model": MODEL}


class RagRoutes(Controller):
    """/v1/rag/context."""

    path = "/v1/rag/context"
    tags = ("rag",)
    security = KEYED

    @post(
        status_code=200,
        opt={"role": "write"},
        request_max_body_size=None,
        operation_class=prompts.PromptBody,
        summary="The pictures that help with a question, as a prompt",
        responses=documented(
            MissingError,
            ConflictError,
            GoneError,
            TooLargeError,
            UnsupportedError,
            BrokenError,
            DecoderKilledError,
            EmbedderUnavailableError,
            BusyError,
        ),
    )
    async def context(
        self,
        *,
        request: Request[Any, Any, State],
        services: Wired,
        caller: Who,
        spool: Spooled,
        checks: NamedDependency[SkipValidation[CheckGate]],
        contexts: NamedDependency[SkipValidation[PromptBuilder]],
        proxies: NamedDependency[SkipValidation[TrustedProxies]],
    ) -> prompts.Prompt:
        """Pictures that help with a `query`, with stored pictures (`images`) or with files.

        `messages` are a whole turn in the shape of the provider that `format` names, `blocks` the
        same without the question, for a turn of the caller's own; `citations` says which picture
        each label stands for. Only pictures whose decision and original's are `allow` are shown.
        Nothing relevant, or no budget for one picture: no citations, and a `reason`. A picture that
        does not fit is sent smaller, and in `dropped` only where that does not fit either. Tokens
        are estimated by the provider's published formula for `model`; of a model that is not known
        by its costliest, and `notes` says so. `deliver` sends pictures `inline`, by `url` (signed,
        open for an hour, `SEENIT_PUBLIC_URL` before it) or by `reference` (labels and ids alone).
        Files go as parts named `images` or `file`; none of them is stored.
        """
        tenant = caller.tenant
        base = services.settings.public_url or _base(request, proxies)
        kind, _ = request.content_type
        if kind == "application/json":
            told = _object(await whole(request, BODY))
            wanted = _wanted(told, base)
            return _rendered(await asyncio.to_thread(contexts.build, tenant, wanted))
        if kind != "multipart/form-data":
            raise UnsupportedError(
                "send application/json or multipart/form-data", field="Content-Type"
            )
        limits = services.settings
        bounds = FormLimits(
            FILES, int(limits.max_bytes), frozenset(NAMES), either=frozenset({"images"})
        )
        async with received(request, spool, bounds) as form:
            wanted = _wanted(_of_form(form.texts), base)
            paths = []
            for file in form.files:
                if isinstance(file, SeenitError):
                    raise file
                paths.append(file.path)
            if not paths:
                return _rendered(await asyncio.to_thread(contexts.build, tenant, wanted))
            return _rendered(
                await checks.run(lambda: _shown(services, contexts, tenant, wanted, paths))
            )


def _base(request: Request[Any, Any, State], proxies: TrustedProxies) -> str:
    """Where the request came to, by the scheme that the caller used."""
    return f"{proxies.scheme(request.scope)}://{request.base_url.netloc}".rstrip("/")


def _shown(
    services: Services,
    contexts: PromptBuilder,
    tenant: str,
    wanted: PromptRequest,
    paths: list[Path],
) -> PromptResult:
    """Asked by pictures that were sent along as well."""
    vectors = tuple(services.searcher.see(tenant, path.read_bytes()) for path in paths)
    return contexts.build(tenant, msgspec.structs.replace(wanted, vectors=vectors))


def _wanted(told: Mapping[str, Any], base: str) -> PromptRequest:
    found: dict[str, Any] = {}
    for name, value in told.items():
        if name not in NAMES:
            raise MalformedError(f"there is no field {name!r:.80}", field=name[:80])
        if value is not None:
            found[name] = _field(name, value)
    found["image_ids"] = found.pop("images", ())
    return PromptRequest(**found, base=base)


def _field(name: str, value: object) -> object:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise MalformedError(f"{name} is one of {', '.join(CHOICES[name])}", field=name)
        return value
    if name == "filters":
        return search.filters(value)
    if name == "images":
        return _ids(value)
    if name in LONGEST:
        if not isinstance(value, str) or len(value) > LONGEST[name]:
            raise MalformedError(f"{name} is a text of at most {LONGEST[name]}", field=name)
        return value
    most = MOST if name == "limit" else 2**53
    least = 1 if name == "limit" else 0
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise MalformedError(f"{name} is a whole number from {least} to {most}", field=name)
    return value


def _ids(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > IDS:
        raise MalformedError(f"images is a list of at most {IDS} ids", field="images")
    if not all(isinstance(one, str) and 0 < len(one) <= ID for one in value):
        raise MalformedError("images holds ids of stored pictures", field="images")
    return tuple(dict.fromkeys(value))


def _of_form(texts: Mapping[str, list[str]]) -> dict[str, Any]:
    """The fields of a form, `images` once for each id; an empty text is as good as none."""
    told: dict[str, Any] = {}
    for name, values in texts.items():
        if name == "images":
            told[name] = [value for value in values if value]
            continue
        if len(values) > 1:
            raise MalformedError(f"{name} is given {len(values)} times", field=name)
        if values[0]:
            told[name] = _json(values[0].encode(), name) if name in WRITTEN else values[0]
    return told


def _object(body: bytes) -> dict[str, Any]:
    told = _json(body, None)
    if not isinstance(told, dict):
        raise MalformedError("the body is not a JSON object")
    return told


def _json(data: bytes, field: str | None) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError(f"{field or 'the body'} is not JSON", field=field) from None


def _rendered(built: PromptResult) -> prompts.Prompt:
    return prompts.Prompt(
        messages=built.messages,
        blocks=built.blocks,
        citations=[
            prompts.Citation(
                label=one.label,
                image_id=one.image_id,
                title=one.title,
                external_id=one.external_id,
                source_url=one.source_url,
                similarities=one.similarities,
            )
            for one in built.citations
        ],
        dropped=[prompts.Dropped(one.image_id, one.reason) for one in built.dropped],
        estimated_tokens=built.estimated_tokens,
        reason=built.reason,
        notes=built.notes,
    )
