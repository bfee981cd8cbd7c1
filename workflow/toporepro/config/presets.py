"""Presets as they are written: files, overrides merged in, families that say ``like``.

Nothing here is validated but names; what a preset may say is in ``schema``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from toporepro.config.validate import ConfigError
from toporepro.spec import flatten, nearest

NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_preset(preset: str, root: Path) -> tuple[dict[str, Any], str]:
    path = root / preset if preset.endswith((".yaml", ".yml")) else None
    if path is None:
        path = root / "config" / "presets" / f"{preset}.yaml"
        if not path.exists():
            raise ConfigError(
                f"preset={preset!r}: no such preset; {nearest(preset, preset_names(root))}"
            )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"preset file {path}: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"preset file {path}: a mapping is needed")
    if not NAME.fullmatch(path.stem):
        raise ConfigError(f"preset file {path}: a name of a-z, 0-9 and _ is needed")
    return raw, path.stem


def preset_names(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "config" / "presets").glob("*.yaml"))


def merge(base: Any, change: Any) -> Any:
    if isinstance(base, dict) and isinstance(change, Mapping):
        merged = dict(base)
        for key, value in change.items():
            merged[key] = merge(base.get(key), value)
        return merged
    return copy.deepcopy(change)


def inherit(families: Any, where: str) -> Any:
    if not isinstance(families, dict):
        return families
    done: dict[str, Any] = {}

    def full(name: str, chain: tuple[str, ...]) -> Any:
        if name in chain:
            raise ConfigError(f"{where}.{chain[0]}.like: {' → '.join((*chain, name))} is a circle")
        if name not in done:
            entry = families[name]
            base = entry.get("like") if isinstance(entry, Mapping) else None
            if base is not None:
                if not isinstance(base, str) or base not in families:
                    raise ConfigError(
                        f"{where}.{name}.like={base!r}: no such family; "
                        f"{nearest(str(base), [key for key in families if key != name])}"
                    )
                entry = merge(full(base, (*chain, name)), entry)
            done[name] = entry
        return done[name]

    return {name: full(name, ()) for name in families}


def differences(before: Any, after: Any) -> Iterator[str]:
    old, new = dict(flatten(_numbers(before))), dict(flatten(_numbers(after)))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key, '(absent)')} → {new.get(key, '(absent)')}"


def _numbers(value: Any) -> Any:
    """Text that is a number as that number, as validation reads it: the command line gives text."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return json.loads(value) if value.strip("-").isdecimal() else float(value)
    return value
