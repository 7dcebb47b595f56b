"""Log lines and metrics that a real service writes while pictures go through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.backends import servers
from tests.backends.server_process import free_ports
from tests.e2e.fleet import Fleet, Process
from tests.e2e.service import Service
from tests.e2e.talking import Talking, until
from tests.samples.pictures import png, tiny

PERSONAL = {"title": "Grandmother by the lake", "owner_id": "owner-of-it-all"}


def shown(text: str) -> dict[tuple[str, ...], float]:
    """Return samples by name and values of labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Lines:
    """The service's log, read."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> list[dict[str, Any]]:
        """Return every line but the plain ones of standard output."""
        return [json.loads(line) for line in self._service.log().splitlines() if line[:1] == "{"]

    def naming(self, job_id: str) -> list[dict[str, Any]]:
        """Return the lines that name a job anywhere."""
        return [line for line in self.all() if job_id in json.dumps(line)]

    def steps(self, job_id: str, level: str) -> list[str]:
        """Return the events of one job that the core logged at a level."""
        return [
            line["event"]
            for line in self.naming(job_id)
            if line["logger"].startswith("core.") and line["level"] == level
        ]


def test_lines_and_figures_follow_an_upload(tmp_path: Path) -> None:
    """Two lines at info, each step at debug, all with its job_id and without a caller's words."""
    service = Service(
        tmp_path / "data", settings={"SEENIT_LOG_FORMAT": "json", "SEENIT_LOG_LEVEL": "debug"}
    ).start()
    try:
        good = png(tiny(1, 96))
        # alone, so that it is neither decoded nor settled beside the broken one
        (first,) = service.upload([("a.png", good)], wait=30, **PERSONAL).json()["items"]
        (second,) = service.upload([("b.png", good[: len(good) // 2])], wait=30).json()["items"]
        assert (first["status"], second["status"]) == ("done", "failed")
        service.client.delete(f"/v1/images/{first['image_id']}")
        lines = Lines(service)
        one, other = str(first["job_id"]), str(second["job_id"])
        until(lambda: len(lines.steps(one, "debug")) == 3 and len(_about(lines, one)) == 4)

        named = [line for line in lines.naming(one) if line.get("job_id") != one]
        for line in named:  # a batch, a request, and what was done to the picture later
            assert one in line.get("job_ids", ()) or line["image_id"] == one, line
        assert lines.steps(one, "debug") == ["received", "decoded", "projected"]
        assert lines.steps(other, "info") == ["accepted", "failed"]
        accepted, settled, told, deleted = _about(lines, one)
        assert (accepted["event"], accepted["bytes"]) == ("accepted", len(good))
        assert accepted["request_id"]
        assert (settled["event"], settled["verdict"], settled["seq"]) == ("settled", "new", 1)
        assert settled["ms"] >= 0
        assert {line["tenant"] for line in (accepted, settled)} == {"default"}
        assert (told["kind"], deleted["event"]) == ("delete", "deleted")
        assert told["job_id"] == deleted["job_id"] != one
        failed = [line for line in lines.naming(other) if line["event"] == "failed"]
        assert [line["reason"] for line in failed] == ["broken"]
        assert not any(word in service.log() for word in PERSONAL.values())

        figures = until(lambda: _figures(service, "seenit_stage_pictures_total", "project", 3))
        assert figures["seenit_accepted_total", "ingest"] == 2
        assert figures["seenit_accepted_total", "delete"] == 1
        assert figures["seenit_verdicts_total", "new"] == 1
        assert figures["seenit_failures_total", "broken"] == 1
        assert figures["seenit_entries_total",] == 3
        assert figures["seenit_wait_seconds_count", "queue"] == 3
        assert figures["seenit_wait_seconds_count", "verdict"] == 3
        assert figures["seenit_stage_pictures_total", "decode"] == 2
        assert figures["seenit_batch_pictures_count",] == 3
        assert figures["seenit_conflicts_total",] == 0
        assert figures["seenit_log_lag_entries",] == 0
        assert figures["process_resident_memory_bytes",] > 1e6
    finally:
        service.client.close()
        service.stop()


def _about(lines: Lines, job_id: str) -> list[dict[str, Any]]:
    """Return the audit lines of one job at info."""
    return [
        line
        for line in lines.naming(job_id)
        if line["logger"] == "core.event_log.audit" and line["level"] == "info"
    ]


def _figures(
    talking: Talking, name: str, label: str, least: float, port: int | None = None
) -> dict[tuple[str, ...], float] | None:
    """Return a process' metrics once one of them is as high, else None: counts lag a moment."""
    try:
        at = "" if port is None else f"http://127.0.0.1:{port}"
        found = shown(talking.client.get(f"{at}/metrics").text)
    except httpx.TransportError:  # it does not listen yet
        return None
    return found if found.get((name, label), 0) >= least else None


def test_lines_and_figures_of_several_processes(
    tmp_path: Path, weaviate_server: servers.Weaviate | servers.Given
) -> None:
    """The API logs that a job was accepted, a worker that it was settled; each has its metrics."""
    ports = dict(zip(("worker0", "beat"), free_ports(2), strict=True))
    with servers.redis(tmp_path / "redis") as redis:
        parts = Fleet(
            tmp_path / "fleet",
            redis=redis.url,
            weaviate=weaviate_server.url,
            blobs=(tmp_path / "blobs").as_uri(),
            settings={
                "SEENIT_INDEX_PREFIX": f"Logs{uuid4().hex[:8]}",
                "SEENIT_LOG_FORMAT": "json",
                "SEENIT_LOG_LEVEL": "info",
                "SEENIT_INDEX_KEY": getattr(weaviate_server, "key", None) or "",
            },
        )
        for process in (*parts.workers, parts.beat):
            process._settings["SEENIT_METRICS_PORT"] = str(ports[process.name])
        try:
            parts.start()
            (item,) = parts.upload([("a.png", png(tiny(1, 96)))], wait=30).json()["items"]
            assert item["status"] == "done", item
            door = until(lambda: _figures(parts, "seenit_accepted_total", "ingest", 1))
            worker, beat = (
                until(lambda of=of: _figures(parts, *of))  # type: ignore[misc]
                for of in (
                    ("seenit_verdicts_total", "new", 1, ports["worker0"]),
                    ("seenit_stage_seconds_count", "sweep", 1, ports["beat"]),
                )
            )
            until(lambda: "answered" in _events(parts.apis[0], item["job_id"]))
            about = {one.name: _events(one, item["job_id"]) for one in parts.processes}
            assert about == {"api0": ["accepted", "answered"], "worker0": ["settled"], "beat": []}
            assert door["seenit_accepted_total", "ingest"] == 1
            assert worker["seenit_verdicts_total", "new"] == 1
            assert worker["seenit_wait_seconds_count", "queue"] == 1
            assert worker["seenit_wait_seconds_sum", "queue"] < 30
            assert ("seenit_verdicts_total", "new") not in door.keys() | beat.keys()
        finally:
            parts.close()


def _events(process: Process, job_id: str) -> list[str]:
    """Return the events of one job at info, without those of the process itself."""
    return [
        line["event"]
        for text in process.log.read_text().splitlines()
        if text[:1] == "{"
        for line in [json.loads(text)]
        if line["level"] == "info" and job_id in (line.get("job_id"), *line.get("job_ids", ()))
    ]
