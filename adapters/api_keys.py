"""API keys: the two forms of the setting, and the rights of each key."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any, Literal, NamedTuple, get_args

SHORTEST = 16
"""Characters of a key: 64 bits, if they are random hex digits, too many to try over a network."""
_TENANT = re.compile(r"[a-z0-9-]{1,64}")

Role = Literal["write", "moderate", "admin"]


class Grant(NamedTuple):
    """Tenant and role that an API key opens."""

    tenant: str
    role: Role


def grants(text: str) -> dict[str, Grant]:
    """Parse the keys, in either form. Raise ValueError if there is none."""
    text = text.strip()
    parts = _from_json(text) if text.startswith("[") else _from_list(text)
    found: dict[str, Grant] = {}
    for place, (key, tenant, role) in enumerate(parts, 1):
        if not key:
            raise ValueError(f"key {place} is empty")
        length = len(key.strip())
        if length < SHORTEST:
            raise ValueError(
                f"key {place} has {length} characters, and at least {SHORTEST} are needed: "
                "`openssl rand -hex 32` makes a good one"
            )
        if not _TENANT.fullmatch(tenant):
            raise ValueError(f"the tenant of key {place} is not 1 to 64 of a-z, 0-9 and -")
        if role not in get_args(Role):
            raise ValueError(f"the role of key {place} is not write, moderate or admin")
        digest = sha256(key.encode()).hexdigest()
        if digest in found:
            raise ValueError(f"key {place} is there twice")
        found[digest] = Grant(tenant, role)
    if text and not found:
        raise ValueError("it is set and names no key: write KEY:tenant:role, or leave it unset")
    return found


def _from_list(text: str) -> list[tuple[str, str, Any]]:
    parts: list[tuple[str, str, Any]] = []
    for place, part in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        match part.split(":"):
            case [key, tenant, role]:
                parts.append((key, tenant, role))
            case _:
                raise ValueError(f"key {place} is not written KEY:tenant:role")
    return parts


def _from_json(text: str) -> list[tuple[str, str, Any]]:
    try:
        read = json.loads(text)
        return [(str(one["key"]), str(one["tenant"]), one["role"]) for one in read]
    except (ValueError, KeyError, TypeError):
        raise ValueError("not a JSON list of objects with key, tenant and role") from None
