"""API keys: the two forms in which they are written, and the rights of each key."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any, Literal, NamedTuple, get_args

from adapters.setting_errors import either

SHORTEST = 16
"""Characters of a key: 64 bits, if they are random hex digits, too many to try over a network."""
EVERY_TENANT = "*"
"""Tenant of the keys of operators, who see no tenant's pictures."""
TENANT = re.compile(r"[a-z0-9-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = "sha256:"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_FORM = "KEY:tenant:role or KEY:tenant:role:name"
_LISTED = "a JSON list of objects with key, tenant, role and, if wanted, name and rate_limit"
_MEMBERS = frozenset({"key", "tenant", "role", "name", "rate_limit"})
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/([sm])(?::([0-9]{1,9}))?")

Role = Literal["read", "write", "moderate", "admin", "operator"]


class RateLimit(NamedTuple):
    """Requests that a key may send: `burst` at once, and then so many a second."""

    per_second: float
    burst: float

    def __str__(self) -> str:
        """Say it in words."""
        rate = self.per_second
        each = f"{rate:g} requests a second" if rate >= 1 else f"{rate * 60:g} requests a minute"
        return f"{each}, at most {self.burst:g} at once"


UNLIMITED = RateLimit(math.inf, math.inf)


class Grant(NamedTuple):
    """Tenant and role that an API key opens, the key's name in the log, and its own limit."""

    tenant: str
    role: Role
    name: str = ""
    limit: RateLimit | None = None
    """None: the one of the settings."""


class _Written(NamedTuple):
    """A key as it is written."""

    key: str
    tenant: str
    role: Any
    name: str = ""
    limit: str = ""


def grants(text: str) -> dict[str, Grant]:
    """Return the grants by the SHA-256 of each key in hex; none for an empty text.

    The text is a JSON list, or a list separated by commas or line ends, in which lines that begin
    with # are comments. `sha256:` and the digest may stand in place of a key. Raise ValueError for
    a text that names no key or a wrong one; its message holds no part of a key.
    """
    text = text.strip()
    parts = _from_json(text) if text.startswith("[") else _from_list(text)
    found: dict[str, Grant] = {}
    for place, part in enumerate(parts, 1):
        digest = _digest(place, part.key)
        if digest in found:
            raise ValueError(f"key {place} is there twice")
        found[digest] = _grant(place, part)
    if text and not found:
        raise ValueError("it is set and names no key: write KEY:tenant:role, or leave it unset")
    return found


def rate_limit(text: str) -> RateLimit:
    """Return the limit that a text such as 10/s, 600/m or 10/s:50 names. Raise ValueError.

    Unless it names a burst, that is the number itself. An empty text and `none` are no limit.
    """
    if text.strip() in ("", "none"):
        return UNLIMITED
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a rate such as 10/s, 600/m or 10/s:50, or none")
    number, unit, burst = found.groups()
    rate, most = float(number), float(burst or math.ceil(float(number)))
    if not rate or most < 1:
        raise ValueError("must allow a request: the rate over 0 and the burst at least 1")
    return RateLimit(rate / (60 if unit == "m" else 1), most)


def in_words(found: Collection[Grant]) -> str:
    """Return how many keys there are, and how many of each role."""
    roles = Counter(grant.role for grant in found)
    each = (f"{roles[role]} {role}" for role in get_args(Role) if roles[role])
    return f"{len(found)} {'key' if len(found) == 1 else 'keys'}: {', '.join(each)}"


def _digest(place: int, key: str) -> str:
    if not key:
        raise ValueError(f"key {place} is empty")
    if key.startswith(_HASH):
        digest = key.removeprefix(_HASH)
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"the hash of key {place} is not {_HASH} and 64 hex digits")
        return digest.lower()
    length = len(key.strip())
    if length < SHORTEST:
        raise ValueError(
            f"key {place} has {length} characters, and at least {SHORTEST} are needed: "
            "`openssl rand -hex 32` makes a good one"
        )
    return sha256(key.encode()).hexdigest()


def _grant(place: int, part: _Written) -> Grant:
    if part.role not in get_args(Role):
        raise ValueError(f"the role of key {place} is not {either(get_args(Role))}")
    if (part.role == "operator") != (part.tenant == EVERY_TENANT):
        raise ValueError(
            f"key {place}: the role operator and the tenant {EVERY_TENANT} go together only"
        )
    if part.tenant != EVERY_TENANT and not TENANT.fullmatch(part.tenant):
        raise ValueError(f"the tenant of key {place} is not 1 to 64 of a-z, 0-9 and -")
    if part.name and not _NAME.fullmatch(part.name):
        raise ValueError(f"the name of key {place} is not 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
    try:
        limit = rate_limit(part.limit) if part.limit else None
    except ValueError as error:
        raise ValueError(f"the rate_limit of key {place} {error}") from None
    return Grant(part.tenant, part.role, part.name, limit)


def _from_list(text: str) -> Iterator[_Written]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    parts = (part.strip() for line in lines for part in line.split(","))
    for place, part in enumerate(filter(None, parts), 1):
        begin = _HASH if part.startswith(_HASH) else ""
        match part.removeprefix(begin).split(":"):
            case [key, tenant, role]:
                yield _Written(begin + key, tenant, role)
            case [key, tenant, role, name]:
                yield _Written(begin + key, tenant, role, name)
            case _:
                raise ValueError(f"key {place} is not written {_FORM}")


def _from_json(text: str) -> list[_Written]:
    try:
        return [_from_object(one) for one in json.loads(text)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"not {_LISTED}") from None


def _from_object(one: dict[str, Any]) -> _Written:
    if one.keys() - _MEMBERS:
        raise ValueError
    name, limit = (str(one.get(member) or "") for member in ("name", "rate_limit"))
    return _Written(str(one["key"]), str(one["tenant"]), one["role"], name, limit)
