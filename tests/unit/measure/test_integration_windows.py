"""Integration windows: of networks whose memory is known, and against brute force."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from measured import measure_spec
from measured_text import CONTEXT, text_spec, write_language_model, write_text
from torch import nn

from toporepro.data.text_store import PreparedText
from toporepro.measure import integration_windows
from toporepro.measure.integration_windows import LAGS, Options, differences, forgetting
from toporepro.measure.run import measure
from toporepro.measure.substitutes import FromTable, by_class, single
from toporepro.measure.text_subject import TextSubject
from toporepro.models.inputs import TextInputs
from toporepro.spec import SpecError

LENGTH = 32
# Two words each, told apart by all units alike: every swap then changes as much.
CLASSES = {"animals": ["cat", "dog"], "fruit": ["apple", "plum"], "verbs": ["sees", "likes"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text"), classes=CLASSES)


class Remembering(nn.Module):
    """Each unit adds up what came before, weighted by a kernel of its own over the lag."""

    def __init__(self, text: PreparedText, kernels: np.ndarray) -> None:
        super().__init__()
        self.values = torch.zeros(text.vocabulary, len(kernels), dtype=torch.float64)
        for first, second in CLASSES.values():
            self.values[single(f" {first}", text.tokenizer())] = 1
            self.values[single(f" {second}", text.tokenizer())] = -1
        lags = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))
        mixing = np.where(lags >= 0, kernels[:, np.abs(lags)], 0)
        self.mixing = torch.from_numpy(mixing)
        self.memory = nn.Identity()
        self.vocabulary = text.vocabulary

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        heard = self.memory(torch.einsum("ukt,nku->ntu", self.mixing.mT, self.values[ids]))
        return heard[..., :1].expand(-1, -1, self.vocabulary)


def remembering(data: Path, kernels: np.ndarray) -> TextSubject:
    text = PreparedText.open(data)
    return TextSubject(
        module=Remembering(text, kernels),
        spec=text_spec(),
        step=1,
        seed=0,
        final=True,
        device=torch.device("cpu"),
        layers={"memory": len(kernels)},
        inputs=TextInputs(vocabulary=text.vocabulary, context=LENGTH),
        text=text,
    )


def test_memories_that_are_known(data: Path) -> None:
    lags = np.arange(LENGTH)
    rates, exponents = np.array([0.2, 0.5, 1.5]), np.array([0.3, 0.8, 2.0])
    kernels = np.concatenate([np.exp(-rates[:, None] * lags), (lags + 1) ** -exponents[:, None]])
    subject = remembering(data, kernels)
    result = integration_windows.measure(subject, Options(length=LENGTH, sequences=60))
    units = {unit.quantity: unit.values for unit in result.units}
    np.testing.assert_allclose(units["window_b"][:3], rates, rtol=1e-3)
    np.testing.assert_allclose(units["window_a"][3:], exponents, rtol=1e-3)
    np.testing.assert_allclose(units["window_c"], [0, 0, 0, 1, 1, 1], atol=1e-3)
    assert units["window_r2"].min() > 0.999
    rows = {(row.layer, row.metric): row.value for row in result.rows}
    assert rows["memory", "window_power_law"] == pytest.approx(0.5, abs=1e-3)
    assert rows["mean", "window_a"] == pytest.approx(np.median(exponents), rel=1e-3)
    assert units["window"].shape == (LAGS,)


def test_differences_are_those_of_single_passes(tmp_path: Path, data: Path) -> None:
    spec = text_spec(context=LENGTH)
    model, network = write_language_model(tmp_path / "model", spec, data)
    text = PreparedText.open(data)
    subject = TextSubject.load(model.weights, text, seed=4, final=True, device="cpu")
    tokenizer = text.tokenizer()
    table = {token: others[:1] for token, others in by_class(CLASSES, tokenizer).items()}
    options = Options(length=LENGTH, sequences=6)
    found = differences(subject, options, FromTable(table))
    heard = {}
    layer = "transformer.h.1.mlp.c_fc"
    network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: heard.update(c_fc=output[0].detach())
    )

    def answer(ids: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            network(torch.from_numpy(ids)[None])
        return heard["c_fc"].double().numpy()

    total = np.zeros((LENGTH, LENGTH, 24))
    count = np.zeros((LENGTH, LENGTH, 1))
    split = text.split("validation")
    for window in subject.windows("validation", 6):
        piece = np.array(split[window * LENGTH : window * LENGTH + LENGTH + 1]).astype(np.int64)
        whole = answer(piece[:-1])
        for k in range(LENGTH):
            goes_on = tokenizer.decode([int(piece[k + 1])])[0].isalnum()
            if int(piece[k]) in table and not goes_on:
                swapped = piece[:-1].copy()
                swapped[k] = table[int(piece[k])][0]
                total[k, k:] += np.abs(answer(swapped) - whole)[k:]
                count[k, k:] += 1
    with np.errstate(invalid="ignore"):
        matrix = total / count
    for k in range(LENGTH):
        for lag in range(min(LAGS, LENGTH - k)):
            np.testing.assert_allclose(found[layer][k, lag], matrix[k, k + lag], atol=1e-5)
    # θ(Δ) as METHODS writes it, from the whole matrix.
    matrix = matrix / np.nanmedian(np.stack([matrix[k, k] for k in range(LENGTH)]), axis=0)
    for lag in (0, 1, 7):
        each = [matrix[t - lag, t] / matrix[t, t] for t in range(lag, LENGTH)]
        window = forgetting(found[layer])[:, lag]
        np.testing.assert_allclose(window, np.nanmedian(each, axis=0), rtol=1e-4)


def test_units_that_never_answer_have_no_window() -> None:
    generator = np.random.default_rng(0)
    change = generator.uniform(1, 2, (40, LAGS, 3))
    change[:, :, 1] = 0
    windows = forgetting(change)
    assert np.isnan(windows[1]).all()
    assert np.isfinite(windows[[0, 2]]).all()
    assert (windows[[0, 2], 0] == 1).all()


def test_rows_of_a_real_network(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(context=LENGTH), data)
    options = {"length": LENGTH, "sequences": 4, "substitutes": "frequency"}
    measure(measure_spec({"integration_windows": options}), model, data)
    table, units = pd.read_csv(model.measures), pd.read_parquet(model.units)
    assert set(table.step) == {9}
    assert set(table.metric) == {"window_power_law", "window_a", "window_b", "window_r2"}
    assert set(table.layer) == {"mean", *(f"transformer.h.{block}.mlp.c_fc" for block in (0, 1))}
    counts = units.groupby("quantity").size()
    assert counts["window_c"] == 2 * 24
    assert counts["window"] == 2 * LAGS
    assert units[units.quantity == "window_c"].value.between(0, 1).all()


def test_a_context_that_is_too_short(tmp_path: Path, data: Path) -> None:
    model, _ = write_language_model(tmp_path / "model", text_spec(), data)
    with pytest.raises(SpecError, match=f"length=32: the network's context is {CONTEXT}"):
        measure(measure_spec({"integration_windows": {"length": 32}}), model, data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 21}, "at least 22"),
        ({"sequences": 0}, "sequences=0"),
        ({"masked_lm": "data/roberta"}, "alone"),
        ({"substitutes": "masked_lm"}, "a folder"),
    ],
)
def test_options_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Options(**options)
