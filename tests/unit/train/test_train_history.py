"""The table of a training, its line of progress, its events."""

import math
import time
from pathlib import Path

import pytest

from toporepro.tasks.task import Score, Work
from toporepro.train import history
from toporepro.train.history import Events, History, Reporter, duration
from toporepro.train.peak import peak_of


def closed(table: History, step: int, test: Score | None = None) -> history.Row:
    return table.close_row(step=step, epoch=step / 10, lr=0.1, tau=2, topo=0.5, test=test)


def test_rows_are_means_over_the_steps_since_the_last() -> None:
    table = History()
    closed(table, 0, test=Score(2.5, 0.1))
    table.add(3.0, 0.25)
    table.add(1.0, 0.75)
    closed(table, 2)
    table.add(0.5, 1.0)
    closed(table, 3, test=Score(1.5, 1 / 3))
    assert table.csv().splitlines() == [
        "step,epoch,lr,tau,loss,topo_loss,train_accuracy,test_loss,test_accuracy",
        "0,0,0.1,2,,0.5,,2.5,0.1",
        "2,0.2,0.1,2,2,0.5,0.5,,",
        "3,0.3,0.1,2,0.5,0.5,1,1.5,0.333333333",
    ]
    assert table.latest("test_accuracy") == 1 / 3
    assert History().latest("loss") is None


def test_a_task_without_right_answers_has_losses_alone() -> None:
    table = History()
    closed(table, 0, test=Score(7.5))
    table.add(3.0, math.nan)
    copy = History(**table.state())
    closed(copy, 1, test=Score(2.5))
    assert copy.csv().splitlines()[1:] == ["0,0,0.1,2,,0.5,,7.5,", "1,0.1,0.1,2,3,0.5,,2.5,"]


def test_state_brings_back_an_open_row() -> None:
    table = History()
    closed(table, 0)
    table.add(3.0, 0.5)
    copy = History(**table.state())
    for each in (table, copy):
        each.add(1.0, 1.0)
        closed(each, 2)
    assert copy.csv() == table.csv()


def test_progress_says_what_matters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    table = History()
    closed(table, 0, test=Score(2.0, 0.25))
    report = Reporter(steps=1000, first=100, batch=64, work=Work())
    for step, seconds in ((101, 1.0), (150, 4.9), (200, 5.0), (300, 6.0), (1000, 7.0)):
        now[0] = 100 + seconds
        report(step, 0.1234567, 0.5, table)
    assert capsys.readouterr().err.splitlines() == [
        "step 200/1,000  1,280 samples/s  loss 0.1235  topo loss 0.5  accuracy 0.500 (test 0.250)"
        "  0:40 left",
        "step 1,000/1,000  8,229 samples/s  loss 0.1235  topo loss 0.5  accuracy 0.500 (test 0.250)"
        "  0:00 left",
    ]


def test_progress_of_language_counts_tokens_and_utilisation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    table = History()
    closed(table, 0, test=Score(10.82))
    # 8 windows of 1,024 tokens a second, each of 2·10¹² operations, on two devices of 2·10¹³.
    work = Work("tokens", 1024, 2e12)
    report = Reporter(steps=100, first=0, batch=4, work=work, peak=4e13)
    now[0] = 50.0
    report(100, 3.25, math.nan, table)
    assert capsys.readouterr().err == (
        "step 100/100  8,192 tokens/s  MFU 40.0%  loss 3.25  topo loss 0.5  test loss 10.82"
        "  0:00 left\n"
    )


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA GH200 480GB", 989.5),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 0),
        ("NVIDIA GeForce GTX 1080 Ti", 0),
    ],
)
def test_peaks_are_found_by_the_drivers_names(name: str, tera: float) -> None:
    assert peak_of(name) == 1e12 * tera


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (723.4, "12:03"), (3723, "1:02:03")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_events_can_be_read_by_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = Events(tmp_path, 0)
    table = History()
    events(closed(table, 0))
    table.add(3.0, 0.5)
    events(closed(table, 4, test=Score(1.0, 0.75)))
    events.close()
    found = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(4, 3.0)]
    assert [e.step for e in found.Scalars("topo_loss")] == [0, 4]
    assert [e.value for e in found.Scalars("test_accuracy")] == [0.75]
