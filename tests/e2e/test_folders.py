"""`seenit` on folders as people have them: one odd entry never ends a run, nor keeps it waiting."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.file_names import external_id, path_name
from tests.backends.server_process import ROOT, outside
from tests.e2e import command
from tests.e2e.service import Service, serving
from tests.samples import odd_tree
from tests.samples.pictures import jpeg, photo

SETTINGS = {"SEENIT_MODEL": "none", "SEENIT_CAPTION_MODEL": "none", "SEENIT_MAX_BYTES": "1MiB"}
LONG = Path(*(f"{n:02} {'long' * 50}" for n in range(6)))
"""Over a thousand characters."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good pictures, one of every odd entry, and files that a service refuses."""
    root = tmp_path_factory.mktemp("people's") / "photos"
    odd_tree.clear(root)
    for number, what in enumerate(odd_tree.ODD):
        odd_tree.make(root, what, b"%d \xe9\x1b[31m" % number)
    (root / LONG).mkdir(parents=True)
    for number, path in enumerate(good(root), 1):
        path.write_bytes(jpeg(photo(number)))
    (root / "text.png").write_bytes(b"not a picture")
    (root / "cut off.jpg").write_bytes(jpeg(photo(1))[:2_000])
    with (root / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    return root


def good(root: Path) -> list[Path]:
    """Return the pictures of a tree, in the order in which they are sent."""
    names = (b"a.jpg", b"latin1 \xe9\xf1.jpg", "Möwe \u202e.JPG".encode(), b"without a suffix")
    return [*(root / os.fsdecode(name) for name in names), root / LONG / "last.jpg"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that runs already."""
    with serving(tmp_path_factory.mktemp("service") / "data", **SETTINGS) as running:
        yield running


def told(*words: str, seconds: float = 120) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of a command; fails where it does not come to its end."""
    ended = subprocess.run(
        command.line(*words),
        env={**outside(), **SETTINGS},
        cwd=ROOT,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    assert ended.stdout, ended.stderr.decode()
    return ended.returncode, json.loads(ended.stdout.decode("utf-8"))


@pytest.fixture(params=["here", "elsewhere"])
def where(request: pytest.FixtureRequest, tmp_path: Path, service: Service) -> list[str]:
    """Return the options of a service in the command's own process, and of a running one."""
    return ["--data", str(tmp_path / "data")] if request.param == "here" else ["--url", service.url]


@pytest.mark.parametrize("word", ["ingest", "check"])
def test_good_pictures_are_taken_and_the_rest_is_told_by_kind(
    tree: Path, where: list[str], word: str
) -> None:
    """Each entry in one place, with its reason, alike here and over HTTP."""
    code, answer = told(word, str(tree), *where)
    assert code == 1
    taken = [row["file"] for row in answer["items"] if not row.get("error")]
    assert taken == [path_name(path) for path in sorted_as_sent(tree)]
    failed = {
        Path(row["file"]).name: row["error"]["type"] for row in answer["items"] if row.get("error")
    }
    assert failed == {
        "text.png": "unsupported",
        "cut off.jpg": "broken",
        "huge.jpg": "too-large",
    }
    expected = Counter(kind for kind, _, _ in odd_tree.ODD.values())
    assert answer["skipped_counts"] == expected
    assert Counter(one["kind"] for one in answer["skipped"]) == expected
    names = [one["file"] for one in (*answer["items"], *answer["skipped"])]
    assert len(names) == len(set(names)) == len(odd_tree.ODD) + len(good(tree)) + 3


def sorted_as_sent(root: Path) -> list[Path]:
    """Return the files of a folder before the files of its folders."""
    *own, last = good(root)
    return [*sorted(own), last]


def test_ids_are_found_again_and_nothing_is_sent_twice(tree: Path, service: Service) -> None:
    """Names that are not UTF-8, and paths longer than an id, are found again too."""
    where = ["--url", service.url]
    told("ingest", str(tree), *where)
    _, again = told("ingest", str(tree), *where)
    done = [row for row in again["items"] if row["status"] == "done"]
    assert len(done) == len(good(tree))
    assert all(row["already"] for row in done)
    for path in good(tree):
        own = external_id(path_name(path))
        (record,) = service.client.get("/v1/images", params={"external_id": own}).json()["items"]
        assert record["external_id"] == own
    assert len(path_name(good(tree)[-1])) > 1_024


def test_a_terminal_sees_counts_and_nothing_that_moves_it(tree: Path, service: Service) -> None:
    """A few of each kind by name, the counts in the last line."""
    ended = subprocess.run(
        command.line("ingest", str(tree), "--url", service.url)[:-1],
        env={**outside(), **SETTINGS, "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = ended.stdout.decode("utf-8")
    assert ended.returncode == 1
    assert "skipped: 3 hidden: " in said
    assert r"latin1 \xe9\xf1.jpg" in said
    assert r"Möwe \u202e.JPG" in said
    assert "failed: 1 too large: " in said
    assert said.splitlines()[-1].startswith("8 files: ")
    assert "2 broken link" in said.splitlines()[-1]
    assert not {"\x1b", "\u202e"} & set(said)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["ingest", "PIPE"], 1, "a named pipe"),
        (["check", "PIPE"], 1, "a named pipe"),
        (["search", "--image", "PIPE"], 1, "a named pipe"),
        (["similar", "PIPE"], 2, "neither a file nor the id of a picture"),
        (["context", "what?", "--image", "PIPE"], 2, "neither a file nor the id of a picture"),
        (["search", "--image", "FOLDER"], 2, "is a directory"),
        (["check", "NOTHING"], 2, "does not exist"),
        (["ingest", "NOTHING"], 2, "does not exist"),
        (["similar", "TOO LONG"], 2, "neither a file nor the id of a picture"),
        (["check", "SOCKET"], 1, "a socket"),
        (["check", "/dev/zero"], 1, "a device"),
    ],
)
def test_a_file_argument_that_is_none_is_one_plain_message(
    tmp_path: Path,
    service: Service,
    capsys: pytest.CaptureFixture[str],
    *,
    words: list[str],
    code: int,
    says: str,
) -> None:
    """At once, without a traceback, whatever was named."""
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(tmp_path / "s"))
    named = {
        "PIPE": str(tmp_path / "pipe.jpg"),
        "FOLDER": str(tmp_path),
        "NOTHING": str(tmp_path / "no\x1bthing"),
        "TOO LONG": "x" * 5_000,
        "SOCKET": str(tmp_path / "s"),
    }
    given = (named.get(word, word) for word in words)
    ended = command.ran_here(capsys, SETTINGS, *given, "--url", service.url)
    said = ended.stdout + ended.stderr
    assert ended.returncode == code, said
    assert says in said
    assert not {"\x1b"} & set(said)
    assert "Traceback" not in said


def test_evaluations_leave_odd_entries_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An odd entry of a folder or a table is named, and never waited for."""
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for words in (
        ["duplicates", str(tmp_path), "--no-plot"],
        ["duplicates", str(tmp_path), "--known", str(pipe), "--no-plot"],
        ["retrieval", str(pipe), str(tmp_path), "--no-plot"],
    ):
        ended = command.ran_here(capsys, SETTINGS, "evaluate", *words, "--json")
        assert ended.returncode == 1
        assert str(pipe) in ended.stderr or "no pictures in" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_an_evaluation_takes_names_that_are_not_utf8(tmp_path: Path) -> None:
    """The pipe beside them is named on standard error, a terabyte refused, the report JSON."""
    (tmp_path / os.fsdecode(b"latin1 \xe9\xf1.jpg")).write_bytes(jpeg(photo(1)))
    (tmp_path / "b.jpg").write_bytes(jpeg(photo(2)))
    (tmp_path / "huge.jpg").touch()
    os.truncate(tmp_path / "huge.jpg", 1 << 40)
    os.mkfifo(tmp_path / "pipe.jpg")
    words = ["--no-templates", "--no-plot", "--edit", "mirror", "--out", str(tmp_path / "out")]
    ended = command.ran(SETTINGS, "evaluate", "duplicates", str(tmp_path), *words)
    assert ended.returncode == 0, ended.stderr
    assert "skipped: 1 not a regular file: " in ended.stderr
    told = json.loads(ended.stdout)
    assert (told["photos"], list(told["refused"])) == (2, ["huge.jpg"])


def test_a_proxy_that_refuses_one_file_does_not_end_the_run(tree: Path, service: Service) -> None:
    """A 413 that is no answer of Seenit's concerns that file alone."""
    with Proxy(service.port, 30_000) as url:
        code, answer = told("check", str(tree / "a.jpg"), str(tree / "text.png"), "--url", url)
    assert code == 1
    by_name = {Path(row["file"]).name: row["error"]["type"] for row in answer["items"]}
    assert by_name == {"a.jpg": "too-large", "text.png": "unsupported"}


class Proxy:
    """Hands requests on to a service, and answers 413 in HTML to those that are larger."""

    def __init__(self, port: int, most: int) -> None:
        self._port = port
        self._most = most

    def __enter__(self) -> str:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as asked:
            lines = list(iter(asked.readline, b"\r\n"))
            fields = dict(line.lower().split(b":", 1) for line in lines[1:])
            length = int(fields.get(b"content-length", b"0"))
            body = asked.read(length)
            if length > self._most:
                page = b"<html>413 Request Entity Too Large</html>"
                head = b"HTTP/1.1 413 Request Entity Too Large\r\nConnection: close\r\n"
                client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(page) + page)
                return
            kept = [line for line in lines if not line.lower().startswith(b"connection:")]
            with socket.create_connection(("127.0.0.1", self._port)) as service:
                service.sendall(b"".join([*kept, b"Connection: close\r\n\r\n", body]))
                while data := service.recv(65_536):
                    client.sendall(data)
