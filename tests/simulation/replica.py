"""One copy of the index: what was written to it, and what is still on its way."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.records import Outcome, State, Tombstone
from core.types import ActiveSpaces


@dataclass
class Replica:
    """One copy of the index; writes reach it through a queue of its own."""

    states: dict[str, tuple[int, State]] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    watermark: int = 0
    standings: dict[str, tuple[int, ActiveSpaces]] = field(default_factory=dict)
    queue: list[tuple[int, State | Tombstone | Outcome | ActiveSpaces | None]] = field(
        default_factory=list
    )

    def take(self) -> None:
        """Make the oldest write of the queue visible."""
        seq, written = self.queue.pop(0)
        match written:
            case None:
                if seq == self.watermark + 1:
                    self.watermark = seq
            case State():
                self.write(seq, written)
            case Tombstone():
                self.states.pop(written.image_id, None)
                self.tombstones[written.image_id] = written
            case Outcome():
                self.outcomes[written.job_id] = written
            case ActiveSpaces():
                self.standings[written.kind] = max(
                    (seq, written), self.standings.get(written.kind, (0, written)), key=_seq
                )

    def write(self, seq: int, state: State) -> None:
        """Apply a write: the highest seq wins, tombstones stay."""
        held = self.states.get(state.image_id)
        if state.image_id not in self.tombstones and (held is None or held[0] <= seq):
            self.states[state.image_id] = (seq, state)


def _seq(written: tuple[int, ActiveSpaces]) -> int:
    return written[0]
