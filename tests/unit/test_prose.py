"""The word list of `make lint` finds what house rules exclude, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    """Return the script as a module, as it is in no package."""
    spec = importlib.util.spec_from_file_location("prose", ROOT / "scripts/prose.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""Its rows."""', 1),
        ('"""The rows of a table.\n\nOf several the first counts.\n"""', 3),
        ('"""The rows of a table. What is left out is none of them."""', 1),
        ('"""The rows that the caller told."""', 1),
        ('def f():\n    """Return the rows of a table.\n\n    Nobody reads them.\n    """', 4),
        ('def f():\n    raise ValueError(f"a {1} that was asked")', 2),
        ('def f():\n    log.warning("whoever %s", 1)', 2),
    ],
)
def test_python_findings_have_a_line(prose: ModuleType, source: str, line: int) -> None:
    """Docstrings, raised and logged texts are checked."""
    assert [found[0] for found in prose.python(source)] == [line]


@pytest.mark.parametrize(
    "source",
    [
        '"""The rows of a table, as `told` by a caller."""',
        'def f():\n    return "what was asked"',
        'def f():\n    """Return the rows. In orders there are none."""',
        "x = 1",
    ],
)
def test_other_python_passes(prose: ModuleType, source: str) -> None:
    """Code in backticks and strings that are data do not count."""
    assert list(prose.python(source)) == []


def test_markdown_is_checked_outside_of_code(prose: ModuleType) -> None:
    """Headings and cells may start with any word, but use no excluded one."""
    page = (
        "# What it is\n\n| Of | a | cell |\n\n```\ntold\n```\n\nA line. What follows\n\n| asked |\n"
    )
    assert sorted(found[0] for found in prose.markdown(page)) == [9, 11]
