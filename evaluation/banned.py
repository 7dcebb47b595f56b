"""Evaluation of bans: copies of a blocked photo, uploaded before the ban and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from evaluation.edits import ALL_EDITS
from evaluation.families import copies_of
from evaluation.instance import Instance, Told
from evaluation.report import BannedFound, Proportion

_EDITS = (
    "meme", "meme-two-lines", "stickers", "scribbles", "censor-bars", "ellipse", "avatar",
    "collage", "collage-4", "collage-9", "inset",
)  # fmt: skip
"""Edits that hide a part of the photo, or show it beside older pictures that are allowed."""
_GROUP = 4
"""Photos of a group, oldest first: two stay allowed, one is banned before its copies are uploaded,
one after."""


class BanCheck:
    """Bans of some stored photos, and uploads of their edited copies."""

    def __init__(
        self,
        instance: Instance,
        anchors: Mapping[Path, str],
        opened: Callable[[Path], Image.Image],
        told: Told,
    ) -> None:
        self._instance = instance
        self._anchors = anchors
        self._opened = opened
        self._told = told

    def run(self, photos: Sequence[Path], count: int) -> tuple[BannedFound, ...]:
        """Ban `count` of the photos before and as many after their copies are uploaded.

        `photos` are in the order in which they were stored; of each four the last two are banned.
        """
        groups = [photos[start : start + _GROUP] for start in range(0, len(photos), _GROUP)]
        groups = [group for group in groups if len(group) == _GROUP][:count]
        for _, _, path, _ in groups:
            self._instance.ban(self._anchors[path])
        after = self._uploads([(path, (one, other)) for one, other, path, _ in groups], "after")
        before = self._uploads([(path, (one, other)) for one, other, _, path in groups], "before")
        for _, _, _, path in groups:
            self._instance.ban(self._anchors[path])
        return tuple(
            BannedFound(
                name=name,
                after=_found(after[name]),
                blocked_after=self._blocked(after[name]),
                before=_found(before[name]),
                blocked_before=self._blocked(before[name]),
            )
            for name in _EDITS
        )

    def _uploads(
        self, photos: Sequence[tuple[Path, tuple[Path, Path]]], label: str
    ) -> dict[str, list[tuple[str, bool]]]:
        """Upload each edit of each photo; return ids by edit, and whether the photo was found."""
        uploaded: dict[str, list[tuple[str, bool]]] = {}
        for done, name in enumerate(_EDITS, 1):
            uploaded[name] = []
            for path, older in photos:
                others = tuple(map(self._opened, older))
                data = ALL_EDITS[name].apply(self._opened(path), f"ban {path.name}", others)
                (stored,) = self._instance.ingest([data])
                found = self._anchors[path] in copies_of(stored.verdict)
                uploaded[name].append((stored.image_id, found))
            self._told(f"copies uploaded {label} a ban", done, len(_EDITS))
        return uploaded

    def _blocked(self, uploaded: Sequence[tuple[str, bool]]) -> Proportion:
        """Count the blocked ones among those whose banned original was found."""
        found = [image_id for image_id, right in uploaded if right]
        return Proportion(sum(map(self._instance.is_blocked, found)), len(found))


def _found(uploaded: Sequence[tuple[str, bool]]) -> Proportion:
    return Proportion(sum(found for _, found in uploaded), len(uploaded))
