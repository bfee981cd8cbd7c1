"""Schedules against closed forms; what happens at which step."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporepro.spec import Recipe, Schedule, SpecError, TopoSpec
from toporepro.train.plan import Plan, multiplier


def plan_of(samples: int = 100, tau: float = 2.0, **recipe: Any) -> Plan:
    topo_schedule = recipe.pop("tau_schedule", Schedule())
    fields: dict[str, Any] = {"optimizer": "sgd", "lr": 0.5, "batch": 10, "epochs": 4.0}
    topo = TopoSpec(tau=tau, phi=2, schedule=topo_schedule)
    return Plan(Recipe(**(fields | recipe)), topo, samples)


def test_constant() -> None:
    assert [multiplier(Schedule(), step, 9, 3) for step in (0, 4, 8)] == [1, 1, 1]


def test_linear_falls_to_its_end_at_the_last_step() -> None:
    schedule = Schedule(kind="linear", end=0.2)
    found = [multiplier(schedule, step, 5, 1) for step in range(5)]
    assert found == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_cosine_falls_to_its_end_at_the_last_step() -> None:
    schedule = Schedule(kind="cosine", end=0.1)
    found = [multiplier(schedule, step, 11, 1) for step in range(11)]
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * step / 10)) / 2 for step in range(11)]
    assert found == pytest.approx(expected)


def test_warm_up_is_per_iteration_and_the_fall_begins_after_it() -> None:
    schedule = Schedule(kind="linear", warmup_epochs=2, start=0.1, end=0)
    found = [multiplier(schedule, step, 13, 2) for step in range(13)]
    assert found[:4] == pytest.approx([0.1, 0.325, 0.55, 0.775])
    assert found[4:] == pytest.approx([1 - step / 8 for step in range(9)])


def test_resnet18_recipe_of_ffcv() -> None:
    """1e-4·lr → lr at epoch 2 → 0 at the end of 88 epochs, per iteration."""
    steps, per_epoch = 88 * 1251, 1251.0
    schedule = Schedule(kind="linear", warmup_epochs=2, start=1e-4, end=0)
    assert multiplier(schedule, 0, steps, per_epoch) == 1e-4
    assert multiplier(schedule, 2 * 1251, steps, per_epoch) == 1
    assert multiplier(schedule, 45 * 1251, steps, per_epoch) == pytest.approx(0.5, abs=1e-4)
    assert multiplier(schedule, steps - 1, steps, per_epoch) == 0


@given(
    kind=st.sampled_from(["constant", "linear", "cosine"]),
    warmup=st.floats(0, 5),
    start=st.floats(0, 2),
    end=st.floats(0, 2),
    steps=st.integers(1, 50),
    epoch_steps=st.floats(0.1, 20),
)
def test_a_schedule_stays_within_its_values(
    kind: Any, warmup: float, start: float, end: float, steps: int, epoch_steps: float
) -> None:
    schedule = Schedule(kind=kind, warmup_epochs=warmup, start=start, end=end)
    for step in range(steps):
        value = multiplier(schedule, step, steps, epoch_steps)
        assert min(start, end, 1) - 1e-9 <= value <= max(start, end, 1) + 1e-9


def test_nanogpts_recipe_in_steps() -> None:
    """Warm-up over 715 steps to 6e-4, then a cosine to 6e-5 at the last of 19,073."""
    schedule = Schedule(kind="cosine", warmup_steps=715, start=1 / 715, end=0.1)
    plan = plan_of(
        9_765_625, optimizer="adamw", lr=6e-4, batch=512, epochs=0, steps=19_073,
        lr_schedule=schedule, snapshots=4,
    )  # fmt: skip
    assert plan.steps == 19_073
    assert plan.epoch(19_073) == pytest.approx(1, abs=1e-4)
    assert [plan.lr(step) for step in (0, 715, 19_072)] == pytest.approx([6e-4 / 715, 6e-4, 6e-5])
    halfway = 715 + (19_072 - 715) // 2
    assert plan.lr(halfway) == pytest.approx(3.3e-4, rel=1e-3)
    spaced = plan.evaluations - set(plan.snapshots)
    assert len(spaced) == 20
    assert max(b - a for a, b in itertools.pairwise(sorted(spaced))) <= 954


def test_lr_and_tau_have_schedules_of_their_own() -> None:
    plan = plan_of(
        lr_schedule=Schedule(kind="linear", end=0),
        tau_schedule=Schedule(warmup_epochs=2, start=0),
    )
    assert plan.steps == 40
    assert plan.lr(0) == 0.5
    assert plan.lr(39) == 0
    assert [plan.tau(step) for step in (0, 10, 20, 39)] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("samples", "batch", "epochs", "steps"),
    [(100, 10, 4, 40), (60000, 64, 10, 9375), (5, 50, 1, 1)],
)
def test_number_of_steps(samples: int, batch: int, epochs: float, steps: int) -> None:
    assert plan_of(samples, batch=batch, epochs=epochs, snapshots=1).steps == steps


def test_snapshots_are_log_spaced_from_0_on_without_the_last() -> None:
    plan = plan_of(1000, batch=1, epochs=1, snapshots=10)
    assert plan.snapshots == (0, 2, 4, 8, 16, 32, 63, 126, 251, 501)
    assert plan_of(1000, batch=1, epochs=1, snapshots=1).snapshots == (0,)


@given(steps=st.integers(1, 300), count=st.integers(1, 300))
def test_snapshots_are_as_many_as_asked_for(steps: int, count: int) -> None:
    plan = plan_of(steps, batch=1, epochs=1, snapshots=count)
    if count > steps:
        with pytest.raises(SpecError, match=f"snapshots={count}: at most {steps}"):
            plan.snapshots  # noqa: B018
    else:
        kept = plan.snapshots
        assert len(kept) == len(set(kept)) == count
        assert list(kept) == sorted(kept)
        assert kept[0] == 0
        assert kept[-1] < steps


@given(samples=st.integers(1, 3000), epochs=st.floats(0.1, 400), batch=st.integers(1, 64))
def test_rows_are_few_and_hold_ends_of_epochs_and_snapshots(
    samples: int, epochs: float, batch: int
) -> None:
    plan = plan_of(samples, batch=batch, epochs=epochs, snapshots=1)
    assert {0, plan.steps} | set(plan.snapshots) <= plan.evaluations <= plan.rows
    assert len(plan.rows) <= 200
    assert max(plan.rows) == plan.steps
    if epochs <= 80:
        for epoch in range(1, math.floor(epochs) + 1):
            end = math.ceil(epoch * samples / batch)
            assert end in plan.evaluations or end >= plan.steps
