"""Every embedder gives unit vectors of one space, in order; the real ones as AutoModel would."""

# ruff: noqa: PLC0415 - torch takes seconds to import: only where a test needs it
# ruff: noqa: ANN401 - the vendors' classes have no types

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapters.embedding import base, dual_encoder, priority_lock, sample_images, weights
from adapters.embedding.none import AbsentEmbedder
from adapters.embedding.preprocess import Preprocessor
from adapters.embedding.priority_lock import PriorityLock
from adapters.embedding.visual import VisualEmbedder
from core.errors import EmbedderUnavailableError
from core.ports import Embedder
from core.types import Matrix
from tests.doubles import tiny_models
from tests.doubles.toy_embedder import ToyEmbedder

pytestmark = pytest.mark.filterwarnings(
    # torch's own JIT, on Python versions that it does not know yet
    "ignore:`torch.jit.*:DeprecationWarning"
)
TEXTS = ("a photo of a cat", "red", "the sky of a dog " * 20)


@pytest.fixture(scope="module", params=tiny_models.FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model of each family."""
    return tiny_models.FAMILIES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny CLIP."""
    return tiny_models.clip(tmp_path_factory.mktemp("clip"))


def _loaded(folder: Path | str, **options: Any) -> VisualEmbedder:
    embedder = VisualEmbedder(str(folder), device="cpu", **options)
    embedder.load()
    return embedder


def _images() -> list[Image.Image]:
    shapes = ((512, 384), (300, 512), (64, 64), (512, 200), (20, 90))
    return [
        picture.resize(shape)
        for picture, shape in zip(sample_images.pictures(), shapes * 2, strict=False)
    ]


def _plain(folder: Path, images: Sequence[Image.Image], texts: Sequence[str]) -> list[Matrix]:
    """Embed as the model's own card describes, one item at a time."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    full = model.config.model_type == "siglip"
    found: list[list[Any]] = [[], []]
    with torch.inference_mode():
        for image in images:
            inputs = processor(images=image, return_tensors="pt")
            found[0].append(model.get_image_features(**inputs))
        for text in texts:
            inputs = tokenizer(
                [text],
                truncation=True,
                max_length=min(tokenizer.model_max_length, 77),
                padding="max_length" if full else False,
                return_tensors="pt",
            )
            found[1].append(model.get_text_features(**inputs))
    return [
        np.concatenate(
            [torch.nn.functional.normalize(getattr(out, "pooler_output", out)) for out in outputs]
        )
        for outputs in found
    ]


def _check_contract(embedder: Embedder) -> None:
    images = _images()
    vectors = embedder.embed_images(images)
    words = embedder.embed_texts(TEXTS)
    space = embedder.space
    assert isinstance(embedder, Embedder)
    assert embedder.absent is None
    assert [vectors.dtype, words.dtype] == [np.float32] * 2
    assert vectors.shape == (len(images), space.dimensions)
    assert words.shape == (len(TEXTS), space.dimensions)
    assert np.allclose(np.linalg.norm(np.vstack([vectors, words]), axis=1), 1, atol=1e-5)
    backwards = embedder.embed_images(images[::-1])
    assert np.allclose(backwards[::-1], vectors, atol=1e-5)
    assert embedder.embed_images([]).shape == (0, space.dimensions)
    assert embedder.embed_texts([]).shape == (0, space.dimensions)
    assert space.kind == "visual"
    assert space.space_id.startswith("visual-")
    assert 0 < space.similar_at <= 1


def test_the_toy_keeps_the_contract() -> None:
    """Unit rows in input order."""
    _check_contract(ToyEmbedder())


def test_models_keep_the_contract(folder: Path) -> None:
    """Unit rows in input order, for every family."""
    _check_contract(_loaded(folder))


def test_models_embed_as_plain_automodel_does(folder: Path) -> None:
    """Batched, resized and cut by ourselves: cosines stay within 1e-5 of the model's own way."""
    embedder = _loaded(folder)
    expected = _plain(folder, _images(), TEXTS)
    actual = [embedder.embed_images(_images()), embedder.embed_texts(TEXTS)]
    assert embedder.running == {"device": "cpu", "dtype": _dtype(), "resizing": "own"}
    tolerance = 1e-5 if _dtype() == "float32" else 1e-3
    for ours, plain in zip(actual, expected, strict=True):
        assert np.sum(ours * plain, axis=1) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("name", ["mini-clip", "dual-encoder"])
def test_trained_models_embed_as_plain_automodel_does(name: str, shared: Path) -> None:
    """The same with real weights."""
    folder = shared / "models" / name
    embedder = _loaded(folder, dtype="float32")
    expected = _plain(folder, _images(), TEXTS)
    actual = [embedder.embed_images(_images()), embedder.embed_texts(TEXTS)]
    for ours, plain in zip(actual, expected, strict=True):
        assert np.sum(ours * plain, axis=1) == pytest.approx(1, abs=1e-5)


def test_making_one_does_nothing_yet(clip: Path) -> None:
    """Before `load` the model is absent with a reason, and asking for it is refused."""
    embedder = VisualEmbedder(str(clip))
    assert embedder.absent == f"{clip.name} is still being loaded"
    assert embedder.wait(0) is False
    with pytest.raises(EmbedderUnavailableError, match="still being loaded"):
        embedder.embed_images(_images())
    embedder.load()
    assert [embedder.absent, embedder.wait(0)] == [None, True]


def test_the_space_is_named_by_what_shapes_it(clip: Path, tmp_path: Path) -> None:
    """Device and dtype leave the name; other weights, tokens or preprocessing change it."""
    name = _loaded(clip).space.space_id
    assert _loaded(clip, dtype="bfloat16").space.space_id == name
    assert _loaded(_copied(clip, tmp_path / "same")).space.space_id == name
    other = _copied(clip, tmp_path / "mean")
    _edit(other / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])
    weights = tiny_models.clip(tmp_path / "weights", projection=23)
    tokens = _copied(clip, tmp_path / "tokens")
    _edit(tokens / "tokenizer_config.json", model_max_length=11)
    names = {name, *(_loaded(changed).space.space_id for changed in (other, weights, tokens))}
    assert len(names) == 4


