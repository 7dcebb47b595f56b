"""The pages name files, modules, sections and settings that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from adapters import settings

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PACKAGES = ("core", "adapters", "api", "worker", "rag", "cli", "evaluation", "benchmarks", "tests")
FOLDERS = (*PACKAGES, "demo", "docs", "deploy", "scripts")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\w/?")
DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[a-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
SETTING = re.compile(r"SEENIT_[A-Z]+(?:_[A-Z]+)*(?!\w|\*)")
TEST_SETTINGS = re.compile(r"SEENIT_(TEST_\w+|PHOTOS)$")

pytestmark = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@cache
def tracked() -> frozenset[str]:
    """Return every file that git knows, and every folder above one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the repository's files are listed by git")
    names = [Path(name) for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return frozenset(str(part) for name in names for part in (name, *name.parents))


def anchors(page: Path) -> Iterator[str]:
    """Yield the fragments of its headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_pages_name_files_that_exist(page: Path) -> None:
    """A path below one of the repository's folders is a file or a folder in it."""
    named = {found.rstrip("/") for found in PATH.findall(page.read_text(encoding="utf-8"))}
    assert named - tracked() == set()


def test_the_pages_name_modules_that_exist(page: Path) -> None:
    """A dotted name is a module or a package, or a name that a module defines."""
    missing = []
    for name in sorted(set(DOTTED.findall(page.read_text(encoding="utf-8")))):
        path, above = name.replace(".", "/"), name.rpartition(".")[0].replace(".", "/")
        if {path, f"{path}.py"} & tracked():
            continue
        module = ROOT / f"{above}.py"
        last = name.rpartition(".")[2]
        if not module.exists() or not re.search(rf"\b{last}\b", module.read_text("utf-8")):
            missing.append(name)
    assert missing == []


def test_the_links_of_the_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file, and a fragment one of its headings."""
    broken = []
    for target, fragment in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        linked = (page.parent / target).resolve() if target else page
        if not linked.exists() or (fragment and fragment not in anchors(linked)):
            broken.append(f"{target}#{fragment}")
    assert broken == []


def test_the_pages_name_settings_that_exist(page: Path) -> None:
    """A SEENIT_ variable is a setting of the service, or one of the tests and benchmarks."""
    named = set(SETTING.findall(page.read_text(encoding="utf-8")))
    assert {name for name in named if not TEST_SETTINGS.match(name)} <= set(settings.names())
