"""Tokens by the providers' own published examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import token_costs
from rag.providers.registry import FORMATS, Name


def test_the_examples_that_providers_publish() -> None:
    """Each of them, as their pages work it out."""
    assert token_costs.patches(1024, 1024) == 1024
    assert token_costs.patches(1800, 2400) == 1452
    assert token_costs.claude(200, 200) == 64  # the page of patches; about 54 on the one before
    assert token_costs.claude(1000, 1000) == 1334
    assert token_costs.gemini(384, 384) == 258
    assert token_costs.gemini(960, 540) == 6 * 258


@pytest.mark.parametrize(
    ("name", "model", "tokens"),
    [
        ("openai", "gpt-4o", 85),
        ("openai", "gpt-4o-2024-08-06", 85),
        ("openai", "openai/gpt-4o-mini", 2833),
        ("openai-responses", "gpt-5", 70),
        ("openai-responses", "gpt-5-mini-2025-08-07", 312),
        ("openai", "gpt-4.1-nano", 473),
        ("openai", "o4-mini", 331),
        ("openai", "o3", 75),
        ("openai", "gpt-5.4", 231),
        ("anthropic", "claude-sonnet-4-5-20250929", 266),
        ("anthropic", "us.anthropic.claude-opus-4-1-20250805-v1:0", 266),
        ("gemini", "gemini-2.5-flash", 4 * 258),
        ("gemini", "models/gemini-3-pro-preview", 1120),
    ],
)
def test_a_model_is_counted_by_its_own_formula(name: Name, model: str, tokens: int) -> None:
    """For a preview of 512 x 384 pixels, without a note."""
    scale = token_costs.scale(name, model)
    assert (scale.cost(512, 384), scale.note) == (tokens, None)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("model", [None, "", "gpt-5.7", "gpt-4o-mini-turbo", "llava", "gemini-x"])
def test_an_unknown_model_costs_the_most(name: Name, model: str | None) -> None:
    """As much as any of its provider's, and the answer reports it."""
    unknown = token_costs.scale(name, model)
    assert unknown.note is not None
    assert name in unknown.note
    for known in ("gpt-4o-mini", "gpt-4.1-nano", "o4-mini", "claude-3-opus", "gemini-2.0-flash"):
        scale = token_costs.scale(name, known)
        if scale.note is None:
            for size in ((512, 512), (512, 100), (384, 384), (40, 512), (1, 1)):
                assert unknown.cost(*size) >= scale.cost(*size)


@pytest.mark.parametrize("name", FORMATS)
@given(width=st.integers(1, 512), height=st.integers(1, 512))
def test_any_preview_has_a_cost(name: Name, width: int, height: int) -> None:
    """A preview of any shape costs tokens."""
    for model in ("gpt-4o", "gpt-5-nano", "claude-3-haiku", "gemini-2.5-pro", "gemini-3-pro", None):
        assert token_costs.scale(name, model).cost(width, height) > 0


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        # Counted by OpenAI's public tokenizers (cl100k_base, o200k_base), the larger of both.
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("Hello, world!", 4),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
    ],
)
def test_a_text_is_never_counted_under(words: str, tokens: int) -> None:
    """The count is at most three times too high."""
    assert tokens <= token_costs.text(words) <= 3 * tokens


@given(st.text())
def test_a_text_costs_at_most_its_bytes(words: str) -> None:
    """No vocabulary over bytes can need more."""
    assert token_costs.text(words) <= len(words.encode("utf-8", "replace"))
    assert token_costs.text(words + "x") >= token_costs.text(words)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1000])
def test_base64_is_measured_with_its_padding(size: int) -> None:
    """The count is that of what is sent."""
    from base64 import b64encode  # noqa: PLC0415 - beside its own name

    assert token_costs.base64(size) == len(b64encode(b"x" * size))
