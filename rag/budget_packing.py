"""What of the pictures fits: full size first, then smaller, best first, never over a budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from core.imaging.previews import Preview, Previews
from rag import token_costs

Deliver = Literal["inline", "url", "reference"]
Size = Literal["preview", "thumb"]

SMALLER = (384, 256)
"""Long sides tried where the full one does not fit. Not below: Anthropic's page on vision warns of
sides under 200 pixels."""
PREVIEW, THUMB = 512, 160
"""Long sides that an address can name."""


class SizedPicture(NamedTuple):
    """How a picture is sent, and what it costs."""

    tokens: int
    weight: int
    """Bytes in base64, where it is sent inline."""
    data: bytes | None = None
    size: Size | None = None
    """Of the address."""


class RemainingBudget:
    """What is left of the budgets while pictures are taken."""

    def __init__(self, tokens: int | None, size: int | None, spent: int) -> None:
        self._most_tokens = tokens
        self._most_bytes = size
        self.tokens = spent
        self.weight = 0

    def lacks(self, fit: SizedPicture) -> str | None:
        """Which budget has no room for it, in words."""
        if self._most_tokens is not None and self.tokens + fit.tokens > self._most_tokens:
            left = max(0, self._most_tokens - self.tokens)
            return f"it takes {fit.tokens} tokens, and of token_budget {left} are left"
        if self._most_bytes is not None and self.weight + fit.weight > self._most_bytes:
            left = max(0, self._most_bytes - self.weight)
            return f"it takes {fit.weight} bytes, and of byte_budget {left} are left"
        return None

    def take(self, fit: SizedPicture) -> None:
        """Spend it."""
        self.tokens += fit.tokens
        self.weight += fit.weight


class PictureFitter:
    """The ways to send one picture, for one model and delivery."""

    def __init__(self, previews: Previews, deliver: Deliver, scale: token_costs.TokenCosts) -> None:
        self._previews = previews
        self._deliver = deliver
        self._scale = scale

    def ways(self, tenant: str, image_id: str, text: str) -> Iterator[SizedPicture]:
        """Largest first, each made only when it is asked for. Raise MissingError, CorruptError."""
        said = token_costs.message(text)
        if self._deliver == "reference":
            yield SizedPicture(said, 0)
        elif self._deliver == "url":
            named: tuple[tuple[Size, int], ...] = (("preview", PREVIEW), ("thumb", THUMB))
            for size, side in named:
                made = self._previews.get(tenant, image_id, side)
                yield SizedPicture(said + self._cost(made), 0, size=size)
        else:
            sides = (self._scale.side, *(side for side in SMALLER if side < self._scale.side))
            shown = None
            for side in sides:
                made = self._previews.get(tenant, image_id, side)
                if shown != (made.width, made.height):  # else it was that small already
                    shown = made.width, made.height
                    tokens = said + self._cost(made)
                    yield SizedPicture(tokens, token_costs.base64(len(made.data)), data=made.data)

    def _cost(self, made: Preview) -> int:
        return self._scale.cost(made.width, made.height) + token_costs.PART
