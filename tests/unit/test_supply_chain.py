"""Licences and known vulnerabilities of the packages that Seenit installs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
from email.message import Message
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.backends.server_process import ROOT


@pytest.fixture(name="licences", scope="module")
def script() -> ModuleType:
    """Return the script as a module, as it is in no package."""
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts/licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND BSD-3-Clause", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND Apache-2.0 WITH LLVM-exception", True),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", False),
        ("(MIT OR Apache-2.0) AND ISC", True),
        ("AGPL-3.0-or-later", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_by_one_alternative(
    licences: ModuleType, expression: str, allowed: bool
) -> None:
    """All licences that one alternative asks for have to be on the list."""
    assert licences.is_allowed(expression) == allowed


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT"), ("License", "GPL")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License")], "BSD-3-Clause"),
        (
            [
                ("Classifier", "License :: OSI Approved :: MIT License"),
                ("Classifier", "License :: OSI Approved :: GNU Affero General Public License v3"),
                ("License", "MIT"),
            ],
            "MIT AND GNU Affero General Public License v3",
        ),
        ([("License", "Apache 2.0 License\n\nand its text")], "Apache-2.0"),
        ([("Classifier", "License :: Other/Proprietary License")], ""),
        ([], ""),
    ],
)
def test_a_licence_is_read_from_any_of_three_fields(
    licences: ModuleType, fields: list[tuple[str, str]], licence: str
) -> None:
    """The expression comes first, then classifiers, then the free text."""
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert licences.stated(SimpleNamespace(metadata=metadata)) == licence


def test_every_installed_package_has_an_allowed_licence(
    licences: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a package that has none is named."""
    assert licences.main() == 0
    assert capsys.readouterr().out == ""
    metadata = Message()
    metadata["License"] = "SSPL"
    monkeypatch.setattr(
        importlib.metadata,
        "distribution",
        lambda name: SimpleNamespace(name=name, metadata=metadata),
    )
    assert licences.main() == 1
    assert "\nhttpx: SSPL; allow it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "code", "says"),
    [
        ("exit 0", 0, "audit: no known vulnerability"),
        ("echo 'h11  0.1 CVE-1'; echo Found >&2; exit 1", 1, "h11  0.1 CVE-1"),
        ("echo trace >&2; echo no route >&2; exit 1", 0, "service did not answer: no route"),
    ],
)
def test_an_audit_fails_for_a_vulnerability_alone(
    tmp_path: Path, program: str, code: int, says: str
) -> None:
    """A service that cannot be reached is one line, and no failure."""
    audit = tmp_path / "pip-audit"
    given = '[ "${*#*--no-deps }" = "--requirement constraints.txt" ] || exit 9'
    audit.write_text(f"#!/bin/sh\n{given}\n{program}\n")
    audit.chmod(0o755)
    done = subprocess.run(
        [ROOT / "scripts/audit"],
        env={"AUDIT": str(audit), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout
    assert done.stdout.count("\n") == 1
