"""The admin tasks about spaces of models: add a second one, fill it, activate it, list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict
from uuid_utils import uuid7

from adapters.wiring import Services
from core import clock
from core.embedding.fingerprint_backfill import NEWEST, FingerprintPart
from core.errors import (
    ConflictError,
    EmbedderUnavailableError,
    MalformedError,
    MissingError,
)
from core.event_log.decide import Claim
from core.ports import TextEmbedder
from core.records import Job, JobKind
from core.types import SPACE_KINDS, ChosenSpace, ReportProgress, SpaceKind


def add(
    services: Services, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """Add a second space beside the active one of each tenant; uploads fill it from then on.

    Tenants whose active space it is already are skipped; raise ConflictError if all are.
    """
    return _choose(services, "add_space", arguments, progress)


def activate(
    services: Services, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """Search the added space from now on. Raise ConflictError while a picture lacks a vector."""
    return _choose(services, "activate_space", arguments, progress)


def _choose(
    services: Services,
    operation: JobKind,
    arguments: Mapping[str, str],
    progress: ReportProgress,
) -> dict[str, Any]:
    kind, source = _kind(arguments), arguments["model"]
    chosen = ChosenSpace(_open(services, kind, source).space, source)
    space_id = chosen.space.space_id
    tenants = tenants_of(services, arguments)
    if operation == "add_space":
        active = [one for one in tenants if services.models.space_id(one, kind) == space_id]
        if active and active == tenants:
            raise ConflictError(f"{space_id} is the active space already")
        tenants = [one for one in tenants if one not in active]
    for n, tenant in enumerate(tenants):
        progress(n, len(tenants))
        present = services.models.chosen(tenant, kind) if operation == "add_space" else None
        _settle(services, tenant, operation, chosen, present)
    services.models.forget()
    progress(len(tenants), len(tenants))
    return {"space_id": space_id, "tenants": tenants}


def backfill(
    services: Services, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """Embed what lacks a vector, in one space or in all that are active or added.

    Raise MissingError for a tenant without a log or a space no tenant has,
    EmbedderUnavailableError if the space's model is absent.
    """
    wanted = arguments.get("space")
    tenants = tenants_of(services, arguments)
    spaces: list[dict[str, Any]] = []
    before = 0
    for tenant in tenants:
        for embedder in _embedders(services, tenant, wanted):
            space_id = embedder.space.space_id

            def heard(done: int, total: int, before: int = before) -> None:
                progress(before + done, before + total)

            made, failed = services.backfill.run(tenant, embedder, heard)
            before += made + failed
            spaces.append(
                {
                    "tenant": tenant,
                    "space_id": space_id,
                    "made": made,
                    "failed": failed,
                    "missing": services.backfill.lacking(tenant, space_id),
                }
            )
    if wanted is not None and not spaces:
        raise MissingError(f"No tenant has a space {wanted}; `seenit model list` names them.")
    return {"spaces": spaces}


def refingerprint(
    services: Services,
    arguments: Mapping[str, str],
    progress: ReportProgress,
    *,
    part: FingerprintPart,
) -> dict[str, Any]:
    """Fingerprint again, from the stored bytes, what an older version fingerprinted.

    Raise MissingError for a tenant without a log.
    """
    found: list[dict[str, Any]] = []
    before = 0
    for tenant in tenants_of(services, arguments):

        def heard(done: int, total: int, before: int = before) -> None:
            progress(before + done, before + total)

        counts = services.fingerprints.run(tenant, part, heard)
        before += counts.pictures
        found.append({"tenant": tenant, "version": NEWEST[part], **asdict(counts)})
    return {"tenants": found}


def spaces(
    services: Services, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """List each tenant's spaces, and how many pictures lack a vector in them."""
    tenants = tenants_of(services, arguments)
    found: list[dict[str, Any]] = []
    for n, tenant in enumerate(tenants):
        progress(n, len(tenants))
        active = {services.models.space_id(tenant, kind) for kind in SPACE_KINDS}
        for space_id in services.models.spaces(tenant):
            space = services.models.of(space_id)
            found.append(
                {
                    "tenant": tenant,
                    "space_id": space_id,
                    "model": space.model if space else None,
                    "active": space_id in active,
                    "missing": services.backfill.lacking(tenant, space_id),
                }
            )
    progress(len(tenants), len(tenants))
    return {"spaces": found}


def _embedders(services: Services, tenant: str, wanted: str | None) -> list[TextEmbedder]:
    """Load a tenant's embedders of the wanted space, or of all.

    Raise EmbedderUnavailableError if a kind is wanted and has none; others may be absent.
    """
    models = services.models
    found: list[TextEmbedder] = []
    for embedder in (*models.visuals(tenant), *models.captions(tenant)):
        embedder.load()
        if embedder.absent is None:
            space = embedder.space
            if wanted in (None, space.kind, space.space_id):
                found.append(embedder)
    if wanted in SPACE_KINDS and not found:
        active = models.caption(tenant) if wanted == "caption" else models.visual(tenant)
        raise EmbedderUnavailableError(active.absent or f"no {wanted} model")
    return found


def _open(services: Services, kind: SpaceKind, source: str) -> TextEmbedder:
    models = services.models
    embedder = models.open_visual(source) if kind == "visual" else models.open_caption(source)
    embedder.load()
    if embedder.absent is not None:
        raise EmbedderUnavailableError(f"{source}: {embedder.absent}")
    return embedder


def _settle(
    services: Services, tenant: str, kind: JobKind, chosen: ChosenSpace, present: ChosenSpace | None
) -> None:
    """Append one entry to the tenant's log. Raise ConflictError if it is refused."""
    job = Job(
        job_id=str(uuid7()),
        tenant=tenant,
        image_id="",
        kind=kind,
        accepted_at=clock.now(),
        chosen=chosen,
        present=present,
    )
    (operation,) = services.ledger.settle(tenant, [Claim(job=job)])
    if operation is not None and operation.problem is not None:
        raise ConflictError(f"Tenant {tenant}: {operation.problem.detail}")


def _kind(arguments: Mapping[str, str]) -> SpaceKind:
    match arguments.get("kind", "visual"):
        case "visual":
            return "visual"
        case "caption":
            return "caption"
        case other:
            raise MalformedError(f"kind must be visual or caption, not {other!r}", field="kind")


def tenants_of(services: Services, arguments: Mapping[str, str]) -> list[str]:
    """Return the one that is named, else all that have a log. Raise MissingError."""
    known = services.log.tenants()
    wanted = arguments.get("tenant")
    if wanted is None:
        return known
    if wanted not in known:
        raise MissingError(f"There is no tenant {wanted}: it has no log yet.")
    return [wanted]
