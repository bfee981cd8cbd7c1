"""Strict validation with messages a person can act on: key, value, why, what is allowed."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from toporepro.spec import SpecError, nearest


class ConfigError(SpecError):
    """A configuration that cannot be: key, value, why, and what is allowed, one line each."""


def validate(cls: type[Any], value: object, where: str) -> Any:
    """``value`` as ``cls``: unknown keys refused, numeric strings read as numbers.

    Raises:
        ConfigError: one line per problem.
    """
    # A stdlib dataclass takes its strictness from the model that holds it.
    strict = create_model("Strict", __config__=ConfigDict(extra="forbid"), held=(cls, ...))
    try:
        return strict.model_validate({"held": value}).held  # type: ignore[attr-defined]
    except ValidationError as error:
        lines = [_explain(cls, dict(item), where) for item in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _explain(cls: type[Any], error: dict[str, Any], where: str) -> str:
    location = [part for part in error["loc"][1:] if part != "[key]"]
    path = where
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _fields_at(cls, location[:-1])
        return f"{path}: unknown key; {nearest(str(location[-1]), known)}"
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{path}: missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path or 'config'}={_short(error['input'])}: {message}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _fields_at(kind: Any, location: list[Any]) -> list[str]:
    for part in location:
        kind = _inner(kind, part)
    return (
        [item.name for item in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    )


def _inner(kind: Any, part: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        kind = typing.get_type_hints(kind).get(str(part), Any)
    elif typing.get_origin(kind) is not None:
        kind = typing.get_args(kind)[-1]
    options = [option for option in typing.get_args(kind) if option is not types.NoneType]
    if typing.get_origin(kind) in (typing.Union, types.UnionType) and options:
        return options[0]
    return kind
