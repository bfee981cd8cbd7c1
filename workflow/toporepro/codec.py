"""The JSON of specs: canonical in writing, strict in reading; standard library alone."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")


class SpecError(ValueError):
    """A specification that cannot be: says which key, which value and what is allowed."""


def encode(value: object) -> str:
    """Canonical JSON of a spec: sorted keys, no spaces; equal specs give equal text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def flatten(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested mappings, and lists of these, as (dotted key, JSON text), in order."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, encode(value)


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """A half-sentence that helps with a misspelt name: the nearest known ones, or all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


def decode(cls: type[T], source: str | Path | Mapping[str, Any]) -> T:
    """A spec from JSON text, from a JSON file or from a mapping, strictly.

    Raises:
        SpecError: on unknown, missing or ill-typed keys; the message names the key.
    """
    if isinstance(source, Path) or (
        isinstance(source, str) and not source.lstrip().startswith("{")
    ):
        try:
            source = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise SpecError(f"spec file {source}: {error.strerror}") from None
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except json.JSONDecodeError as error:
            raise SpecError(f"not valid JSON: {error}") from None
    return typing.cast(T, _build(cls, source, cls.__name__))


def _build(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_dataclass(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        last: SpecError | None = None
        for option in arguments:
            if option is not type(None):
                try:
                    return _build(option, value, where)
                except SpecError as error:
                    last = error
        raise last or SpecError(f"{where}: nothing fits {value!r}")
    if origin is Literal:
        if value not in arguments:
            raise SpecError(f"{where}={value!r}: one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SpecError(f"{where}={value!r}: a list is needed")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise SpecError(f"{where}={value!r}: {len(arguments)} values are needed")
        return tuple(_build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SpecError(f"{where}={value!r}: a mapping is needed")
        return {key: _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SpecError(f"{where}={value!r}: {kind.__name__} is needed")
    return value


def _build_dataclass(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise SpecError(f"{where}={value!r}: a mapping is needed")
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}
    for key in value:
        if key not in fields:
            raise SpecError(f"{where}.{key}: unknown key; {nearest(str(key), fields)}")
    for name, item in fields.items():
        no_default = (
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        )
        if no_default and name not in value:
            raise SpecError(f"{where}.{name}: missing")
    built = {key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()}
    try:
        return cls(**built)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
