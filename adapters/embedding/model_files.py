"""Files of a model's folder that are not what their names promise, told apart before loading."""

from __future__ import annotations

from pathlib import Path

from core.errors import EmbedderUnavailableError

WEIGHTS = ("*.safetensors", "*.bin")
"""In order of preference: pickled weights are only taken where there are no others."""
TEXTS = ("*.json", "*.txt", "*.model")
_TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.tiktoken")
_HEAD = 256
"""Bytes that tell a pointer or a web page."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype", b"<html", b"<?xml")


def weights(folder: Path) -> list[Path]:
    """Return the files that hold the weights: safetensors, else what torch saved."""
    for kind in WEIGHTS:
        if found := sorted(folder.glob(kind)):
            return found
    return []


def check_files(folder: Path) -> None:
    """Raise EmbedderUnavailableError for a file that cannot be what its name says.

    A Git LFS pointer, a web page, an empty file, or none at all: libraries say of these that a
    header is too large or a pickle invalid, which helps nobody. Of a tokenizer that is missing
    transformers says nothing: it makes one that knows no word.
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
    """What the file is instead; empty where nothing speaks against it. Raise OSError."""
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
    """What to say of weights that a model needs and its files do not have; None for none.

    transformers fills them with random numbers and goes on: vectors would mean nothing, and other
    things after each start.
    """
    if not missing:
        return None
    few = ", ".join(sorted(missing)[:3])
    return f"its files lack {len(missing)} of the weights the configuration asks for, as {few}"
