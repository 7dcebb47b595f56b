"""The lock under which one caller computes at a time: urgent ones first, but not for ever."""

from __future__ import annotations

import threading
import time

import pytest

from adapters.embedding import priority_lock
from adapters.embedding.priority_lock import LEEWAY, PriorityLock

PATIENCE = 10.0


class Line:
    """Callers that come one after the other while the first holds the turn."""

    def __init__(self) -> None:
        self.turns = PriorityLock()
        self.order: list[str] = []
        self._threads: list[threading.Thread] = []

    def join(self, name: str, *, urgent: bool) -> None:
        """Stand in line, and return once it stands there."""
        before = self.turns.waiting
        thread = threading.Thread(target=self._take, args=(name,), kwargs={"urgent": urgent})
        self._threads.append(thread)
        thread.start()
        deadline = time.monotonic() + PATIENCE
        while self.turns.waiting == before:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _take(self, name: str, *, urgent: bool) -> None:
        with self.turns.take(urgent=urgent):
            self.order.append(name)

    def end(self) -> list[str]:
        """Wait for all threads, and return their names in the order of their turns."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return self.order


def test_urgent_callers_pass_others_and_not_each_other() -> None:
    """Within each kind it is first come, first served."""
    line = Line()
    with line.turns.take():
        for name in ("batch 1", "check 1", "batch 2", "check 2"):
            line.join(name, urgent=name.startswith("check"))
    assert line.end() == ["check 1", "check 2", "batch 1", "batch 2"]


def test_a_batch_is_passed_a_few_times_only() -> None:
    """However many checks come, a batch has its turn among them."""
    line = Line()
    with line.turns.take():
        line.join("batch", urgent=False)
        for n in range(3 * LEEWAY):
            line.join(f"check {n}", urgent=True)
    order = line.end()
    assert len(order) == 3 * LEEWAY + 1
    assert 1 <= order.index("batch") <= LEEWAY


def test_an_error_gives_the_turn_on() -> None:
    """A pass that failed does not stop the next."""
    line = PriorityLock()
    with pytest.raises(RuntimeError), line.take():
        raise RuntimeError
    with line.take():
        assert line.waiting == 0


def test_batches_know_of_checks_around_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while after one, and no longer."""
    monkeypatch.setattr(priority_lock, "CALM", 60.0)
    line = PriorityLock()
    with line.take() as busy:
        assert not busy
    with line.take(urgent=True) as busy:
        assert busy
    with line.take() as busy:
        assert busy
    monkeypatch.setattr(priority_lock, "CALM", 0.0)
    with line.take() as busy:
        assert not busy
