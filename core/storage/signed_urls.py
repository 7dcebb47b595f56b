"""Signed URLs that open one picture for a limited time.

The signature is an HMAC with SHA-256 (RFC 2104) over all that the URL opens: tenant, picture, size
and expiry. The parts are separated by line ends, which none of them can contain.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import quote, urlencode

from core.errors import ForbiddenError, MalformedError

LIFETIME = 3600
"""Seconds of validity: a model's provider fetches within moments, a chat continues within the hour.
"""
_PURPOSE = "seenit content"


class URLSigner:
    """Maker and checker of signed URLs. The secret never leaves it."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now

    def query(self, tenant: str, image_id: str, size: str, seconds: int = LIFETIME) -> str:
        """Return the query of a URL that opens a picture for so many seconds."""
        expires = str(int(self._now()) + seconds)
        return urlencode(
            {
                "size": size,
                "tenant": tenant,
                "expires": expires,
                "signature": self._sign(tenant, image_id, size, expires),
            }
        )

    def path(self, tenant: str, image_id: str, size: str, seconds: int = LIFETIME) -> str:
        """Return the path and query below the service's own URL."""
        query = self.query(tenant, image_id, size, seconds)
        return f"/v1/images/{quote(image_id, safe='')}/content?{query}"

    def check(self, tenant: str, image_id: str, size: str, *, expires: str, signature: str) -> None:
        """Check that a URL opens this picture now. Raise ForbiddenError or MalformedError."""
        mine = self._sign(tenant, image_id, size, expires)
        # Compared first and in constant time: of a forged address nothing else is told.
        if not hmac.compare_digest(mine.encode(), signature.encode("utf-8", "replace")):
            raise ForbiddenError("the signature does not open this picture", field="signature")
        if not expires.isascii() or not expires.isdigit():
            raise MalformedError("expires is a number of seconds", field="expires")
        if int(expires) <= self._now():
            raise ForbiddenError("this address has expired", field="expires")

    def _sign(self, *parts: str) -> str:
        said = "\n".join((_PURPOSE, *parts)).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()
