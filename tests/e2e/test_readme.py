"""The README's examples with curl, run against a service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.backends.requirements import absent
from tests.e2e.service import serving
from tests.samples.pictures import EDITS, jpeg, photo

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    """They run in their order, each without an error, and one picture is left at the end."""
    curl = shutil.which("curl")
    if curl is None:
        absent("curl", "the README's examples are run with it")
    blocks = re.findall(
        r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(blocks) == 6
    original = photo(5)
    (tmp_path / "cat.jpg").write_bytes(jpeg(original))
    (tmp_path / "mirrored.jpg").write_bytes(EDITS["mirror-crop-70"].apply(original))
    (tmp_path / "captioned.jpg").write_bytes(EDITS["caption"].apply(original))
    encoder = "sentence-transformers/all-MiniLM-L6-v2"
    with serving(tmp_path / "data", SEENIT_CAPTION_MODEL=encoder) as service:
        failing = f'set -eu\ncurl() {{ {curl} --fail-with-body "$@"; echo; }}\n'
        script = failing + "".join(blocks).replace("http://127.0.0.1:8000", service.url)
        ran = subprocess.run(
            ["bash", "-c", script],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    verdict = answers[1]["items"][0]["verdict"]
    assert (verdict["kind"], verdict["original"]["owner_id"]) == ("near_duplicate", "stefan")
    assert answers[2]["verdict"]["matches"][0]["evidence"]["changed_regions"] != []
    sought = next(answer for answer in answers if "took_ms" in answer)
    assert sought["hits"][0]["image"]["title"] == "Chelsea the cat"
    told = next(answer for answer in answers if "citations" in answer)
    assert [one["label"] for one in told["citations"]] == ["[img-1]"]
    assert answers[-1]["total"]["images"] == 1
    assert (tmp_path / "preview.jpg").read_bytes()[:3] == b"\xff\xd8\xff"
