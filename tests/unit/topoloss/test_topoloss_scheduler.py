"""Schedules of τ against closed forms."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from toporepro.topoloss import (
    ChainedTauScheduler,
    LaplacianPyramid,
    TauScheduler,
    TopoLoss,
    TopoLossError,
)


def topo_loss():
    return TopoLoss(
        [LaplacianPyramid("0", 2, 2, scale=9.0), LaplacianPyramid("1", 2, 2, scale=9.0)]
    )


def run(scheduler, topo, steps):
    taus = []
    for _ in range(steps):
        expected = scheduler.get_current_tau()
        scheduler.step()
        (scale,) = {loss.scale for loss in topo.losses}
        assert scale == expected
        taus.append(scale)
    return taus


def test_linear():
    topo = topo_loss()
    taus = run(TauScheduler(topo, 0.0, 1.0, num_steps=4), topo, 7)
    assert taus == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_linear_may_fall():
    topo = topo_loss()
    assert run(TauScheduler(topo, 2.0, 1.0, 2, "linear"), topo, 3) == pytest.approx([2, 1.5, 1])


def test_cosine_decay_stays_down():
    topo = topo_loss()
    taus = run(TauScheduler(topo, 3.0, 1.0, 6, mode="cosine_decay"), topo, 14)
    expected = [1 + 2 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)] + [1] * 8
    assert taus == pytest.approx(expected)


@given(
    st.floats(-5, 5),
    st.floats(0.01, 5),
    st.integers(1, 30),
    st.sampled_from(["linear", "cosine_decay"]),
)
def test_monotone_between_its_ends(end, height, steps, mode):
    scheduler = TauScheduler(topo_loss(), end + height, end, steps, mode)
    taus = [scheduler.compute_value(step) for step in range(steps + 3)]
    assert taus[0] == pytest.approx(end + height)
    assert taus[-1] == end
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(taus))


def chain(topo):
    return ChainedTauScheduler(
        [TauScheduler(topo, 0.0, 1.0, 4), TauScheduler(topo, 1.0, 0.0, 4, mode="cosine_decay")]
    )


def test_chain():
    topo = topo_loss()
    falling = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert run(chain(topo), topo, 11) == pytest.approx([0, 0.25, 0.5, 0.75, *falling, 0, 0, 0])


@pytest.mark.parametrize("done", [0, 3, 6, 12])
def test_a_saved_schedule_goes_on_where_it_was(tmp_path, done):
    for make, kind in (
        (lambda topo: TauScheduler(topo, 5.0, 1.0, 8, "cosine_decay"), TauScheduler),
        (chain, ChainedTauScheduler),
    ):
        topo = topo_loss()
        scheduler = make(topo)
        run(scheduler, topo, done)
        scheduler.save_json(tmp_path / "tau.json")
        other = topo_loss()
        again = kind.from_json(tmp_path / "tau.json", other)
        assert run(again, other, 10) == run(scheduler, topo, 10)


def test_files_of_the_package_start_at_step_zero(tmp_path):
    path = tmp_path / "tau.json"
    path.write_text('{"start_value": 0.0, "end_value": 1.0, "num_steps": 4, "mode": "linear"}')
    topo = topo_loss()
    assert run(TauScheduler.from_json(path, topo), topo, 2) == pytest.approx([0, 0.25])


def test_watched_losses_stay_watched(capsys):
    topo = topo_loss()
    topo.losses[1].scale = None
    TauScheduler(topo, 2.0, 1.0, 4, verbose=True).step()
    assert [loss.scale for loss in topo.losses] == [2.0, None]
    assert capsys.readouterr().out == "0: τ 9.0000 → 2.0000 at step 0\n"


def test_the_scale_reaches_the_loss():
    topo = TopoLoss([LaplacianPyramid("0", 2, 2)])
    net = nn.Sequential(nn.Linear(4, 36))
    whole = topo.compute(net).item()
    scheduler = TauScheduler(topo, 0.0, 1.0, 4)
    scheduler.step(3)
    assert topo.compute(net).item() == pytest.approx(0.75 * whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 1.0, 4, "cubic"), "'cubic' is not one of linear, cosine_decay"),
        ((0.0, 1.0, 0, "linear"), "at least 1, got 0"),
        ((0.0, 1.0, 4, "cosine_decay"), "end_value < start_value"),
    ],
)
def test_schedules_that_make_no_sense(arguments, message):
    with pytest.raises(TopoLossError, match=message):
        TauScheduler(topo_loss(), *arguments)


def test_an_empty_chain_and_a_wrong_file(tmp_path):
    with pytest.raises(TopoLossError, match="at least one"):
        ChainedTauScheduler([])
    (tmp_path / "tau.json").write_text('{"start": 0.0}')
    with pytest.raises(TopoLossError, match="not a schedule"):
        TauScheduler.from_json(tmp_path / "tau.json", topo_loss())
