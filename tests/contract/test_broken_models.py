"""Whatever a model's folder has become, loading it ends with a model or with a reason."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.embedding.base import LazyModel
from adapters.embedding.caption import CaptionEmbedder
from adapters.embedding.errors import torch_errors
from adapters.embedding.visual import VisualEmbedder
from core.errors import EmbedderUnavailableError
from tests.doubles import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 600\n"
PAGE = b"<!DOCTYPE html><html><body>404</body></html>"
MAKES: dict[str, tuple[Callable[[Path], Path], Callable[[str], LazyModel[Any]]]] = {
    "clip": (tiny_models.clip, VisualEmbedder),
    "sentences": (tiny_models.sentences, CaptionEmbedder),
}
Break = Callable[[Path], object]


def _resize(config: Path) -> None:
    read = json.loads(config.read_bytes())
    inner = read.get("vision_config", read)
    inner["hidden_size"] = 64
    config.write_text(json.dumps(read))


def _leave_out(file: Path) -> None:
    from safetensors.torch import load_file, save_file  # noqa: PLC0415 - it imports torch

    kept = load_file(file)
    del kept[min(name for name in kept if "pooler" not in name)]
    save_file(kept, file, metadata={"format": "pt"})


BROKEN: dict[str, tuple[str, Break, str]] = {
    "pointer": ("model.safetensors", lambda file: file.write_bytes(POINTER), "git lfs pull"),
    "pointer of a tokenizer": (
        "tokenizer.json",
        lambda file: file.write_bytes(POINTER),
        "git lfs pull",
    ),
    "page": ("model.safetensors", lambda file: file.write_bytes(PAGE), "is a web page"),
    "empty": ("model.safetensors", lambda file: file.write_bytes(b""), "is empty"),
    "cut off": (
        "model.safetensors",
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        "cannot be loaded",
    ),
    "folder": ("model.safetensors", lambda file: (file.unlink(), file.mkdir()), "is no file"),
    "gone": ("model.safetensors", lambda file: file.unlink(), "cannot be loaded"),
    "no JSON": ("config.json", lambda file: file.write_text("{"), "cannot be loaded"),
    "a list": ("config.json", lambda file: file.write_text("[]"), "cannot be loaded"),
    "no tokenizer": (
        "tokenizer.json",
        lambda file: [path.unlink() for path in file.parent.glob("token*")],
        "has no tokenizer",
    ),
    "other size": ("config.json", _resize, "cannot be loaded"),
    "weights left out": ("model.safetensors", _leave_out, "lack 1 of the"),
}


@pytest.fixture(scope="module", params=MAKES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Callable[[str], LazyModel[Any]]]:
    """Return the folder of a tiny model that loads, and the function that loads it."""
    pytest.importorskip("torch")
    make, load = MAKES[request.param]
    return make(tmp_path_factory.mktemp(request.param)), load


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_absent_for_a_reason(
    made: tuple[Path, Callable[[str], LazyModel[Any]]],
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The reason is logged once and nothing is raised: the engine goes on without the model."""
    source, load = made
    folder = tmp_path / "model"
    shutil.copytree(source, folder)
    file, damage, says = BROKEN[name]
    damage(folder / file)
    embedder = load(str(folder))
    with caplog.at_level(logging.WARNING, "adapters.embedding.base"):
        embedder.load()
        embedder.load()
    assert embedder.absent is not None
    assert says in embedder.absent
    assert len([one for one in caplog.messages if one.startswith("NO ")]) == 1
    with pytest.raises(EmbedderUnavailableError):
        _ = embedder.space


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.bin"])
@pytest.mark.parametrize("data", [POINTER, PAGE, b"", b"PK\x03\x04", b"\x80\x04]q", b"garbage"])
def test_what_is_no_pickle_is_no_model(
    made: tuple[Path, Callable[[str], LazyModel[Any]]], tmp_path: Path, file: str, data: bytes
) -> None:
    """Unpickling has errors of its own, which are neither ValueError nor OSError."""
    source, load = made
    shutil.copytree(source, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / file).write_bytes(data)
    embedder = load(str(tmp_path / "model"))
    embedder.load()
    assert embedder.absent is not None
    assert "still being loaded" not in embedder.absent


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_mutation_of_a_folder_ends_with_a_model_or_a_reason(
    made: tuple[Path, Callable[[str], LazyModel[Any]]], data: st.DataObject
) -> None:
    """Bytes overwritten, cut off or put in; a value of a JSON file replaced; a file lost."""
    source, load = made
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        shutil.copytree(source, folder)
        file = data.draw(st.sampled_from(sorted(folder.iterdir())), "file")
        original = file.read_bytes()
        at = data.draw(st.integers(0, len(original)), "at")
        put = data.draw(st.binary(max_size=64), "bytes")
        how = data.draw(st.sampled_from(("over", "in", "cut", "lost", "value")), "how")
        if how == "lost":
            file.unlink()
        elif how == "value" and file.suffix == ".json":
            file.write_text(json.dumps(_replaced(data, json.loads(original))))
        else:
            rest = {"over": original[at + len(put) :], "in": original[at:]}.get(how, b"")
            file.write_bytes(original[:at] + put + rest)
        embedder = load(str(folder))
        embedder.load()
        assert embedder.wait(0)
        if embedder.absent is None:
            assert embedder.space.dimensions > 0
        else:
            assert "still being loaded" not in embedder.absent


def test_a_panic_is_translated_and_an_interrupt_is_not() -> None:
    """Rust's panics are no Exceptions; Ctrl-C must still end a command."""

    class PanicException(BaseException):
        pass

    with (
        pytest.raises(EmbedderUnavailableError, match="x cannot be loaded: out of bounds"),
        torch_errors("x cannot be loaded"),
    ):
        raise PanicException("out of bounds")
    with pytest.raises(KeyboardInterrupt), torch_errors("x"):
        raise KeyboardInterrupt


def _replaced(data: st.DataObject, value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """Return a copy of a JSON value in which one place has another value."""
    if isinstance(value, dict) and value and data.draw(st.booleans(), "deeper"):
        key = data.draw(st.sampled_from(sorted(value)), "key")
        return {**value, key: _replaced(data, value[key])}
    return data.draw(
        st.none()
        | st.integers(-(2**20), 2**12)
        | st.text(max_size=8)
        | st.just([])
        | st.just({})
        | st.booleans(),
        "value",
    )
