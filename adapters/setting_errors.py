"""Errors of settings in plain words: the variable, the rule, and the value unless it is secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from core.validation import VALUE, nearest

_RULES = {
    "bool_parsing": "true or false",
    "byte_size": "a number of bytes, such as 32MiB",
    "byte_size_unit": "a number of bytes, such as 32MiB",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "string_pattern_mismatch": "a capital letter and at most 31 more letters or digits",
}
"""Values that a field takes, by the type of pydantic's error; none of these fields is a secret."""
_PHRASES = {
    "Input should ": "must ",
    "String should ": "must ",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}


def explained(error: ValidationError, prefix: str, fields: Mapping[str, FieldInfo]) -> str:
    """Return one sentence for each wrong setting, with its variable and, unless secret, value."""
    sentences = []
    for fault in error.errors(include_url=False, include_context=False):
        if fault["type"] == "default_factory_not_called":
            continue  # the default follows from another wrong setting, which is reported itself
        field = str(fault["loc"][0]) if fault["loc"] else "api_keys"
        sentences.append(f"{prefix}{field.upper()}: {_broken_rule(fields[field], fault)}.")
    return " ".join(sentences)


def _broken_rule(field: FieldInfo, fault: ErrorDetails) -> str:
    """Return the rule that a value breaks; the value is added to numbers and enumerations only.

    A secret or a password in a URL must not reach a log.
    """
    kind, value = fault["type"], str(fault["input"])[:VALUE]
    if kind == "literal_error":
        allowed = get_args(field.annotation)
        return f"must be {either(allowed)}, not {value!r}{nearest(value.lower(), allowed)}"
    if kind in _RULES:
        return f"must be {_RULES[kind]}, not {value!r}"
    message = fault["msg"].removeprefix("Value error, ")
    for theirs, ours in _PHRASES.items():
        message = message.replace(theirs, ours)
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return f"{message}, not {value}"
    return message[0].lower() + message[1:]


def either(names: Sequence[str]) -> str:
    """Return two or more names as `a, b or c`."""
    return f"{', '.join(names[:-1])} or {names[-1]}"