def test_fewer_bits_that_change_vectors_are_not_used(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If bfloat16 moves a vector further than 0.999, the model runs in float32, and logs it."""
    import torch

    plain = dual_encoder.DualEncoder.forward

    def coarse(self: dual_encoder.DualEncoder, inputs: dict[str, Any]) -> Any:
        features = plain(self, inputs)
        if self.dtype == torch.bfloat16:
            features = features + features.abs().max()
        return features

    monkeypatch.setattr(dual_encoder.DualEncoder, "forward", coarse)
    with caplog.at_level(logging.WARNING):
        embedder = _loaded(clip, dtype="bfloat16")
    assert embedder.running["dtype"] == "float32"
    assert "float32 it is" in caplog.text


def test_bfloat16_is_used_where_it_agrees(clip: Path) -> None:
    """A configured bfloat16 passes its check and is kept; the vectors stay float32."""
    embedder = _loaded(clip, dtype="bfloat16")
    exact = _loaded(clip, dtype="float32").embed_images(_images())
    actual = embedder.embed_images(_images())
    assert embedder.running["dtype"] == "bfloat16"
    assert actual.dtype == np.float32
    assert np.sum(actual * exact, axis=1).min() >= 0.999


def test_out_of_memory_halves_the_batch(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A device with room for three pictures still embeds twenty, in order."""
    import torch

    embedder = _loaded(clip, dtype="float32")
    images = _images() * 3
    expected = embedder.embed_images(images)
    plain = dual_encoder.DualEncoder.forward

    def narrow(self: dual_encoder.DualEncoder, inputs: dict[str, Any]) -> Any:
        if len(inputs["pixel_values"]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, inputs)

    monkeypatch.setattr(dual_encoder.DualEncoder, "forward", narrow)
    actual = embedder.embed_images(images)
    assert np.allclose(actual, expected, atol=1e-5)
    assert "batches of 2 from now on" in caplog.text


def test_a_check_leaves_cores_to_the_decoders(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a check, and right after it, a pass takes half of the cores; else all."""
    import torch

    embedder = _loaded(clip)
    monkeypatch.setattr(base, "_threads", lambda: 2)
    monkeypatch.setattr(priority_lock, "SHARED", PriorityLock())
    before = torch.get_num_threads()
    plain = dual_encoder.DualEncoder.forward
    taken: list[int] = []

    def counted(self: dual_encoder.DualEncoder, inputs: dict[str, Any]) -> Any:
        taken.append(torch.get_num_threads())
        return plain(self, inputs)

    monkeypatch.setattr(dual_encoder.DualEncoder, "forward", counted)
    try:
        for urgent in (False, True, False):
            embedder.embed_images(_images()[:1], urgent=urgent)
        monkeypatch.setattr(priority_lock, "CALM", 0.0)
        embedder.embed_texts(["red"])
    finally:
        torch.set_num_threads(before)
    assert taken == [2, 1, 1, 2]


def test_no_room_for_one_picture_is_unavailable(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one picture does not fit, no batch can be halved: EmbedderUnavailableError."""
    import torch

    embedder = _loaded(clip)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(dual_encoder.DualEncoder, "forward", full)
    with pytest.raises(EmbedderUnavailableError, match="out of memory"):
        embedder.embed_images(_images())


@pytest.mark.parametrize("broken", ["empty", "weights", "config", "kind", "processor"])
def test_a_broken_folder_is_an_absent_model(
    clip: Path, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Any fault in the files makes the model absent, with a reason logged once; nothing crashes."""
    folder = _copied(clip, tmp_path / "model")
    match broken:
        case "empty":
            for file in folder.iterdir():
                file.unlink()
        case "weights":
            (folder / "model.safetensors").write_bytes(b"\x10")
        case "config":
            (folder / "config.json").write_text("{}")
        case "kind":
            _edit(folder / "config.json", model_type="unheard-of")
        case _:
            (folder / "preprocessor_config.json").unlink()
    with caplog.at_level(logging.WARNING, "adapters"):
        embedder = _loaded(folder)
        embedder.load()
    assert embedder.absent
    said = [record for record in caplog.records if "NO VISUAL MODEL" in record.getMessage()]
    assert len(said) == 1
    with pytest.raises(EmbedderUnavailableError):
        _ = embedder.space


def test_a_hub_out_of_reach_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub whose answer never comes is given up, though its client would wait."""
    import huggingface_hub
    from huggingface_hub import constants

    assert weights.PATIENCE == 5.0
    monkeypatch.setattr(weights, "PATIENCE", 1.0)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: time.sleep(30))
    began = time.monotonic()
    embedder = _loaded("nobody/nothing")
    assert time.monotonic() - began < 20
    assert embedder.absent == "the hub did not answer within 1 s"


def test_a_folder_that_is_not_there_is_not_asked_of_the_hub(tmp_path: Path) -> None:
    """A path stays a path."""
    assert _loaded(tmp_path / "gone").absent == f"no folder {tmp_path / 'gone'}"


def test_an_odd_processor_is_used_as_it_is(clip: Path) -> None:
    """Where our own resizing would give other numbers, the model's processor does the work."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(clip, backend="pil", local_files_only=True)
    assert Preprocessor(processor).quick

    class Inverting:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def __call__(self, **given: Any) -> Any:
            found = processor(**given)
            return {"pixel_values": -found["pixel_values"]}

    odd = Preprocessor(Inverting())
    image = _images()[0]
    expected = -processor(images=[image], return_tensors="pt")["pixel_values"]
    assert not odd.quick
    assert odd.finish(odd([image])["pixel_values"]).equal(expected)


def test_absence_explains_itself() -> None:
    """Every method raises with the reason."""
    embedder = AbsentEmbedder("no weights here")
    assert embedder.absent == "no weights here"
    for act in (
        lambda: embedder.space,
        lambda: embedder.embed_images([]),
        lambda: embedder.embed_texts([]),
    ):
        with pytest.raises(EmbedderUnavailableError, match="no weights here"):
            act()


def test_the_toy_can_be_predicted() -> None:
    """A flat picture is its colour's name, and black and white oppose each other."""
    toy = ToyEmbedder()
    red, black, white = (Image.new("RGB", (40, 30), name) for name in ("red", "black", "white"))
    pictures = toy.embed_images([red, black, white])
    words = toy.embed_texts(["a red car", "Black!", "white"])
    assert np.diag(pictures @ words.T) == pytest.approx(1, abs=1e-6)
    # 48 channels of -1 against 48 of 1, and the constant 1: (-48 + 1) / 49
    assert float(pictures[1] @ pictures[2]) == pytest.approx(-47 / 49, abs=1e-6)


def test_the_toy_sees_where_a_colour_is() -> None:
    """Left and right halves exchanged: 16 of 48 channels of a red-and-black picture oppose."""
    toy = ToyEmbedder()
    picture = Image.new("RGB", (40, 40), "black")
    picture.paste((255, 0, 0), (0, 0, 20, 40))
    one, other = toy.embed_images([picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    assert float(one @ other) == pytest.approx((32 - 16 + 1) / 49, abs=1e-6)


def _dtype() -> str:
    return "bfloat16" if dual_encoder.has_bfloat16("cpu") else "float32"


def _copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def _edit(file: Path, **changed: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))
