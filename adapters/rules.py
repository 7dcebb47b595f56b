"""The rules that verdicts follow, made of the policy, the settings and the models at hand."""

from __future__ import annotations

from adapters.settings import Settings
from core.embedding.pipeline import PIPELINE_VERSION
from core.embedding.registry import ModelRegistry
from core.matching.candidates import agrees, measure, worth
from core.matching.common_points import without_common
from core.matching.decisions import Decisions
from core.matching.policy import POLICY
from core.matching.verdict import Rules
from core.types import Hit, Query


def rules(settings: Settings, models: ModelRegistry) -> Rules:
    """Thresholds by the policy, decisions by the settings, `similar` by the space's model."""
    return Rules(
        policy_version=POLICY.version,
        pipeline_version=PIPELINE_VERSION,
        worth=lambda hits, space_id: worth(hits, POLICY, _similar_at(models, space_id)),
        judged=lambda found: without_common(found, POLICY),
        agrees=lambda hit: agrees(hit, POLICY),
        similar_at=lambda space_id: _similar_at(models, space_id),
        decisions=Decisions(
            new=settings.decision_new,
            similar=settings.decision_similar,
            variant=settings.decision_variant,
            changed=settings.decision_changed,
        ),
        matches=POLICY.matches,
    )


def measured(query: Query, anchor: Query) -> Hit | None:
    """Measure how far two pictures are apart; vectors compare only within one space."""
    vector = anchor.vector if anchor.space_id == query.space_id else None
    return measure(query, anchor.image_id, anchor.fingerprint, vector, POLICY)


def _similar_at(models: ModelRegistry, space_id: str | None) -> float | None:
    space = models.of(space_id) if space_id is not None else None
    return None if space is None else space.similar_at
