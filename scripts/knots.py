"""Check that no function is too long or too complex: scripts/knots.py [FILE…].

Without names every Python file of the packages below is checked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from radon.complexity import cc_visit
from radon.visitors import Class, Function

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "adapters", "api", "worker", "rag", "cli", "evaluation", "benchmarks")
COMPLEXITY = 12
"""Most of a function, by McCabe's count as radon makes it."""
LINES = 50
"""Most lines of a function, from `def` to its last one."""


def main(names: list[str]) -> int:
    """Print one line for each finding in the named files, or in all; return 1 if there is any."""
    found = 0
    for name in names or _tracked():
        if name.partition("/")[0] not in PACKAGES:
            continue
        for line, finding in findings((ROOT / name).read_text(encoding="utf-8")):
            found += 1
            sys.stdout.write(f"{name}:{line}: {finding}\n")
    return int(found > 0)


def findings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each function past a limit, and which one it passes by what number."""
    for one in _functions(cc_visit(source)):
        lines = one.endline - one.lineno + 1
        if one.complexity > COMPLEXITY:
            yield one.lineno, f"{one.fullname}: complexity {one.complexity} (at most {COMPLEXITY})"
        if lines > LINES:
            yield one.lineno, f"{one.fullname}: {lines} lines (at most {LINES})"


def _functions(blocks: Iterable[Function | Class]) -> Iterator[Function]:
    """Yield functions, methods and what is nested in them, each once."""
    for one in blocks:
        if isinstance(one, Class):
            yield from (*one.methods, *_functions(one.inner_classes))
        elif not one.is_method:  # radon lists methods beside their classes as well
            yield from (one, *_functions(one.closures))


def _tracked() -> list[str]:
    """Return the Python files that git knows, with those not added yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split() if (ROOT / name).is_file()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
