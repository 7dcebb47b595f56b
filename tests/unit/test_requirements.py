"""The lists in requirements/: the versions of constraints.txt, with hashes, and complete."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.backends.server_process import ROOT

LISTS = ("build", "base", "models", "dev")
OF_TORCH = re.compile(r"torch|triton|(nvidia|cuda)-.*")
"""Packages of a build of torch, which the machine chooses."""
PLATFORMS = [
    {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.5",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[system],
        "platform_machine": machine,
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    for minor in (11, 12, 13)
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


@cache
def pinned(name: str) -> dict[str, tuple[Requirement, set[str]]]:
    """Return the requirements of a list with their hashes, by package."""
    found = {}
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if "==" in line:
            words, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
            requirement = Requirement(words)
            found[canonicalize_name(requirement.name)] = (requirement, set(hashes))
    return found


def constraints() -> dict[str, str]:
    """Return the version of every package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return dict(pair for pair in pairs if len(pair) == 2)


def test_each_package_but_those_of_torch_has_a_hash_and_the_version_of_the_constraints() -> None:
    """`make lock` makes all lists together; a change of one alone shows here."""
    versions = constraints()
    listed = {name: one for part in LISTS for name, one in pinned(part).items()}
    assert {name for name in versions if not OF_TORCH.fullmatch(name)} == set(listed)
    for name, (requirement, hashes) in listed.items():
        assert str(requirement.specifier) == f"=={versions[name]}"
        assert hashes, name
        assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in hashes), name


@pytest.mark.parametrize(
    ("parts", "extras"),
    [(("base",), ""), (("base", "models"), "gpu,captions"), (LISTS, "dev"), (("build",), None)],
    ids=["base", "models", "dev", "build"],
)
@pytest.mark.parametrize(
    "platform", PLATFORMS, ids=lambda one: "-".join(map(str, one.values()))[:20]
)
def test_a_list_names_all_that_its_packages_need(
    parts: tuple[str, ...], extras: str | None, platform: dict[str, str]
) -> None:
    """No dependency is looked up by pip: each is listed, for every platform."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = ["hatchling", "editables"] if extras is None else [*project["dependencies"]]
    for extra in filter(None, (extras or "").split(",")):
        lines += project["optional-dependencies"][extra]
    listed = {
        name
        for part in parts
        for name, (one, _) in pinned(part).items()
        if one.marker is None or one.marker.evaluate(platform)
    }
    needed = {name for name in _closure(lines, platform) if not OF_TORCH.fullmatch(name)}
    assert needed - listed == set()


def _closure(lines: list[str], platform: dict[str, str]) -> set[str]:
    """Return the packages that some requirements need, by the metadata of what is installed."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            waiting += _needs(name, extra, platform)
    return {name for name, _ in found}


def _needs(name: str, extra: str, platform: dict[str, str]) -> Iterator[Requirement]:
    for requirement in _required(name):
        if requirement.marker is None or requirement.marker.evaluate({**platform, "extra": extra}):
            yield requirement


@cache
def _required(name: str) -> list[Requirement]:
    try:
        return [Requirement(line) for line in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:  # of another platform
        return []
