"""Presets, overrides, strict validation."""

from toporepro.config.jobs import Model
from toporepro.config.resolve import Resolved, resolve, tracked
from toporepro.config.schema import schema
from toporepro.config.validate import ConfigError

__all__ = ["ConfigError", "Model", "Resolved", "resolve", "schema", "tracked"]
