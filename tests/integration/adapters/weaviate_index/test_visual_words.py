"""Local features on a real Weaviate: small tenants and large ones find the originals of edits."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import weaviate
from PIL import Image, ImageOps
from weaviate.classes.config import Configure, DataType, Property, StopwordsPreset
from weaviate.classes.data import DataObject
from weaviate.collections import Collection

from adapters.weaviate_index import parse
from adapters.weaviate_index import visual_words as source
from core.fingerprint.visual_words import extract
from core.types import Features
from tests.samples.pictures import flat, photo

STORED = 12


def described(image: Image.Image) -> Features:
    """Features of a picture as it is."""
    return extract(np.asarray(image.convert("RGB")))


@pytest.fixture(scope="module")
def anchors(weaviate_server: Any) -> Iterator[Collection[Any, Any]]:  # noqa: ANN401 - one of one's own, or given
    """Twelve made photos of one tenant, by number."""
    node = parse(weaviate_server.url)[0]
    key = weaviate_server.key
    client = weaviate.connect_to_local(
        host=node.host,
        port=node.http,
        grpc_port=node.grpc,
        auth_credentials=weaviate.auth.AuthApiKey(key) if key else None,
    )
    name = f"Words{uuid.uuid4().hex}"
    try:
        held = client.collections.create(
            name,
            properties=[
                Property(name="image_id", data_type=DataType.TEXT),
                *source.PROPERTIES,
            ],
            inverted_index_config=Configure.inverted_index(
                bm25_b=0.0, bm25_k1=1.2, stopwords_preset=StopwordsPreset.NONE
            ),
            multi_tenancy_config=Configure.multi_tenancy(enabled=True, auto_tenant_creation=True),
        ).with_tenant("t")
        made = [
            DataObject({"image_id": str(n), **source.stored(described(photo(n)))})
            for n in range(STORED)
        ]
        assert not held.data.insert_many(made).has_errors
        yield held
    finally:
        client.collections.delete(name)
        client.close()


@pytest.mark.parametrize("small", [STORED, STORED - 1], ids=["small", "large"])
def test_the_original_comes_first(
    anchors: Collection[Any, Any], monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """It does so for a crop, a mirrored picture and a small one, in tenants of either size."""
    monkeypatch.setattr(source, "SMALL", small)
    words = source.VisualWordSource()
    for n in range(0, STORED, 4):
        image = photo(n)
        width, height = image.size
        crop = image.crop((0, 0, round(0.7 * width), round(0.7 * height)))
        for edited in (crop, ImageOps.mirror(image), image.resize((width // 3, height // 3))):
            found = words.ask(anchors, described(edited), 3)
            assert found[0][1] == str(n)
    assert (len(words._grown), len(words._counted)) == ((0, 1) if small == STORED else (1, 0))


def test_no_words_find_nothing(anchors: Collection[Any, Any]) -> None:
    """A flat picture has no words, and no hits."""
    assert source.VisualWordSource().ask(anchors, described(flat()), 3) == []
