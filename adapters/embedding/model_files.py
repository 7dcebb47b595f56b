"""Check of a model's files before loading, for files that are not what their names promise."""

from __future__ import annotations

from pathlib import Path

from core.errors import EmbedderUnavailableError

WEIGHTS = ("*.safetensors", "*.bin")
"""Patterns in order of preference: pickled weights are only taken without others."""
TEXTS = ("*.json", "*.txt", "*.model")
_TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.tiktoken")
_HEAD = 256
"""Bytes that identify a pointer or a web page."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype", b"<html", b"<?xml")


def weights(folder: Path) -> list[Path]:
    """Return the files that hold the weights: safetensors, else those of torch."""
    for kind in WEIGHTS:
        if found := sorted(folder.glob(kind)):
            return found
    return []


def check_files(folder: Path) -> None:
    """Raise EmbedderUnavailableError for a file that cannot be what its name says.

    For a Git LFS pointer, a web page, an empty file, or none at all, libraries report that a header
    is too large or a pickle invalid, which does not help. For a missing tokenizer transformers
    reports nothing: it makes one that knows no word.
    """
    if weights(folder) and not any(any(folder.glob(kind)) for kind in _TOKENIZERS):
        raise EmbedderUnavailableError(
            f"{folder} has no tokenizer (tokenizer.json, vocab.* or *.model): copy the model again"
        )
    for kind in (*WEIGHTS, *TEXTS):
        for path in sorted(folder.glob(kind)):
            what = "weights" if kind in WEIGHTS else "the file itself"
            if fault := _fault(path, what):
                raise EmbedderUnavailableError(f"{path} {fault}")


def _fault(path: Path, what: str) -> str:
    """Name the actual content of the file; empty if the file looks right. Raise OSError."""
    if not path.is_file():
        return f"is no file, so not {what}: copy the model again"
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(_POINTER):
        return f"is a Git LFS pointer, not {what}: run `git lfs pull` in the folder"
    if head.lstrip().lower().startswith(_PAGES):
        return f"is a web page, not {what}: download it again"
    if not head and what == "weights":
        return "is empty: copy the model again"
    return ""


def lacks(missing: list[str]) -> str | None:
    """Describe the weights that a model needs and its files lack; None if there are none.

    transformers fills them with random numbers and continues: vectors would be meaningless, and
    different after each start.
    """
    if not missing:
        return None
    few = ", ".join(sorted(missing)[:3])
    return f"its files lack {len(missing)} of the weights the configuration asks for, as {few}"
