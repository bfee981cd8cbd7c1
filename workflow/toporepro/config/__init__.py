"""Presets, overrides, strict validation."""

from toporepro.config.resolve import Model, Resolved, resolve, tracked
from toporepro.config.schema import schema
from toporepro.config.validate import ConfigError

__all__ = ["ConfigError", "Model", "Resolved", "resolve", "schema", "tracked"]
