"""Evaluation on labelled pairs of files: copies, variants and different pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from cli.file_reading import read_text
from core.errors import InputError
from core.imaging.decoding import beginning
from core.types import Verdict
from evaluation.families import copies_of
from evaluation.instance import Instance, Told
from evaluation.report import LABELS, Label, LabelledPair

_HEADER = ["left", "right", "label"]


class Pair(Struct, frozen=True):
    """Two files, and their relation as a person sees it."""

    left: Path
    right: Path
    label: Label


def read_pairs(table: Path) -> tuple[Pair, ...]:
    """Read a CSV file of the columns left, right and label; files are relative to its folder.

    Raise InputError for another header, a line without three columns, an unknown label or a
    missing file.
    """
    rows = list(csv.reader(io.StringIO(read_text(table), newline="")))
    if not rows or rows[0] != _HEADER:
        raise InputError(f"{table}: the first line has to be `{','.join(_HEADER)}`")
    labels: Mapping[str, Label] = {label: label for label in LABELS}
    pairs = []
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(_HEADER) or row[2] not in labels:
            allowed = ", ".join(labels)
            raise InputError(
                f"{table}, line {number}: {row} has to be two files and one of {allowed}"
            )
        left, right = (table.parent / name for name in row[:2])
        for path in (left, right):
            if not path.is_file():
                raise InputError(f"{table}, line {number}: there is no file {path}")
        pairs.append(Pair(left, right, labels[row[2]]))
    return tuple(pairs)


def check_pairs(
    instance: Instance,
    pairs: Sequence[Pair],
    anchors: Mapping[Path, str],
    told: Told,
) -> tuple[LabelledPair, ...]:
    """Check the right picture of each pair against the left one, which is stored.

    `anchors` holds the id of each stored file, or of the original whose copy it was called.
    """
    found = []
    for done, pair in enumerate(pairs, 1):
        found.append(_checked(instance, pair, anchors.get(pair.left)))
        told("labelled pairs", done, len(pairs))
    return tuple(found)


def _checked(instance: Instance, pair: Pair, anchor: str | None) -> LabelledPair:
    relation: Label | None = None
    candidate, words = False, ""
    if anchor is not None:
        try:
            data = beginning(pair.right, instance.limits)
            verdict = instance.check(data)
            candidate = any(hit.image_id == anchor for hit in instance.near(data).hits)
        except InputError as error:
            words = error.detail
        else:
            relation = _relation(verdict, anchor)
            words = next((m.evidence.words for m in verdict.matches if m.image_id == anchor), "")
    return LabelledPair(
        left=pair.left.name,
        right=pair.right.name,
        label=pair.label,
        found=relation,
        candidate=candidate,
        words=words,
    )


def _relation(verdict: Verdict, anchor: str) -> Label:
    if anchor in copies_of(verdict):
        return "copy"
    alike = (match for match in verdict.matches if match.kind == "variant")
    return "variant" if any(match.image_id == anchor for match in alike) else "different"
