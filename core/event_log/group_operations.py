"""Deletes and decisions, which reach every record that was confirmed against the picture."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.errors import ConflictError
from core.event_log.operations import (
    SettleView,
    TenantNow,
    absent,
    held,
    operation,
    refused,
    stale,
)
from core.matching.decisions import stricter, strictest
from core.matching.verdict import Rules, look
from core.records import Job, LogPlace, Operation, State, Tombstone
from core.types import Decision, Value


def delete(view: SettleView, job: Job, now: TenantNow, rules: Rules) -> Operation:
    """Delete a record; one that many name in steps: closed, they are evaluated again, removed.

    A picture that a person blocked is hidden if the job says so: what names it stays as it is, as
    later pictures are compared with its entry in the bank.
    """
    image_id = job.image_id
    state = view.state(image_id)
    if state is None or (state.bank is not None and job.erasure != "forget"):
        upload = None if view.gone(image_id) else view.upload(image_id)
        if upload is None:
            return absent(view, job, now)
        own, ended = upload
        return operation(job, now, "deleted", removed=(image_id,), also=() if ended else (own,))
    if (wrong := stale(state, job, now) or held(state, job, now)) is not None:
        return wrong
    if job.erasure == "hide" and _blocked(state) and not state.closed:
        return operation(job, now, "hidden", states=(_banked(state, now),))
    return _remove(view, state, job, now, rules)


def _remove(view: SettleView, state: State, job: Job, now: TenantNow, rules: Rules) -> Operation:
    image_id = state.image_id
    naming = _in_order(view.naming(image_id))
    inner = view.fork()
    if len(naming) <= rules.copies:
        inner.put((), (Tombstone(image_id, now.seq, now.at),))
        states = _settle_anew(inner, image_id, naming, now, rules)
        return operation(job, now, "deleted", states=states, removed=(image_id,))
    if not state.closed:
        return operation(job, now, "closed", states=(replace(state, closed=True),), last=False)
    states = _settle_anew(inner, image_id, naming[: rules.copies], now, rules)
    return operation(job, now, "resettled", states=states, last=False)


def _blocked(state: State) -> bool:
    return state.decision.by == "person" and state.decision.value == "block"


def _banked(state: State, now: TenantNow) -> State:
    """Return what a bank keeps of a picture: digests, verdict, decision and place as an anchor."""
    return replace(
        state,
        bank="BLOCKED",
        content="purged",
        fields=None,
        spaces=(),
        hold_until=None,
        decision=replace(state.decision, reason=None),
        updated_at=now.at,
        revision=state.revision + 1,
    )


def _settle_anew(
    view: SettleView, gone: str, naming: Sequence[State], now: TenantNow, rules: Rules
) -> tuple[State, ...]:
    """Evaluate the records that name a deleted picture again, each after the one before."""
    settled = []
    for n, old in enumerate(naming):
        if old.original == gone:
            place = LogPlace(now.seq, now.n + n)
            state, due = _look_again(view, old, place, now, rules)
        else:
            state = _without(old, gone, now)
            due = strictest(view.state, state, rules.decisions)
        value = stricter(old.decision.value, due)
        if old.decision.by != "person" and value != old.decision.value:
            state = replace(state, decision=Decision(value=value, by="policy", at=now.at))
        view.put((state,), ())
        settled.append(state)
    return tuple(settled)


def _look_again(
    view: SettleView, old: State, place: LogPlace, now: TenantNow, rules: Rules
) -> tuple[State, Value]:
    """Return a copy whose original goes with its new verdict, and the decision due to it."""
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
    state = replace(
        old,
        updated_at=now.at,
        verdict=verdict,
        anchor=old.anchor if copy or old.anchor else place,
        revision=old.revision + 1,
        unlisted=finding.unlisted,
    )
    return state, finding.value


def _without(old: State, gone: str, now: TenantNow) -> State:
    """Drop a confirmed match that is not the original."""
    verdict = replace(
        old.verdict,
        matches=tuple(match for match in old.verdict.matches if match.image_id != gone),
        revision=old.verdict.revision + 1,
        decided_at=now.at,
    )
    return replace(
        old,
        updated_at=now.at,
        verdict=verdict,
        revision=old.revision + 1,
        unlisted=tuple(match for match in old.unlisted if match.image_id != gone),
    )


def decide_on(view: SettleView, job: Job, now: TenantNow, rules: Rules) -> Operation:
    """Record a person's decision, and decide again on all that name it, in steps if many."""
    state = view.state(job.image_id)
    if state is None:
        return absent(view, job, now)
    begun = job.job_id in state.spreading  # then it spreads whatever was decided last
    if state.bank is not None and not begun:
        return absent(view, job, now)
    if not begun:
        if (wrong := stale(state, job, now)) is not None:
            return wrong
        if state.closed:  # the delete that has begun would erase the decision
            return refused(
                job, now, ConflictError("the picture is being deleted: it cannot be decided on")
            )
        state = replace(
            state,
            decision=Decision(
                value=job.value or "review", by="person", at=now.at, reason=job.fields
            ),
            updated_at=now.at,
            revision=state.revision + 1,
        )
    left = _due_again(view, state, now, rules)
    last = len(left) <= rules.copies
    others = tuple(one for one in state.spreading if one != job.job_id)
    state = replace(state, spreading=others if last else (*others, job.job_id))
    states = (state, *left[: rules.copies])
    return operation(job, now, "decided", states=states, last=last)


def _due_again(view: SettleView, state: State, now: TenantNow, rules: Rules) -> list[State]:
    """Decide again on records that name this one; return those that change, at most copies + 1."""
    inner = view.fork()
    inner.put((state,), ())
    left: list[State] = []
    for copy in _in_order(view.naming(state.image_id)):
        if len(left) > rules.copies:
            break
        if copy.decision.by == "person":
            continue
        due = strictest(inner.state, copy, rules.decisions)
        if copy.decision.value != due:
            decision = Decision(value=due, by="policy", at=now.at)
            left.append(
                replace(copy, decision=decision, updated_at=now.at, revision=copy.revision + 1)
            )
    return left


def _in_order(states: Sequence[State]) -> list[State]:
    return sorted(states, key=lambda state: (state.accepted_at, state.image_id))
