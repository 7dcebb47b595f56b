"""Searches for the photos by their content and by their texts."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace

from demo.sent import Answer

TOP = 3
FORMAT = "openai"
MODEL = "gpt-4o"
QUESTION = "Show our readers a rocket launch and the astronauts who fly."
GET_CLIP = (
    "Search by what a picture shows needs a dual encoder such as CLIP, and this demo was run "
    "without one. With a network: SEENIT_MODEL=openai/clip-vit-base-patch32 make demo"
)


class Query(Struct, frozen=True):
    """Query in words, with the photos that may come first."""

    text: str
    mode: str
    right: tuple[str, ...]
    why: str


QUERIES = (
    Query("motorcycles", "keyword", ("motorcycle, left eye", "motorcycle, right eye"), "its word"),
    Query("a furry pet", "caption", ("cat",), "its meaning"),
    Query("a hot drink in the morning", "caption", ("coffee",), "its meaning"),
    Query("what did Romans pay with", "caption", ("coins",), "its meaning"),
    Query("spaceflight", "hybrid", ("astronaut", "rocket"), "words and meaning together"),
    Query("a drawing of a cat", "visual", ("cat",), "what it shows"),
)


class Found(Struct, frozen=True, kw_only=True):
    """Result of a query."""

    text: str
    mode: str
    why: str
    hits: tuple[Answer, ...] = ()
    """Hits with image_id, title, and similarity as a word and a number."""
    absent: str = ""
    """Part that is missing for an answer, and how to get it."""
    faults: tuple[str, ...] = ()


class Told(Struct, frozen=True, kw_only=True):
    """Prompt for a question."""

    question: str
    format: str
    citations: tuple[Answer, ...]
    blocks: int
    tokens: int
    reason: str
    texts: tuple[str, ...]
    """Text blocks as they are in the prompt."""
    faults: tuple[str, ...] = ()


def search(http: httpx.Client) -> list[Found]:
    """Run all queries in order."""
    return [_search(http, query) for query in QUERIES]


def _search(http: httpx.Client, query: Query) -> Found:
    asked = {"text": query.text, "mode": query.mode, "limit": TOP}
    answer = http.post("/v1/search", json=asked)
    found = Found(text=query.text, mode=query.mode, why=query.why)
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        reason = answer.json()["detail"]
        absent = GET_CLIP if query.mode == "visual" else f"Not searched by {query.mode}: {reason}"
        return replace(found, absent=absent)
    hits = answer.raise_for_status().json()["hits"]
    first = hits[0]["image"]["external_id"] if hits else None
    # A dual encoder of one's own choosing may see it otherwise: its answer is shown, not judged.
    wrong = query.mode != "visual" and first not in query.right
    return replace(
        found,
        hits=tuple(_hit(hit) for hit in hits),
        faults=(f"{query.text!r} finds {first} first, not {query.right[0]}",) if wrong else (),
    )


def _hit(hit: Answer) -> Answer:
    image = hit["image"]
    figures = ", ".join(f"{kind} {value:.2f}" for kind, value in hit["similarities"].items())
    return {
        "image_id": image["image_id"],
        "title": image["title"],
        "similarity": " ".join(filter(None, (hit.get("band"), figures and f"({figures})"))),
    }


def context(http: httpx.Client) -> Told:
    """Request the pictures that help a model to answer."""
    asked = {"query": QUESTION, "format": FORMAT, "model": MODEL, "limit": TOP}
    answer = http.post("/v1/rag/context", json=asked).raise_for_status().json()
    cited = {citation["external_id"] for citation in answer["citations"]}
    faults = []
    if not cited & {"astronaut", "rocket"}:
        faults.append(f"the prompt about travel to space shows {sorted(filter(None, cited))}")
    if cited & {"retina", "coins", "coffee"}:
        faults.append(f"the prompt about travel to space shows {sorted(filter(None, cited))}")
    blocks: list[dict[str, Any]] = answer["blocks"]
    return Told(
        question=QUESTION,
        format=FORMAT,
        citations=tuple(answer["citations"]),
        blocks=len(blocks),
        tokens=answer["estimated_tokens"],
        reason=answer.get("reason") or "",
        texts=tuple(block["text"] for block in blocks if block.get("type") == "text"),
        faults=tuple(dict.fromkeys(faults)),
    )
