"""The admin task `calibrate`: measures what is near enough in each tenant's spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.wiring import Services
from core.calibration.thresholds import RATE, Calibration
from core.errors import MalformedError
from core.types import ReportProgress
from worker.space_tasks import tenants_of


def calibrate(
    services: Services, arguments: Mapping[str, str], progress: ReportProgress
) -> dict[str, Any]:
    """Measure both active spaces of one tenant or of all; a space that cannot be measured says why.

    Raise MalformedError for a rate that is no number from 0 to 0.5, MissingError for a tenant
    without a log.
    """
    rate = _rate(arguments)
    spaces: list[dict[str, Any]] = []
    before = 0
    for tenant in tenants_of(services, arguments):
        asked = 0

        def heard(done: int, total: int, before: int = before) -> None:
            nonlocal asked
            asked = total
            progress(before + done, before + total)

        tuned = services.tuner.calibrate(tenant, rate=rate, told=heard)
        before += asked
        spaces += [{"tenant": tenant, **shown(made)} for made in tuned.made.values()]
        spaces += [
            {"tenant": tenant, "kind": kind, "refused": reason}
            for kind, reason in tuned.refused.items()
        ]
    return {"rate": rate, "spaces": spaces}


def shown(made: Calibration) -> dict[str, Any]:
    """Return a calibration as commands report it, ready for JSON."""
    return {
        "kind": made.kind,
        "space_id": made.space_id,
        "model": made.model,
        "made_at": made.made_at,
        "rate": made.rate,
        "pictures": made.pictures,
        "texts": len(made.bank),
        "ways": {
            way: {
                "asked": cut.asked,
                "needed": round(cut.needed, 4),
                "kept": None if cut.kept is None else round(cut.kept, 4),
                "bands": {
                    name: round(getattr(cut.bands, name), 4)
                    for name in ("very_close", "close", "related")
                },
            }
            for way, cut in made.ways.items()
        },
    }


def _rate(arguments: Mapping[str, str]) -> float:
    try:
        return float(arguments.get("rate", RATE))
    except ValueError:
        raise MalformedError(
            f"rate must be a number above 0 and up to 0.5, not {arguments['rate']!r:.40}",
            field="rate",
        ) from None
