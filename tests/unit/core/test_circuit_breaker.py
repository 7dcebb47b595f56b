"""The circuit breaker: what counts, who is refused and for how long."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.circuit_breaker import CircuitBreaker
from core.errors import IndexUnavailableError, QueueUnavailableError

FIRST, LONGEST = 1.0, 10.0


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Called:
    """A breaker on a clock of its own, and how many calls it let through."""

    def __init__(self, after: int = 1) -> None:
        self.clock = Clock()
        self.breaker = CircuitBreaker(
            QueueUnavailableError, first=FIRST, longest=LONGEST, after=after, clock=self.clock
        )
        self.asked = 0

    def ask(
        self, *, fails: bool = False, meanwhile: Callable[[bool], object] = lambda _: None
    ) -> bool:
        """Call once; whether it went through and succeeded."""
        try:
            with self.breaker.guard() as trial:
                self.asked += 1
                meanwhile(trial)
                if fails:
                    self.fail()
        except (QueueUnavailableError, IndexUnavailableError):
            return False
        return True

    def fail(self) -> None:
        """Raise an error, as a server that is down does."""
        raise IndexUnavailableError("the index is down")


@pytest.fixture
def called() -> Called:
    """Return a breaker that opens at the first failure."""
    return Called()


def test_pauses_double_up_to_the_longest(called: Called) -> None:
    """Open for 1 s, 2 s, 4 s … 10 s, a single trial each time, and closed by one success."""
    pause = FIRST
    for _ in range(6):
        before = called.asked
        assert [called.ask(fails=True) for _ in range(5)] == [False] * 5
        assert called.asked == before + 1
        called.clock.now += 0.99 * pause
        assert not called.ask()
        called.clock.now += 0.02 * pause
        pause = min(LONGEST, 2 * pause)
    assert called.ask()
    assert called.ask()


def test_a_refusal_says_why(called: Called) -> None:
    """It has the breaker's kind of error and the text of the failure, once."""
    called.ask(fails=True)
    for _ in range(3):
        with pytest.raises(QueueUnavailableError) as refused, called.breaker.guard():
            pass
        assert refused.value.detail == "the index is down; it is tried again in a moment"
        called.clock.now += LONGEST
        with pytest.raises(QueueUnavailableError), called.breaker.guard():
            raise refused.value


def test_one_trial_at_a_time(called: Called) -> None:
    """While it is under way the others are refused; one that ends in a defect decides nothing."""
    trials: list[bool] = []

    def spoil(trial: bool) -> None:
        trials.append(trial)
        assert not called.ask()
        raise ZeroDivisionError

    called.ask(fails=True)
    called.clock.now += FIRST
    with pytest.raises(ZeroDivisionError):
        called.ask(meanwhile=spoil)
    assert called.ask(meanwhile=trials.append)
    assert called.ask(meanwhile=trials.append)
    assert trials == [True, True, False]


def test_failures_side_by_side_count_once(called: Called) -> None:
    """They do not count at all for a call that began before another one succeeded."""

    def answered(trial: bool) -> None:
        assert trial
        called.clock.now += 0.1
        called.breaker.close()

    assert not called.ask(fails=True, meanwhile=lambda _: called.ask(fails=True))
    called.clock.now += 1.01 * FIRST
    assert not called.ask(fails=True, meanwhile=answered)
    called.breaker.check()
    assert called.ask()


def test_a_check_is_no_trial(called: Called) -> None:
    """It is refused during the pause alone, and opens nothing."""
    called.breaker.check()
    called.ask(fails=True)
    with pytest.raises(QueueUnavailableError):
        called.breaker.check()
    called.clock.now += FIRST
    called.breaker.check()
    assert called.breaker.is_open


def test_it_may_take_several_failures() -> None:
    """They count in a row: a success in between starts over."""
    called = Called(after=3)
    for fails in (True, True, False, True, True):
        called.ask(fails=fails)
        assert not called.breaker.is_open
    called.ask(fails=True)
    assert called.breaker.is_open
    assert called.asked == 6
    called.clock.now += 1.01 * FIRST
    assert not called.ask(fails=True)
    called.clock.now += 1.01 * FIRST
    assert not called.ask()
    assert called.asked == 7
