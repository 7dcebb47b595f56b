"""Rules beyond import-linter: libraries that the core may import, and modules without models."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from adapters import settings

ROOT = Path(__file__).parents[2]
CORE_KNOWS = {"core", "numpy", "PIL", "pi_heif", "imagehash", "cachetools", "cv2", "msgspec"}
OURS = ("core", "adapters", "api", "worker", "rag", "cli")


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Yield every module of some folders, parsed."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_the_core_knows_a_handful_of_libraries() -> None:
    """The standard library and those that make sense of pictures; nothing else."""
    allowed = CORE_KNOWS | set(sys.stdlib_module_names)
    strangers = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, tree in sources("core")
        for name in imported(tree)
        if name not in allowed
    ]
    assert strangers == []


def test_models_are_imported_inside_functions_of_adapters_only() -> None:
    """Importing any module of ours loads no torch."""
    heavy = {"torch", "transformers", "huggingface_hub"}
    found = []
    for path, tree in sources(*OURS):
        at_import = [
            name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in imported(node)
        ]
        known = at_import if path.is_relative_to(ROOT / "adapters") else imported(tree)
        if heavy.intersection(known):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_no_door_loads_a_model_by_being_imported() -> None:
    """Nothing happens at import, and no GPU is in the API."""
    asked = (
        "import sys, threading, api.app, worker.embedded, cli.commands.up, adapters.wiring; "
        "assert threading.active_count() == 1; "
        "print(sorted({'torch', 'transformers', 'huggingface_hub', 'weaviate'} & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (told.stdout, told.stderr) == ("[]\n", "")


def test_no_setting_is_dead() -> None:
    """Each one is read somewhere outside of the settings themselves."""
    read = {
        node.attr
        for path, tree in sources(*OURS)
        if path.name != "settings.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    through = {
        *("api_keys", "allow_unauthenticated"),  # `keys` and `check_address`
        "trusted_proxy",  # `proxies`
        *("max_bytes", "max_pixels", "max_frames", "decode_seconds", "decode_memory"),  # `limits`
    }
    assert {"keys", "check_address", "proxies", "limits"} <= read
    assert set(settings.Settings.model_fields) - read - through == set()
