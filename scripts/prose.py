"""Check the prose of docstrings, messages and Markdown pages: scripts/prose.py [FILE…]."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEAST_WORDS = 4
"""A shorter summary repeats the name; leave it out instead."""
WORDS = re.compile(
    r"\b(told|tells|asked|heard|said|whoever|nobody|somebody|anybody|anew)\b", re.IGNORECASE
)
STARTS = re.compile(r"(?:^|[.!?]\s+|\n\s*\n\s*|\n\s*[*-]\s+)(What|Whoever|Of|Those|In order)\b")
CODE = re.compile(r"```.*?```|``[^`]+``|`[^`\n]*`|<https?:[^>]*>|\]\([^)]*\)", re.DOTALL)
HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
CELL = re.compile(r"^\|.*$", re.MULTILINE)
LOGGED = {"debug", "info", "warning", "error", "exception", "critical"}
Finding = tuple[int, str]


def main(names: list[str]) -> int:
    """Print one line for each finding in the named files, or in all; return 1 if there is any."""
    found = 0
    for name in names or _tracked():
        if name == "CHANGELOG.md":
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        check = markdown if name.endswith(".md") else python
        for line, finding in check(text):
            found += 1
            sys.stdout.write(f"{name}:{line}: {finding}\n")
    return int(found > 0)


def python(source: str) -> Iterator[Finding]:
    """Yield the findings in docstrings, and in texts that are raised or logged."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
            if 0 < len(summary.split()) < LEAST_WORDS:
                line = node.body[0].lineno
                yield (
                    line,
                    f"docstring of under {LEAST_WORDS} words: {summary!r}; extend or drop it",
                )
        for start, text in _texts(node):
            for line, finding in _prose(text):
                yield start + line, finding


def markdown(text: str) -> Iterator[Finding]:
    """Yield the findings outside of code; headings and cells of tables may start with any word."""
    plain = CODE.sub(lambda found: "\n" * found[0].count("\n") or "x", text)
    for line, finding in _prose(plain, cells=True):
        yield line + 1, finding


def _prose(text: str, *, cells: bool = False) -> Iterator[Finding]:
    """Yield findings in running text, with the line counted from 0."""
    plain = CODE.sub("x", text) if not cells else text
    for found in WORDS.finditer(plain):
        yield plain.count("\n", 0, found.start()), f"{found[1]!r}: name the actor or the data"
    if cells:
        plain = CELL.sub("", HEADING.sub("", plain))
    for found in STARTS.finditer(plain):
        line = plain.count("\n", 0, found.start(1))
        yield line, f"a sentence starts with {found[1]!r}: begin with the subject or a verb"


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of the strings of a docstring, a raise or a call that logs."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        roots: list[ast.AST] = [node.value]
    elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        roots = list(node.exc.args)
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOGGED
    ):
        roots = list(node.args[:1])
    else:
        return
    for root in roots:
        for part in ast.walk(root):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.lineno, part.value


def _tracked() -> list[str]:
    """Return the Python and Markdown files that git knows, with those not added yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in sorted(set(listed.stdout.split())) if (ROOT / name).exists()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
