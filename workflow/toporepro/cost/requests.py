"""What jobs ask a cluster for: functions of the spec, of the machine, and of the attempt.

An attempt that follows a failure gets more memory and more time, whichever of them was short.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from toporepro.config import Model, Resolved
from toporepro.cost.estimate import Estimator

# Resident MB of what runs in a job whatever it computes: Snakemake, twice, and the libraries.
_BASE_MB = 2000
_WORKER_MB = 1000
_GPU_MB = 6000  # CUDA's libraries, and pinned batches
_MEASURING_MB = 4000  # correlations between the units of a layer
_SLACK_MINUTES = 30
_UNKNOWN_MINUTES = 24 * 60


class Requests:
    """Resources of rules, as Snakemake calls for them: functions of wildcards and attempt."""

    def __init__(self, resolved: Resolved, estimator: Estimator) -> None:
        self.resolved, self.estimator = resolved, estimator

    def gpus(self, model: Model, *, training: bool) -> int:
        """Cards in all."""
        return self.estimator.gpus(model, training=training)

    def nodes(self, model: Model) -> int:
        """Nodes that a training is spread over."""
        gpus = self.gpus(model, training=True)
        return max(1, math.ceil(gpus / self.resolved.machine.gpus.per_node))

    def memory(self, model: Model, attempt: int, *, training: bool) -> int:
        """MB of resident memory on each node."""
        gpus = self.gpus(model, training=training)
        processes = max(1, gpus // self.nodes(model)) if training else 1
        each = _GPU_MB if gpus else 0
        if training:
            each += _WORKER_MB * self.resolved.machine.loader_workers
        else:
            each += _MEASURING_MB if gpus else 0
        return math.ceil((_BASE_MB + processes * each) * (1 + attempt) / 2)

    def minutes(self, model: Model, attempt: int, *, training: bool) -> int:
        """Wall time: twice the estimate and half an hour, no longer than a job may be."""
        made = self.estimator.train(model) if training else self.estimator.measure(model)
        if made.seconds is None:
            wanted = _UNKNOWN_MINUTES
        else:
            wanted = _SLACK_MINUTES + math.ceil(2 * made.seconds / 60)
        longest = self.resolved.machine.longest_job
        return wanted * attempt if longest is None else min(wanted * attempt, longest)

    def of(self, *, training: bool) -> dict[str, Callable[..., int | str | None]]:
        """Resources of the rules that train, or of those that measure.

        ``gpu`` and ``gpu_model`` become ``--gpus``; ``gres`` stands in for both on clusters that
        know that option alone. What a function gives as ``None`` the job does not ask for.
        """
        site = self.resolved.machine.gpus

        def model(wildcards: tuple[str, ...]) -> Model:
            return self.resolved.model(*wildcards)

        def gpu(wildcards: tuple[str, ...]) -> int:
            return self.gpus(model(wildcards), training=training)

        def nodes(wildcards: tuple[str, ...]) -> int:
            return self.nodes(model(wildcards)) if training else 1

        def gres(wildcards: tuple[str, ...]) -> str | None:
            count = gpu(wildcards) // nodes(wildcards)
            return ":".join(filter(None, ("gpu", site.type, str(count)))) if count else None

        def across(value: int | str) -> Callable[..., int | str | None]:
            return lambda wildcards: value if nodes(wildcards) > 1 else None

        found: dict[str, Callable[..., int | str | None]] = {
            "gpu": gpu,
            "nodes": nodes,
            "mem_mb": lambda wildcards, attempt: self.memory(
                model(wildcards), attempt, training=training
            ),
            "runtime": lambda wildcards, attempt: self.minutes(
                model(wildcards), attempt, training=training
            ),
        }
        if site.option == "gres":
            found |= {"gpu": lambda wildcards: 0, "gres": gres}
        elif site.type:
            found["gpu_model"] = lambda wildcards: site.type if gpu(wildcards) else None
        if training:
            # One task on each node, which starts that node's processes itself.
            found["mpi"] = across("srun")
            found["tasks"] = lambda wildcards: nodes(wildcards) if nodes(wildcards) > 1 else None
            found["tasks_per_gpu"] = across(0)
        return found
