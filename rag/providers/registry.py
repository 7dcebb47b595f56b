"""Registry of provider formats, by the names that callers use."""

from __future__ import annotations

from typing import Literal

from rag.providers import anthropic, gemini, openai_chat, openai_responses
from rag.providers.base import ProviderFormat

Name = Literal["openai", "openai-responses", "anthropic", "gemini"]

FORMATS: dict[Name, ProviderFormat] = {
    "openai": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
}
