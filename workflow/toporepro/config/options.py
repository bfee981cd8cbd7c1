"""Options of plugins, as a preset gives them, against the dataclass that knows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from toporepro.config.validate import ConfigError, validate
from toporepro.plugins import find
from toporepro.spec import SpecError


def options_of(room: str, name: str, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    chooser, nested = {
        "data": (".source", ".options"),
        "models": (".architecture", ".model"),
        "measure": ("", ""),
    }[room]
    key = where + chooser
    try:
        module = find(room, name)
    except SpecError as error:
        raise ConfigError(f"{key}={name!r}: {error}") from None
    return dataclasses.asdict(validate(module.Options, dict(options), where + nested))
