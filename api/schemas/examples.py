"""Examples and response descriptions of the reference at /schema."""

from __future__ import annotations

from typing import Any

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example

_ID = "01980a5e-7c1d-7b6a-9f0e-3f6f0c1f2a44"
_OTHER = "01980a11-02aa-7cc3-8d11-90b1f7a3c001"
_AT = "2026-03-01T09:30:00.125Z"

DECISION = {"value": "allow", "reason": None, "by": "policy", "at": _AT}
VERDICT = {
    "kind": "near_duplicate",
    "original": {
        "image_id": _OTHER,
        "external_id": "listing-18",
        "owner_id": "seller-7",
        "decision": DECISION,
        "accepted_at": "2026-02-27T17:02:11.004Z",
    },
    "matches": [
        {
            "image_id": _OTHER,
            "kind": "near_duplicate",
            "confirmed": True,
            "evidence": {
                "signals": ["features", "alignment"],
                "hamming": 24,
                "turn": "mirrored",
                "votes": 41,
                "inliers": 160,
                "overlap": 0.97,
                "changed_regions": [],
                "changed_share": 0.0,
                "uncompared": [],
                "same_owner": False,
                "words": "mirrored, cropped to 62 %",
            },
        }
    ],
    "missing": [{"signal": "visual", "reason": "off"}],
    "comparable": True,
    "candidates_truncated": False,
    "policy_version": "1",
    "pipeline_version": "1",
    "revision": 1,
    "decided_at": _AT,
    "decided_by": "machine",
}
JOB = {
    "job_id": _ID,
    "kind": "ingest",
    "image_id": _ID,
    "status": "done",
    "verdict": VERDICT,
    "decision": DECISION,
    "error": None,
    "attempts": 1,
    "accepted_at": _AT,
    "finished_at": "2026-03-01T09:30:00.410Z",
}
REFUSED = {
    "error": {
        "type": "/problems/unsupported",
        "title": "Unsupported format",
        "status": 415,
        "detail": "a PDF is not a picture",
        "filename": "offer.pdf",
    }
}
QUEUED = {"items": [{"job_id": _ID, "image_id": _ID, "status": "queued"}, REFUSED]}
ENDED = {"items": [JOB, REFUSED]}
CHECKED = {"verdict": VERDICT, "decision": DECISION}
QUESTIONS = {
    "words": {"text": "a dog playing in a park", "filters": {"category": "pets"}, "limit": 5},
    "meaning": {"text": "outdoor adventure travel", "mode": "caption", "min_similarity": 0.4},
    "example": {"image_id": _ID, "mode": "visual", "group_by": "category"},
    "hybrid": {
        "text": "red car",
        "min_similarity": {"visual": 0.2, "caption": 0.4},
        "filters": {"decision": "allow", "tags": ["summer"]},
    },
}
HITS = {
    "hits": [
        {
            "image": {
                "image_id": _OTHER,
                "owner_id": "seller-7",
                "external_id": "listing-18",
                "title": "Golden retriever in a sunny park",
                "description": None,
                "category": "pets",
                "tags": ["dog"],
                "decision": DECISION,
            },
            "similarities": {"visual": 0.31, "caption": 0.7},
            "rank": 1,
            "matched_by": ["visual", "caption", "keyword"],
            "band": "very close",
        }
    ],
    "used": ["visual", "caption", "keyword"],
    "missing": [],
    "took_ms": 12.4,
}
PATCH = {"title": "Blue mug", "tags": ["mug", "blue"], "source_url": None}
DECIDED = {"value": "block", "reason": "stolen photo, reported by its author"}
_FACTS = '<picture-facts>{"title":"Blue mug","tags":["mug"]}</picture-facts>'
_BLOCKS = [
    {"type": "text", "text": "The pictures below come from an image library. …"},
    {"type": "text", "text": f"Picture [img-1]\n{_FACTS}"},
    {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQSkZJRg…"},
    },
]
QUESTION = {"query": "Which mugs are blue?", "format": "anthropic", "model": "claude-opus-4-8"}
PROMPT = {
    "messages": [
        {"role": "user", "content": [*_BLOCKS, {"type": "text", "text": QUESTION["query"]}]}
    ],
    "blocks": _BLOCKS,
    "citations": [
        {
            "label": "[img-1]",
            "image_id": _ID,
            "title": "Blue mug",
            "external_id": "listing-18",
            "source_url": None,
            "similarities": {"visual": 0.2907, "caption": 0.6812},
        }
    ],
    "dropped": [
        {"image_id": _OTHER, "reason": "it takes 372 tokens, and 90 of token_budget are …"}
    ],
    "estimated_tokens": 667,
    "reason": None,
    "notes": [],
}


def spec(body: type, description: str, example: dict[str, Any] | None = None) -> ResponseSpec:
    """Return the spec of a further answer of a route."""
    return ResponseSpec(
        body,
        description=description,
        generate_examples=False,
        examples=None if example is None else [Example(id="example", value=example)],
    )


def empty(description: str) -> ResponseSpec:
    """Return the spec of a further answer without a body."""
    return ResponseSpec(None, description=description, generate_examples=False)
