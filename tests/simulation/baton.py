"""Threads of which one runs at a time; each gate chooses the next holder of the baton."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

Choose = Callable[[int], int]
"""Chooser of one of n ways to continue, from 0 on."""


class _Runner:
    """Reusable thread: starting one for each schedule costs too much."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self._bodies: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def give(self, body: Callable[[], None]) -> None:
        self._bodies.put(body)

    def _run(self) -> None:
        while True:
            self._bodies.get()()


_RUNNERS: list[_Runner] = []


class Baton:
    """Scheduler that interleaves bodies at their gates."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._alive: list[_Runner] = []
        self._holder: _Runner | None = None
        self._done = threading.Lock()
        self._error: BaseException | None = None

    def gate(self) -> None:
        """Let another body run first, if so chosen; do nothing outside of a run."""
        me = self._holder
        if me is None or len(self._alive) == 1:
            return
        # The holder is asked about first, so that choosing 0 means going on undisturbed.
        others = [runner for runner in self._alive if runner is not me]
        n = self._choose(len(self._alive))
        if n:
            self._hand(others[n - 1])
            me.turn.acquire()

    def run(self, bodies: Sequence[Callable[[], None]]) -> None:
        """Run all bodies to their end; raise the first error of one of them."""
        while len(_RUNNERS) < len(bodies):
            _RUNNERS.append(_Runner())
        self._alive = _RUNNERS[: len(bodies)]
        self._done.acquire()
        for runner, body in zip(tuple(self._alive), bodies, strict=True):
            runner.give(self._body(runner, body))
        self._hand(self._alive[self._choose(len(bodies))])
        self._done.acquire()
        self._holder = None
        if self._error is not None:
            raise self._error

    def _body(self, me: _Runner, body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            me.turn.acquire()
            try:
                body()
            except BaseException as error:  # noqa: BLE001  raised again where `run` was called
                self._error = self._error or error
            self._alive.remove(me)
            if self._alive:
                n = self._choose(len(self._alive))
                self._hand(self._alive[n])
            else:
                self._done.release()

        return run

    def _hand(self, runner: _Runner) -> None:
        self._holder = runner
        runner.turn.release()
