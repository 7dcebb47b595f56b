"""The holder's chore of measuring what is near enough in every tenant's spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.wiring import Services
from core.calibration.thresholds import RATE, Calibration
from core.errors import MalformedError
from core.types import ReportProgress
from worker.space_tasks import tenants_of


def calibrate(
    services: Services, arguments: Mapping[str, str], told: ReportProgress
) -> dict[str, Any]:
    """Both active spaces of one tenant or of all; those that cannot be measured say why."""
    rate = _rate(arguments)
    spaces: list[dict[str, Any]] = []
    before = 0
    for tenant in tenants_of(services, arguments):
        asked = 0

        def heard(done: int, total: int, before: int = before) -> None:
            nonlocal asked
            asked = total
            told(before + done, before + total)

        tuned = services.tuner.calibrate(tenant, rate=rate, told=heard)
        before += asked
        spaces += [{"tenant": tenant, **shown(made)} for made in tuned.made.values()]
        spaces += [
            {"tenant": tenant, "kind": kind, "refused": reason}
            for kind, reason in tuned.refused.items()
        ]
    return {"rate": rate, "spaces": spaces}


def shown(made: Calibration) -> dict[str, Any]:
    """What a person may want to know of one; ready for JSON."""
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
        raise MalformedError("the rate of false answers is a number", field="rate") from None
