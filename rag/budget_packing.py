"""Packing of pictures into budgets: best first, at full size, else smaller, else not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct

from core.imaging.previews import Preview, Previews
from core.records import State
from rag import token_costs

Deliver = Literal["inline", "url", "reference"]
Size = Literal["preview", "thumb"]

SMALLER = (384, 256)
"""Long sides in pixels tried if the full one does not fit. Anthropic's page on vision warns of
sides under 200 pixels."""
PREVIEW, THUMB = 512, 160
"""Long sides in pixels that a signed URL can name."""


class SizedPicture(NamedTuple):
    """One way to send a picture, with its costs."""

    tokens: int
    weight: int
    """Bytes in base64 if it is sent inline, else 0."""
    data: bytes | None = None
    """JPEG, if it is sent inline."""
    size: Size | None = None
    """Size that the signed URL names."""


class RemainingBudget(Struct):
    """The budgets of a prompt (None is no limit), and how much of them is spent."""

    most_tokens: int | None
    most_bytes: int | None
    tokens: int
    weight: int = 0

    def lacks(self, fit: SizedPicture) -> str | None:
        """Return why a picture exceeds a budget, None if it fits."""
        if self.most_tokens is not None and self.tokens + fit.tokens > self.most_tokens:
            left = max(0, self.most_tokens - self.tokens)
            return f"it takes {fit.tokens} tokens, and {left} of token_budget are left"
        if self.most_bytes is not None and self.weight + fit.weight > self.most_bytes:
            left = max(0, self.most_bytes - self.weight)
            return f"it takes {fit.weight} bytes, and {left} of byte_budget are left"
        return None


class PictureFitter(NamedTuple):
    """The ways to send a picture, for one model and delivery."""

    previews: Previews
    deliver: Deliver
    costs: token_costs.TokenCosts

    def ways(self, tenant: str, state: State, text: str) -> Iterator[SizedPicture]:
        """Yield the ways to send a picture, largest first. Raise MissingError, CorruptError.

        Each preview is made only when the iterator reaches it.
        """
        words = token_costs.message(text)
        if self.deliver == "reference":
            yield SizedPicture(words, 0)
        elif self.deliver == "url":
            named: tuple[tuple[Size, int], ...] = (("preview", PREVIEW), ("thumb", THUMB))
            for size, side in named:
                made = self.previews.get(tenant, state.image_id, side, state.remade)
                yield SizedPicture(words + self._cost(made), 0, size=size)
        else:
            sides = (self.costs.side, *(side for side in SMALLER if side < self.costs.side))
            shown = None
            for side in sides:
                made = self.previews.get(tenant, state.image_id, side, state.remade)
                if shown != (made.width, made.height):  # else the picture is no larger than that
                    shown = made.width, made.height
                    tokens = words + self._cost(made)
                    yield SizedPicture(tokens, token_costs.base64(len(made.data)), data=made.data)

    def _cost(self, made: Preview) -> int:
        return self.costs.cost(made.width, made.height) + token_costs.PART
