"""An index that shows what it was given half a minute late: settling looks at the log itself."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from adapters import wiring
from adapters.settings import Settings
from adapters.sqlite_index import SQLiteIndex
from core.matching.policy import POLICY
from tests.e2e.talking import until
from tests.e2e.test_serial import mixture
from tests.hard.serial_run import Told, plain, serial
from tests.hard.test_races import accepted

pytestmark = [pytest.mark.hard, pytest.mark.timeout(600)]

LATE = 30.0
FILES = 240
BATCH = 16
TENANT = "default"


class Late(SQLiteIndex):
    """Takes every entry at once, and holds none of it before its time, the watermark included."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, POLICY, durable=False)
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._apply, daemon=True)
        self._thread.start()

    def project_entry(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - whatever the port's is
        act = super().project_entry
        self._due.append((time.monotonic() + LATE, lambda: act(*given, **named)))

    def close(self) -> None:
        """Close at once, whatever is due."""
        self._over.set()
        self._thread.join()
        super().close()

    def _apply(self) -> None:
        while not self._over.wait(0.05):
            while self._due and self._due[0][0] <= time.monotonic():
                self._due.popleft()[1]()


def test_verdicts_are_serial_though_the_index_is_half_a_minute_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, 240 uploads; then all is in the index as well."""
    files = mixture(FILES, 71)
    monkeypatch.setattr(wiring, "open_index", lambda _: Late(tmp_path / "index.sqlite"))
    read = Settings(data=tmp_path / "data", model="none", caption_model="none", durable=False)
    with ExitStack() as stack:
        pair = [wiring.build(read) for _ in range(2)]
        for services in pair:
            stack.callback(services.close)
        ids = accepted(pair[0], tmp_path, files, TENANT)
        place = {image_id: n for n, image_id in enumerate(ids)}

        def work(k: int) -> None:
            mine = ids[k::2]
            for start in range(0, len(mine), BATCH):
                pair[k].ingest.run(TENANT, mine[start : start + BATCH])

        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, range(2)))
        if time.monotonic() - began < LATE:
            assert pair[0].index.watermark(TENANT) == 0
        head = pair[0].log.head(TENANT)
        order: list[int] = []
        told: dict[int, Told] = {}
        for seq in range(1, head + 1):
            entry = pair[0].log.read(TENANT, seq)
            assert entry is not None
            for operation in entry.operations:
                order.append(place[operation.image_id])
                told[order[-1]] = plain(operation.states[0].verdict, place)
        assert sorted(order) == list(range(FILES))

        def projected() -> bool:
            for services in pair:
                services.projector.advance(TENANT)
            return bool(pair[0].index.watermark(TENANT) == head)

        until(projected, 240, 1.0)
        assert None not in pair[0].index.read_states(TENANT, ids)
    monkeypatch.undo()
    alone = tmp_path / "serial"
    alone.mkdir()
    assert told == serial(alone, files, order)
