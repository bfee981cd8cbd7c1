"""The paper's networks at full size: built, trained for two steps, lost in between and resumed."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tiny_training import digests, prototypes, rows_of, tiny_spec

from toporepro.data.text_store import TextWriter
from toporepro.data.tokenizer import END_OF_TEXT, Tokenizer
from toporepro.models import load, read_metadata
from toporepro.paths import ModelPaths
from toporepro.spec import TrainSpec
from toporepro.train import run
from toporepro.train.run import train

pytestmark = pytest.mark.e2e
SIDES = {"resnet18": 64, "resnet50": 64, "vit_b_32": 224}


@pytest.mark.parametrize("architecture", SIDES)
def test_two_steps_and_a_loss_in_between(
    architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = prototypes(tmp_path / "data", count=8, side=SIDES[architecture], channels=3)
    spec = tiny_spec(
        architecture=architecture,
        model={},
        topo={"tau": 10.0, "phi": 3.0},
        optimizer="sgd",
        lr=1e-3,
        batch=4,
        epochs=1,
        snapshots=1,
        threads=2,
        channels_last=architecture != "vit_b_32",
        label_smoothing=0.1,
        mixup=0.2,
        flip=True,
    )
    train(spec, data, out := ModelPaths(tmp_path / "out"), save_every=0)
    assert read_metadata(out.weights).step == 2
    rows = rows_of(out)
    assert math.isfinite(rows[-1]["loss"])
    assert rows[-1]["topo_loss"] < rows[0]["topo_loss"]
    undisturbed = digests(out, 1)
    # As if it had been killed after a step: of that one there is a state too.
    (last,) = out.train_state.glob("*/step-0000000002.state")
    for path in (last, out.weights, out.history, out.snapshot(0)):
        path.unlink()
    train(spec, data, out, save_every=math.inf)
    assert "step 1 of 2, attempt 2" in capsys.readouterr().err
    assert digests(out, 1) == undisturbed


def lost_after_a_step(
    spec: TrainSpec, data: Path, out: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = run.Training._update

    def lost(self: run.Training, passes: Any) -> tuple[float, float]:
        if self.step == 1:
            raise ConnectionAbortedError
        return update(self, passes)

    with monkeypatch.context() as patch:
        patch.setattr(run.Training, "_update", lost)
        with pytest.raises(ConnectionAbortedError):
            train(spec, data, out, save_every=0)


def gpt2s_vocabulary(folder: Path) -> Path:
    """A short text by as many tokens as GPT-2 has: 256 bytes, 50,000 pairs of them, and the end."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spelt = [chr(code) for code in (*own, *range(0x100, 0x100 + 256 - len(own)))]
    pairs = list(itertools.islice(itertools.product(spelt, repeat=2), 50_000))
    ids = {token: number for number, token in enumerate([*spelt, *map("".join, pairs)])}
    ids[END_OF_TEXT] = len(ids)
    merges = "".join(f"{first} {second}\n" for first, second in pairs)
    tokenizer = Tokenizer(json.dumps(ids).encode(), merges.encode())
    writer = TextWriter(folder, source="grammar", options={}, tokenizer=tokenizer)
    line = "".join(spelt[:94])
    writer.write_split("train", [line * 10])
    writer.write_split("validation", [line * 3])
    return writer.finish()


@pytest.mark.parametrize(
    ("architecture", "context", "parameters"),
    [("nanogpt", 1024, 124_373_760), ("gpt_neo_125m", 2048, 125_198_592)],
)
def test_a_step_of_language_and_another_after_a_loss(
    architecture: str,
    context: int,
    parameters: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All but the positions are at full size: of these there are 32."""
    spec = tiny_spec(
        architecture=architecture,
        model={"context": 32},
        topo={"tau": 50.0, "phi": 8.0},
        optimizer="adamw",
        lr=1e-3,
        betas=(0.9, 0.95),
        weight_decay=0.1,
        clip=1.0,
        batch=2,
        epochs=0,
        steps=2,
        accumulate=2,
        snapshots=1,
        threads=2,
    )
    data, out = gpt2s_vocabulary(tmp_path / "data"), ModelPaths(tmp_path / "out")
    lost_after_a_step(spec, data, out, monkeypatch)
    train(spec, data, out, save_every=math.inf)
    assert "step 1 of 2, attempt 2" in capsys.readouterr().err
    network = load(out.weights)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == parameters - (context - 32) * 768
    before, after = rows_of(out)[0], rows_of(out)[-1]
    assert before["test_loss"] == pytest.approx(math.log(50257), rel=0.03)
    assert after["test_loss"] < before["test_loss"] - 0.5
    assert after["topo_loss"] < before["topo_loss"]
