"""Tasks: what a family learns; one module per task, named by the architecture's ``TASK``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from toporepro.models.family import family
from toporepro.spec import TrainSpec

if TYPE_CHECKING:
    from toporepro.tasks.task import Task


def modules(architecture: str) -> tuple[str, ...]:
    """Modules a training chooses by name, for ``toporepro.code.stage_modules``; loads no torch."""
    return f"models.{architecture}", f"tasks.{family(architecture).TASK}"


def open_task(spec: TrainSpec, data: Path) -> Task:
    """The task of a spec's architecture, on prepared data.

    Args:
        data: index of the prepared data, ``dataset.json``.
    """
    module = importlib.import_module(f"toporepro.tasks.{family(spec.architecture).TASK}")
    task: Task = module.open_task(spec, data)
    return task
