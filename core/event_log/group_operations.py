"""Operations on an original that also apply to its copies: deletes and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.event_log.operations import SettleView, TenantNow, absent, held, operation, stale
from core.matching.verdict import Rules, inherited, look, proof_of, stricter
from core.records import Job, LogPlace, Operation, State, Tombstone
from core.types import Decision


def delete(view: SettleView, job: Job, now: TenantNow, rules: Rules) -> Operation:
    """Delete a record; a large group in steps: closed, its copies evaluated again, then removed."""
    image_id = job.image_id
    state = view.state(image_id)
    if state is None:
        upload = None if view.gone(image_id) else view.upload(image_id)
        if upload is None:
            return absent(view, job, now)
        own, ended = upload
        return operation(job, now, "deleted", removed=(image_id,), also=() if ended else (own,))
    if (wrong := stale(state, job, now) or held(state, job, now)) is not None:
        return wrong
    copies = _in_order(view.copies(image_id))
    inner = view.fork()
    if len(copies) <= rules.copies:
        inner.put((), (Tombstone(image_id, now.seq, now.at),))
        states = _settle_anew(inner, copies, now, rules)
        return operation(job, now, "deleted", states=states, removed=(image_id,))
    if not state.closed:
        return operation(job, now, "closed", states=(replace(state, closed=True),), last=False)
    states = _settle_anew(inner, copies[: rules.copies], now, rules)
    return operation(job, now, "resettled", states=states, last=False)


def _settle_anew(
    view: SettleView, copies: Sequence[State], now: TenantNow, rules: Rules
) -> tuple[State, ...]:
    """Evaluate the copies of a deleted original again, each after the one before."""
    settled = []
    for n, old in enumerate(copies):
        query = view.query(old.image_id)
        blind = old.content == "purged"
        finding = look(view, query, rules, fields=old.fields, before=old.anchor, blind=blind)
        copy = finding.original is not None
        verdict = replace(
            old.verdict,
            kind=finding.kind,
            original=finding.original,
            matches=finding.matches,
            candidates_truncated=finding.truncated,
            policy_version=rules.policy_version,
            pipeline_version=rules.pipeline_version,
            revision=old.verdict.revision + 1,
            decided_at=now.at,
            decided_by="machine",
        )
        value = stricter(old.decision.value, finding.value)
        keep = old.decision.by == "person" or value == old.decision.value
        state = replace(
            old,
            updated_at=now.at,
            verdict=verdict,
            decision=old.decision if keep else Decision(value=value, by="policy", at=now.at),
            anchor=old.anchor if copy or old.anchor else LogPlace(now.seq, now.n + n),
            revision=old.revision + 1,
        )
        view.put((state,), ())
        settled.append(state)
    return tuple(settled)


def decide_on(view: SettleView, job: Job, now: TenantNow, rules: Rules) -> Operation:
    """Record a person's decision, and apply it to the copies of an original, in steps if many."""
    state = view.state(job.image_id)
    if state is None:
        return absent(view, job, now)
    begun = job.job_id in state.spreading  # then it spreads whatever was decided last
    if not begun:
        if (wrong := stale(state, job, now)) is not None:
            return wrong
        state = replace(
            state,
            decision=Decision(
                value=job.value or "review", by="person", at=now.at, reason=job.fields
            ),
            updated_at=now.at,
            revision=state.revision + 1,
        )
    value = state.decision.value
    left = []
    for copy in _in_order(view.copies(job.image_id)):
        due = inherited(value, proof_of(copy), rules.decisions)
        if copy.decision.by != "person" and copy.decision.value != due:
            decision = Decision(value=due, by="policy", at=now.at)
            left.append(
                replace(copy, decision=decision, updated_at=now.at, revision=copy.revision + 1)
            )
    last = len(left) <= rules.copies
    others = tuple(one for one in state.spreading if one != job.job_id)
    state = replace(state, spreading=others if last else (*others, job.job_id))
    states = (state, *left[: rules.copies])
    return operation(job, now, "decided", states=states, last=last)


def _in_order(states: Sequence[State]) -> list[State]:
    return sorted(states, key=lambda state: (state.accepted_at, state.image_id))
