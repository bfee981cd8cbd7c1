"""The training loop: one for every family, vision or language.

A step is the loss of the task and the mean over layers of τ·L (``toporepro.topoloss``). What the
task is, ``toporepro.tasks`` knows; when what happens, ``train.plan``. A training can be killed at
any moment: the next start goes on from the last state and ends with the same bytes (on a CPU).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toporepro.code import code_hash, stage_modules
from toporepro.data.loader import Shard
from toporepro.lease import Lease
from toporepro.models import checkpoint
from toporepro.models.family import check_sheets
from toporepro.paths import ModelPaths
from toporepro.provenance import atomic, progress, sha256, write_manifest, write_text
from toporepro.spec import TrainSpec, decode, encode
from toporepro.tasks import modules, open_task
from toporepro.tasks.task import Batch
from toporepro.topoloss import TopoLossError
from toporepro.train.average import Average
from toporepro.train.determinism import deterministic, seed_step
from toporepro.train.distributed import Group, connect
from toporepro.train.errors import DivergedError, writing
from toporepro.train.history import Events, History, Reporter
from toporepro.train.interrupt import StopSignals
from toporepro.train.optimizer import make_optimizer
from toporepro.train.peak import peak_flops
from toporepro.train.plan import Plan
from toporepro.train.state import Ledger, SaveClock, StateFolder, read_state, remove_partial
from toporepro.train.topography import make_topo_loss


def train(
    spec: TrainSpec,
    data: Path,
    out: ModelPaths,
    *,
    workers: int = 0,
    tensorboard: Path | None = None,
    save_every: float = 10.0,
) -> None:
    """Train one network, or go on with it, and publish weights, history, snapshots and manifest.

    Uses a GPU if there is one, and all processes if ``torchrun`` started several.

    Args:
        data: index of the prepared data, ``dataset.json``.
        out: where results and resume state go.
        workers: processes that load data; they change no result.
        tensorboard: folder for TensorBoard events.
        save_every: seconds between states of which a killed training can go on; longer where
            saving takes more than a twentieth of that.

    Raises:
        SpecError: if the spec cannot be trained.
        LeaseError: if another process trains this model.
        TrainError: if a folder cannot be written, or the loss is not finite any more; then nothing
            is published.
    """
    spec = decode(TrainSpec, encode(spec))  # one spelling: 1 and 1.0 are one spec, and equal bytes
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(connect())
        stack.enter_context(deterministic(spec.recipe.threads))
        stop = stack.enter_context(StopSignals(repeated=group.world > 1))
        lease = None
        if group.first:
            lease = Lease(out.train_state, f"{out.train_state} is being trained")
            with writing(lease.path):
                stack.enter_context(lease)
        training = Training(spec, data, out, group)
        training.resume()
        if lease:
            lease.on_beat = training.ledger.note
        if training.step < training.plan.steps:
            events = None
            if tensorboard and group.first:
                events = stack.enter_context(contextlib.closing(Events(tensorboard, training.step)))
            training.fit(stop, lease, events, workers, SaveClock(save_every))
        if group.first:
            training.publish()


class Training:
    """One training between two steps; ``step`` counts the updates made so far."""

    def __init__(self, spec: TrainSpec, data: Path, out: ModelPaths, group: Group) -> None:
        check_sheets(spec)
        recipe = spec.recipe
        self.spec, self.data, self.out, self.group = spec, data, out, group
        self.modules = stage_modules("train", *modules(spec.architecture))
        self.task = open_task(spec, data)
        self.plan = Plan(recipe, spec.topo, self.task.samples)
        self.shard = Shard(group.rank, group.world, recipe.accumulate)
        self.shard.places(recipe.batch)
        self.network = self.task.build().to(group.device)
        if recipe.batchnorm == "sync":
            self.network = group.synchronise_batchnorm(self.network)
        self.average = Average(self.network, recipe.average)
        self.loss: Any = torch.compile(self.task.loss) if recipe.compile else self.task.loss
        self.optimizer = make_optimizer(self.network, recipe)
        self.topo = make_topo_loss(spec)
        self.topo.compute(self.network)  # a layer that cannot be topographic stops here
        self.history = History()
        self.step = self.workers = 0
        self.snapshots: dict[int, str] = {}
        key = f"{encode(spec)} {code_hash(self.modules)} {sha256(data)}"
        self.state = StateFolder(out.train_state, hashlib.sha256(key.encode()).hexdigest()[:16])
        self.saved: int | None = None
        self.stopping = False
        if group.first:
            self.state.prepare()
        self.ledger = Ledger(self.state.folder / "attempts.json")

    def resume(self) -> None:
        """Go to the last saved state, if there is one."""
        newest = self.group.share(self.state.newest() if self.group.first else None)
        if newest is None:
            return
        content = read_state(newest)
        self.network.load_state_dict(content["network"])
        self.average.network.load_state_dict(content["average"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.history = History(**content["history"])
        self.snapshots = content["snapshots"]
        self.step = self.saved = content["step"]

    def fit(
        self,
        stop: StopSignals,
        lease: Lease | None,
        events: Events | None,
        workers: int,
        clock: SaveClock,
    ) -> None:
        """Train to the end, and save the last state."""
        plan, device, self.workers = self.plan, self.group.device, workers
        recipe = self.spec.recipe
        report = Reporter(
            steps=plan.steps,
            first=self.step,
            batch=recipe.batch,
            work=self.task.work,
            peak=self.group.world * peak_flops(device, recipe.precision),
        )
        if self.group.first:
            self.ledger.begin(self.step, self.group.meter())
            progress(
                f"training {self.spec.architecture} on {device}, {self.group.world} process(es): "
                f"step {self.step:,} of {plan.steps:,}, attempt {self.ledger.attempts}"
            )
        if self.step == 0:
            self._record(events)
        rest = range(self.step, plan.steps)
        pin = device.type == "cuda"
        for passes in self.task.batches(rest, self.shard, workers=workers, pin=pin):
            self.stopping = stop.requested is not None
            loss, accuracy = self._update(passes)
            if self.group.world == 1:  # nobody else has to know of a signal before it is obeyed
                self.stopping = stop.requested is not None
            self.step += 1
            self.average.update(self.step, plan.epoch(self.step))
            self.history.add(loss, accuracy)
            self._record(events)
            if lease:
                lease.check()
                report(self.step, loss, accuracy, self.history)
                if self.stopping or clock.due() or self.step == plan.steps:
                    started = time.monotonic()
                    self._save()
                    clock.saved(time.monotonic() - started)
            if self.stopping:
                self.group.share(None)  # torchrun ends all once one has ended: not before the save
                stop.stop()

    def _update(self, passes: Sequence[Batch]) -> tuple[float, float]:
        """One update of the weights; returns the task's loss and accuracy over the whole batch.

        Where the task counts no right answers, the accuracy is ``nan``. Whether any process is
        ``stopping`` becomes known to all, so that they stop after the same update.
        """
        recipe, device = self.spec.recipe, self.group.device
        lr, tau = self.plan.lr(self.step), self.plan.tau(self.step)
        seed_step(device, self.spec.seed, self.group.rank, self.step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = lr
        self.optimizer.zero_grad()
        values = torch.zeros(3, device=device)
        values[2] = float(self.stopping)
        for batch in passes:
            moved = [tensor.to(device, non_blocking=True) for tensor in batch]
            with torch.autocast(device.type, torch.bfloat16, recipe.precision == "bfloat16"):
                loss = self.loss(self.network, moved)
            value = loss.value.detach()
            if loss.value.requires_grad:
                torch.autograd.backward(loss.value / len(passes))
            accuracy = torch.full_like(value, math.nan) if loss.accuracy is None else loss.accuracy
            values[:2] += torch.stack([value, accuracy]).float() / len(passes)
        average = self.group.average(self.network.parameters(), values)
        mean_loss, share, stopping = average.tolist()
        self.stopping = stopping > 0
        if not math.isfinite(mean_loss):
            raise self._diverged(f"the loss is {mean_loss}")
        if tau > 0:
            # Once per update, and after averaging: equal weights give every process an equal term.
            torch.autograd.backward(tau * self._topo_term(self.network))
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.optimizer.step()
        return mean_loss, share

    def _topo_term(self, network: nn.Module) -> Tensor:
        """Mean over layers of L, without τ."""
        try:
            return self.topo.compute(network, do_scaling=False)
        except TopoLossError as error:
            raise self._diverged(str(error)) from error

    def _record(self, events: Events | None) -> None:
        """Take the snapshot and close the row that are due at this step."""
        if self.step not in self.plan.rows or not self.group.first:
            return
        if self.step in self.plan.snapshots:
            self._take_snapshot(self.plan.snapshots.index(self.step))
        test = None
        if self.step in self.plan.evaluations:
            network, device = self.average.network, self.group.device
            test = self.task.evaluate(network, device, workers=self.workers)
        with torch.no_grad():
            topo = float(self._topo_term(self.average.network))
        before = max(self.step - 1, 0)
        row = self.history.close_row(
            step=self.step,
            epoch=self.plan.epoch(self.step),
            lr=self.plan.lr(before),
            tau=self.plan.tau(before),
            topo=topo,
            test=test,
        )
        if events:
            events(row)

    def _take_snapshot(self, index: int) -> None:
        path = self.state.snapshot(index)
        with writing(path):
            checkpoint.save(path, self.average.network, self.spec, self.task.inputs, self.step)
        self.snapshots[index] = sha256(path)

    def _save(self) -> None:
        tensors = self.network.state_dict()
        if not all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point()):
            raise self._diverged("the weights are not finite")
        content = {
            "step": self.step,
            "network": tensors,
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history.state(),
            "snapshots": self.snapshots,
        }
        self.state.save(self.step, content)
        self.saved = self.step
        self.ledger.note()

    def _diverged(self, what: str) -> DivergedError:
        good = "none was saved" if self.saved is None else f"that of step {self.saved:,}"
        return DivergedError(
            f"{what} at step {self.step:,} (lr {self.plan.lr(self.step):g}, "
            f"τ {self.plan.tau(self.step):g}); last good state: {good}; nothing was published. "
            "A lower lr, a longer warm-up or clipping may help"
        )

    def publish(self) -> None:
        """Write the results of a finished training, the manifest last.

        Raises:
            TrainError: if they cannot be written.
        """
        out = self.out
        snapshots = [out.snapshot(index) for index in range(self.spec.recipe.snapshots)]
        with writing(out.folder):
            for name in (out.weights, out.history, *snapshots):
                remove_partial(name.parent, name.stem)
            for index, path in enumerate(snapshots):
                with atomic(path) as temporary:
                    shutil.copyfile(self.state.snapshot(index), temporary)
            write_text(out.history, self.history.csv())
            network, inputs = self.average.network, self.task.inputs
            checkpoint.save(out.weights, network, self.spec, inputs, self.step)
            write_manifest(
                verb="train",
                spec=dataclasses.asdict(self.spec),
                modules=self.modules,
                inputs=[self.data],
                outputs=[out.weights, out.history, *snapshots],
                seed=self.spec.seed,
                wall_seconds=self.ledger.seconds,
                attempts=self.ledger.attempts,
                device=str(self.group.device),
                extra={
                    "steps": self.step,
                    "processes": self.group.world,
                    **self.ledger.energy,
                },
            )
        self.state.remove_others()
        progress(f"published {out.weights}")
