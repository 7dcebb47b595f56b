"""Searching, prompts and counts on the command line, without a service."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cli import filter_options
from cli.main import run
from cli.rendering import results

ID = "01980a5e-7c1d-7b6a-9f0e-3f6f0c1f2a44"


def hit(rank: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Return one hit as the service sends it."""
    image = {"image_id": ID, "title": None, "filename": "a.jpg", "external_id": "x"}
    return {
        "image": image | more.pop("image", {}),
        "similarities": {"visual": 0.305, "caption": 0.7},
        "rank": rank,
        "matched_by": ["visual", "keyword"],
        "band": "very close",
        **more,
    }


def found(*hits: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Return an answer to a search."""
    return {"hits": list(hits), "used": ["caption"], "missing": [], "took_ms": 12.4, **more}


@pytest.mark.parametrize("width", ["80", "160"])
def test_a_hit_says_all_that_matters(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank, name, similarity in numbers and words, signals, id; and the signals that were used."""
    monkeypatch.setenv("COLUMNS", width)
    missing = [
        {"signal": "visual", "reason": "no weights"},
        {"signal": "caption", "reason": "off"},
    ]
    dog = hit(2, image={"title": "A dog"}, group="pets")
    results.hits(found(hit(1, group="cars"), dog, missing=missing))
    said = capsys.readouterr().out
    for words in ("a.jpg", "A dog", "pets", "visual 0.30, caption 0.70 very close", "keyword", ID):
        assert words in said
    assert said.splitlines()[-3:] == [
        "asked: caption; 12 ms",
        "visual took no part: no weights; `seenit doctor` says how to get a model",
        "caption took no part: SEENIT_CAPTION_MODEL=none turns it off",
    ]


def test_of_one_space_the_number_alone_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Keywords have no number."""
    one = hit(1, similarities={"caption": 0.512}, band="close")
    other = hit(2, similarities={}, matched_by=["keyword"])
    del other["band"]
    results.hits(found(one, other))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1 a.jpg; 0.51 close; visual, keyword; {ID}"
    assert lines[1] == f"2 a.jpg; keyword; {ID}"


@pytest.mark.parametrize("width", ["80", "160"])
def test_a_title_moves_nothing_on_a_terminal(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither markup nor control, bidirectional or invisible characters, nor another line."""
    monkeypatch.setenv("COLUMNS", width)
    title = "[red]a\n9 b\u202e\u200b\x9b31m\x1b[2Jc"
    results.hits(found(hit(1, image={"title": title})))
    said = capsys.readouterr().out
    assert "[red]a 9 b 31m [2Jc" in said
    assert all(letter.isprintable() or letter == "\n" for letter in said)


def test_nothing_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than an empty table."""
    results.hits(found())
    assert capsys.readouterr().out.startswith("nothing was found\n")


def test_a_prompt_tells_its_citations_and_what_was_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It shows them by the labels that the model repeats."""
    cited = {"label": "[img-1]", "image_id": ID, "title": "A dog", "external_id": None}
    answer: dict[str, Any] = {
        "citations": [{**cited, "similarities": {"caption": 0.7}}],
        "dropped": [{"image_id": "other", "reason": "it takes 300 tokens"}],
        "estimated_tokens": 667,
        "reason": None,
        "notes": ["counted by the costliest"],
    }
    results.citations(answer)
    assert capsys.readouterr().out.splitlines() == [
        f"[img-1] A dog; caption 0.70; {ID}",
        "left out: other: it takes 300 tokens",
        "1 pictures, about 667 tokens",
        "counted by the costliest",
    ]
    results.citations({**answer, "citations": [], "reason": "nothing is near enough"})
    assert capsys.readouterr().out.startswith("no picture: nothing is near enough\n")


def test_counts_are_told_by_space_and_category(capsys: pytest.CaptureFixture[str]) -> None:
    """With what is missing, what waits, and how far the index is behind."""
    spaces = {"visual-1": {"with": 3, "missing": 2, "represented_by_original": 1}}
    group = {"images": 6, "verdicts": {"near_duplicate": 1}, "decisions": {"allow": 6}}
    results.statistics(
        {
            "total": {**group, "spaces": spaces},
            "categories": {"pets": {**group, "images": 4, "spaces": {}}},
            "queue_depth": 7,
            "log": {"head": 9, "watermark": 8, "lag": 1},
        }
    )
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(
        "6 pictures: 1 near duplicate decisions: 6 allow 7 uploads and operations wait "
        "1 of 9 entries of the log are not in the index yet"
    )
    assert "visual-1 3 2 1" in said
    assert "pets 4 0" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search"], "say what to search for"),
        (["search", "a", "--mode", "nonsense"], "'nonsense' is not one of"),
        (["search", "a", "--min-similarity", "0.4"], "names its space"),
        (["search", "a", "--min-similarity", "b"], "'b' is not a cosine"),
        (["search", "a", "--mode", "caption", "--min-similarity", "visual=1"], "takes one number"),
        (["search", "a", "--accepted-after", "soon"], "is not a time"),
        (["search", "a", "--data", "nowhere"], "there is no data in"),
        (["similar", "nothing"], "neither a file nor the id of a picture"),
        (["context"], "ask something"),
        (["context", "a", "--image", "nothing"], "neither a file nor the id of a picture"),
        (["context", "a", "--deliver", "url"], "SEENIT_PUBLIC_URL"),
        (["context", "a", "--format", "nonsense"], "'nonsense' is not one of"),
        (["stats", "--data", "nowhere"], "there is no data in"),
        (["export", "--data", "nowhere"], "there is no data in"),
        (["export", "--json"], "--json goes with --out FILE"),
        (["export", "--format", "sql", "--table", "a; b"], "use letters, digits, _"),
    ],
)
def test_wrong_use_is_one_plain_message(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Exit code 2, words on standard error, and nothing was made."""
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_day_is_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without a zone is the reader's own; the service gets UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        read = filter_options.Time().convert
        assert read("2026-03-01", None, None) == "2026-03-01T05:00:00.000Z"
        assert read("2026-03-01T00:00:00+02:00", None, None) == "2026-02-28T22:00:00.000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


class Asked(BaseHTTPRequestHandler):
    """A service without a model that records the bodies it receives."""

    bodies: tuple[bytes, ...] = ()

    def do_POST(self) -> None:
        """Answer 503, with Retry-After of a second."""
        kind = type(self)
        kind.bodies = (*kind.bodies, self.rfile.read(int(self.headers["Content-Length"])))
        problem = {"type": "/problems/model-absent", "detail": "no visual model is wanted"}
        self.send_response(503)
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(json.dumps(problem).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Keep the output of tests clean."""


@pytest.fixture
def modelless() -> Iterator[tuple[type[Asked], str]]:
    """Yield a service without a model, and its address."""
    kind = type("Told", (Asked,), {})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield kind, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_absent_model_is_told_at_once_with_what_to_do(
    modelless: tuple[type[Asked], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, code 3: asking again would not bring it."""
    kind, url = modelless
    wanted = ("--mode", "visual", "--min-similarity", "0.2", "--category", "c", "--tag", "t")
    assert run(["search", "red", "cat", "--url", url, "--limit", "3", *wanted]) == 3
    said = "no visual model is wanted; `seenit doctor` says how to get a model"
    assert capsys.readouterr().err == f"seenit: {said}\n"
    assert [json.loads(body) for body in kind.bodies] == [
        {
            "text": "red cat",
            "mode": "visual",
            "filters": {"category": "c", "tags": ["t"]},
            "limit": 3,
            "min_similarity": 0.2,
            "collapse": True,
        }
    ]


def test_what_goes_with_a_file_goes_as_a_form(
    modelless: tuple[type[Asked], str], tmp_path: Path
) -> None:
    """Objects as JSON, ids one by one, the file as it is."""
    kind, url = modelless
    file = tmp_path / "a.jpg"
    file.write_bytes(b"bytes of a picture")
    assert run(["context", "what?", "--url", url, "--image", str(file), "--image", ID]) == 3
    least = ("--min-similarity", "caption=0.4", "--min-similarity", "visual=0.2")
    assert run(["search", "what?", "--url", url, "--image", str(file), *least]) == 3
    prompt, search = (body.replace(b"\r\n", b"\n") for body in kind.bodies)
    for body in (prompt, search):
        assert b'name="file"; filename="a.jpg"' in body
        assert b"bytes of a picture" in body
        assert b'name="limit"\n\n' in body
    assert f'name="images"\n\n{ID}\n'.encode() in prompt
    assert b'name="query"\n\nwhat?\n' in prompt
    assert b'name="min_similarity"\n\n{"caption": 0.4, "visual": 0.2}\n' in search


def test_help_names_the_new_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with a line, and its own help."""
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out
    for name in ("search", "similar", "context", "stats", "export"):
        assert f"  {name} " in listed
        assert run([name, "--help"]) == 0
        assert os.linesep in capsys.readouterr().out
