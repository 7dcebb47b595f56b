"""Evaluation of duplicate checks on any photos: recall, candidates and false verdicts.

Every photo is stored, edited in each of the named ways, and checked. Every photo is then checked as
a mere re-encoding, and every other confirmation is listed. Photos are split by the SHA-256 of their
name, so that thresholds tuned on the even ones are judged on the odd ones.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import starmap
from pathlib import Path

from PIL import Image

from core.evidence import Evidence
from core.imaging.decoding import beginning, whole
from core.matching.candidates import worth
from core.matching.policy import Policy
from core.types import COPY_KINDS, Hit, Verdict
from evaluation import pairwise
from evaluation.banned import BanCheck
from evaluation.duplicates_plan import DuplicatesPlan
from evaluation.edits import ALL_EDITS, Edit, jpeg
from evaluation.edits.truth import truth
from evaluation.families import check_family, copies_of
from evaluation.instance import Instance, Told
from evaluation.labelled_pairs import check_pairs
from evaluation.report import (
    CandidateCounts,
    DuplicatesReport,
    EditFound,
    FalseConfirmation,
    PairwiseErrors,
    Proportion,
    TemplateErrors,
    WrongPair,
    confirmed,
    is_odd,
    mean,
    paired,
    share,
    shown,
)
from evaluation.statement_truth import StatementTally
from evaluation.synthetic_templates import FAMILIES

_BATCH = 64
_OTHERS = 3
"""Next photos that collages and screens of a photo show beside it."""
_REENCODED = 95
"""JPEG quality at which a photo is checked again: other bytes, other pixels, the same picture."""


class DuplicatesEvaluation:
    """One run over one instance; `wrong` collects the false verdicts on the way."""

    def __init__(
        self, instance: Instance, plan: DuplicatesPlan, policy: Policy, told: Told
    ) -> None:
        self._instance = instance
        self._plan = plan
        self._policy = policy
        self._told = told
        self._ids: dict[Path, str] = {}
        self._refused: dict[str, str] = {}
        self._copies: dict[str, str] = {}
        self._anchors: dict[Path, str] = {}
        self._shown_by: dict[str, Path] = {}
        self._held: dict[Path, Image.Image] = {}
        self._tally = StatementTally()
        self._proposed = 0
        self._confused: dict[frozenset[str], FalseConfirmation] = {}
        self.wrong: list[WrongPair] = []

    def run(self) -> DuplicatesReport:
        """Run everything the plan asks for, in order."""
        began = time.monotonic()
        plan = self._plan
        lefts = (pair.left for pair in plan.labelled)
        self._store((*plan.photos, *plan.lookalikes, *plan.distractors, *lefts))
        photos, alike = map(self._stored, (plan.photos, plan.lookalikes))
        edits = [self._edit(ALL_EDITS[name], photos) for name in plan.edits if photos]
        sets = [one for one in (("photos", photos), ("look-alikes", alike)) if one[1]]
        again = list(starmap(self._again, sets))
        pairs = [errors for _, errors in again]
        if plan.all_pairs:
            pairs += starmap(self._all_pairs, sets)
        if edits:
            pairs.append(self._candidates(len(edits) * len(photos)))
        labelled = check_pairs(self._instance, plan.labelled, self._anchors, self._told)
        families = tuple(map(self._family, plan.families))
        banned = BanCheck(self._instance, self._anchors, self._opened, self._told)
        return DuplicatesReport(
            photos=len(photos),
            stored=len(self._ids),
            refused=self._refused,
            copies=self._copies,
            model=self._instance.model,
            policy_version=self._policy.version,
            edits=tuple(edits),
            odd=_pooled(edits),
            looked=tuple(counts for counts, _ in again),
            pairs=tuple(pairs),
            templates=families,
            statements=self._tally.statements(),
            regions=self._tally.regions(),
            labelled=labelled,
            banned=banned.run(photos, plan.banned) if plan.banned else (),
            seconds=round(time.monotonic() - began, 1),
        )

    def _stored(self, paths: Sequence[Path]) -> list[Path]:
        return [path for path in paths if path in self._ids]

    def _family(self, name: str) -> TemplateErrors:
        count = self._plan.instances
        return check_family(
            self._instance, FAMILIES[name], self._policy, count, self._told, order=self._plan.order
        )

    # --- storing --------------------------------------------------------------------------------

    def _store(self, paths: Sequence[Path]) -> None:
        paths = list(dict.fromkeys(paths))
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            stored = self._instance.ingest(
                [beginning(path, self._instance.limits) for path in batch]
            )
            for path, one in zip(batch, stored, strict=True):
                if one.verdict is None:
                    self._refused[path.name] = one.error
                    continue
                self._ids[path] = self._anchors[path] = one.image_id
                if one.verdict.original and one.verdict.kind in COPY_KINDS:
                    self._anchors[path] = one.verdict.original
            self._told("storing", min(start + _BATCH, len(paths)), len(paths))
        self._shown_by = {anchor: path for path, anchor in self._anchors.items()}
        names = {image_id: path.name for path, image_id in self._ids.items()}
        self._copies.update(
            (path.name, names.get(anchor, anchor))
            for path, anchor in self._anchors.items()
            if anchor != self._ids[path]
        )

    # --- recall ---------------------------------------------------------------------------------

    def _edit(self, edit: Edit, photos: Sequence[Path]) -> EditFound:
        """Check each photo edited in one way: is it found, and called a copy of its original."""
        right: dict[Path, bool] = {}
        found: list[Hit] = []
        for done, path in enumerate(photos, 1):
            following = (photos[(done + n) % len(photos)] for n in range(_OTHERS))
            right[path], hits = self._check_edit(edit, path, [o for o in following if o != path])
            found += hits
            self._told(edit.title, done, len(photos))
        by_hash, by_visual, by_features = _by_source(found)
        halves: dict[bool, list[bool]] = {True: [], False: []}
        for path, flag in right.items():
            halves[is_odd(path.name)].append(flag)
        return EditFound(
            name=edit.name,
            title=edit.title,
            expected=edit.expected,
            all=share(right.values()),
            odd=share(halves[True]),
            even=share(halves[False]),
            candidate=Proportion(len(found), len(photos)),
            by_hash=Proportion(by_hash, len(photos)),
            by_visual=Proportion(by_visual, len(photos)),
            by_features=Proportion(by_features, len(photos)),
            missed=tuple(path.name for path, flag in right.items() if not flag),
        )

    def _check_edit(self, edit: Edit, path: Path, others: Sequence[Path]) -> tuple[bool, list[Hit]]:
        """Check one edited photo; return whether it is called a copy, and the hit on it."""
        image, anchor = self._opened(path), self._anchors[path]
        made = edit.canvas(image, path.name, tuple(map(self._opened, others)))
        data = edit.encode(made.image)
        verdict = self._instance.check(data)
        near = self._instance.near(data).hits
        right = anchor in copies_of(verdict)
        for match in verdict.matches:
            if match.image_id == anchor and match.kind == "near_duplicate":
                self._tally.add(f"{edit.name} {path.name}", truth(made, image), match.evidence)
        if not right and edit.expected is not None:
            self._show(f"{edit.title}: {_called(verdict)}", data, path.read_bytes())
        self._proposals(edit, path, others, near, verdict)
        return right, [hit for hit in near if hit.image_id == anchor][:1]

    def _proposals(
        self,
        edit: Edit,
        path: Path,
        others: Sequence[Path],
        near: Sequence[Hit],
        verdict: Verdict,
    ) -> None:
        """Count the candidates that show another photo, and those of them that are confirmed."""
        own = {self._anchors[one] for one in (path, *others)}
        self._proposed += sum(hit.image_id not in own for hit in near)
        for match in verdict.matches:
            other = self._shown_by.get(match.image_id)
            if match.confirmed and other is not None and match.image_id not in own:
                self._pair(self._confused, path, other, match.evidence, edit.title)

    # --- what is not a copy ---------------------------------------------------------------------

    def _again(self, label: str, paths: Sequence[Path]) -> tuple[CandidateCounts, PairwiseErrors]:
        """Check each as a re-encoding: count candidates and confirmations besides itself."""
        names = {self._ids[path]: path for path in paths}
        counted: list[list[Hit]] = []
        pairs_found: dict[frozenset[str], FalseConfirmation] = {}
        for done, path in enumerate(paths, 1):
            data = jpeg(self._opened(path), _REENCODED)
            own = {self._ids[path], self._anchors[path]}
            near = self._instance.near(data).hits
            counted.append([hit for hit in near if hit.image_id not in own])
            for match in self._instance.check(data).matches:
                other = names.get(match.image_id)
                if match.confirmed and other is not None and match.image_id not in own:
                    self._pair(pairs_found, path, other, match.evidence, label)
            self._told(f"{label} again", done, len(paths))
        self._add_copies(pairs_found, {path.name for path in paths})
        return _counts(label, counted, self._policy), paired(
            label, "pipeline", len(paths), pairs_found
        )

    def _add_copies(
        self, found: dict[frozenset[str], FalseConfirmation], names: AbstractSet[str]
    ) -> None:
        """Add the files among these that were called copies of each other as they were stored."""
        for name, other in self._copies.items():
            if {name, other} <= names:
                pair = confirmed(name, other, Evidence(), self._plan.known)
                found.setdefault(frozenset((name, other)), pair)

    def _candidates(self, checks: int) -> PairwiseErrors:
        """Report on the candidates of all edited photos that show another photo."""
        return PairwiseErrors(
            label="edits",
            way="proposed",
            pictures=checks,
            pairs=self._proposed,
            confirmed=tuple(self._confused.values()),
        )

    def _all_pairs(self, label: str, paths: Sequence[Path]) -> PairwiseErrors:
        stage = f"{label}, all pairs"
        found: dict[frozenset[str], FalseConfirmation] = {}
        laid = pairwise.related(
            [path.read_bytes() for path in paths],
            self._policy,
            lambda done: self._told(stage, done, len(paths)),
            self._instance.limits,
            processes=self._plan.processes,
        )
        for one in laid:
            if not one.comparison.confirmed:
                continue
            self._pair(found, paths[one.one], paths[one.other], one.comparison.evidence, stage)
        return paired(label, "all pairs", len(paths), found)

    def _pair(
        self,
        found: dict[frozenset[str], FalseConfirmation],
        one: Path,
        other: Path,
        evidence: Evidence,
        label: str,
    ) -> None:
        both = frozenset((one.name, other.name))
        if both in found:
            return
        found[both] = confirmed(one.name, other.name, evidence, self._plan.known)
        if not found[both].known:
            self._show(f"{label}: {one.name}, {other.name}", one.read_bytes(), other.read_bytes())

    def _show(self, label: str, one: bytes, other: bytes) -> None:
        limits = self._instance.limits
        first, second = (shown(whole(data, limits)) for data in (one, other))
        self.wrong.append(WrongPair(label=label, one=first, other=second))

    def _opened(self, path: Path) -> Image.Image:
        """Open a photo; the last few stay in memory, as each is among the others of the next."""
        image = self._held.pop(path, None)
        if image is None:
            image = whole(path.read_bytes(), self._instance.limits)
        self._held[path] = image
        while len(self._held) > _OTHERS + 1:
            self._held.pop(next(iter(self._held)))
        return image


def _pooled(edits: Sequence[EditFound]) -> Proportion:
    return Proportion(sum(e.odd.found for e in edits), sum(e.odd.asked for e in edits))


def _by_source(hits: Sequence[Hit]) -> tuple[int, int, int]:
    """Count the hits that hash, vector and local features found."""
    return (
        sum(hit.hamming is not None for hit in hits),
        sum(hit.similarity is not None for hit in hits),
        sum(hit.votes is not None for hit in hits),
    )


def _counts(label: str, counted: Sequence[Sequence[Hit]], policy: Policy) -> CandidateCounts:
    """Average the candidates of each picture, itself left out."""
    sources = [_by_source(hits) for hits in counted]
    return CandidateCounts(
        label=label,
        pictures=len(counted),
        by_hash=mean(by_hash for by_hash, _, _ in sources),
        by_visual=mean(by_visual for _, by_visual, _ in sources),
        by_features=mean(by_features for _, _, by_features in sources),
        together=mean(len(hits) for hits in counted),
        laid_over=mean(len(worth(hits, policy)) for hits in counted),
        most=max(map(len, counted)),
    )


def _called(verdict: Verdict) -> str:
    return verdict.kind if verdict.original is None else f"{verdict.kind} of another"
