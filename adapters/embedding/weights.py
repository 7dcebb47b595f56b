"""Search for a model's files: a folder, a package, the hub's local copy, or the hub itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from adapters.embedding.errors import hub_errors
from adapters.embedding.model_files import TEXTS, WEIGHTS, weights
from adapters.embedding.packaged_weights import ALIASES, packaged
from core.errors import EmbedderUnavailableError

PATIENCE = 5.0
"""Seconds until an unresponsive hub is given up; its own client tries for 23."""

T = TypeVar("T")


def find(model: str) -> Path:
    """Return the folder that holds the model, downloaded if necessary.

    A name that is a folder is that folder. Otherwise it is a hub id: files of a package or of an
    earlier download are used without a request to the hub. A hub that does not answer within 5 s is
    given up; a download that has begun may take longer. Raise EmbedderUnavailableError with the
    reason.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EmbedderUnavailableError(f"no folder {model}")
    if brought := packaged(model):
        return brought
    model = ALIASES.get(model, model)
    return _fetched(model) or _download(model)


def _fetched(model: str) -> Path | None:
    """Return the folder of an earlier download, if its weights are there."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - heavy
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return folder if weights(folder) else None


def _download(model: str) -> Path:
    """Download the texts and one kind of weights. Raise EmbedderUnavailableError."""
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415 - heavy

    info = _within(PATIENCE, lambda: HfApi().model_info(model, timeout=PATIENCE - 1), model)
    names = [file.rfilename for file in info.siblings or []]
    kind = next((kind for kind in WEIGHTS if any(Path(n).match(kind) for n in names)), "")
    with hub_errors(f"downloading {model}"):
        return Path(snapshot_download(model, revision=info.sha, allow_patterns=[*TEXTS, kind]))


def _within(seconds: float, ask: Callable[[], T], model: str) -> T:
    """Return the result of `ask`. Raise EmbedderUnavailableError if it fails or takes longer."""
    answers: list[T] = []
    errors: list[EmbedderUnavailableError] = []

    def run() -> None:
        try:
            with hub_errors(f"the hub gave no {model}"):
                answers.append(ask())
        except EmbedderUnavailableError as error:
            errors.append(error)

    # A thread, for a name server that does not answer keeps to no timeout of the client's.
    asking = threading.Thread(target=run, daemon=True, name="hub")
    asking.start()
    asking.join(seconds)
    if answers:
        return answers[0]
    if errors:
        raise errors[0]
    raise EmbedderUnavailableError(f"the hub did not answer within {seconds:.0f} s")
