"""The verb: rows against direct computation, and the same bytes however often it is killed."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from measured import ALL, STEPS, measure_spec, train_spec, write_data, write_model
from torch.nn import functional

from toporepro.data.store import PreparedImages
from toporepro.measure import accuracy, run, smoothness
from toporepro.measure.run import measure
from toporepro.measure.subject import Subject
from toporepro.models.checkpoint import CheckpointError
from toporepro.paths import ModelPaths, manifest
from toporepro.provenance import sha256
from toporepro.spec import SpecError

Bytes = dict[str, bytes]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def model(tmp_path: Path) -> ModelPaths:
    return write_model(tmp_path / "model", train_spec())[0]


def outputs(model: ModelPaths) -> Bytes:
    return {path.name: path.read_bytes() for path in (model.measures, model.units)}


def rows(model: ModelPaths) -> pd.DataFrame:
    return pd.read_csv(model.measures, keep_default_na=False, dtype={"tau": str})


def value(table: pd.DataFrame, metric: str, step: int, layer: str) -> float:
    found = table[(table.metric == metric) & (table.step == step) & (table.layer == layer)]
    assert len(found) == 1
    return float(found.value.iloc[0])


def test_values_are_those_of_the_whole_arrays(tmp_path: Path, data: Path) -> None:
    model, network = write_model(tmp_path / "model", train_spec())
    measure(measure_spec(), model, data)
    table, split = rows(model), PreparedImages.open(data).split("test")
    pixels = (torch.tensor(split.images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        logits = network(pixels)
        responses = network.fc1(pixels.flatten(1)).double().numpy()
    labels = torch.tensor(split.labels)
    right = float((logits.argmax(1) == labels).double().mean())
    assert value(table, "accuracy", 9, "") == pytest.approx(right, abs=1e-9)
    loss = float(functional.cross_entropy(logits, labels))
    assert value(table, "loss", 9, "") == pytest.approx(loss, rel=1e-6)
    eigenvalues = np.linalg.eigvalsh(np.cov(responses, rowvar=False))
    ratio = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    for layer in ("fc1", "mean"):
        assert value(table, "effective_dimensionality", 9, layer) == pytest.approx(ratio, rel=1e-5)
    correlation = np.corrcoef(responses, rowvar=False)
    place = np.stack(np.divmod(np.arange(24), 6), axis=1)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    first, second = np.triu_indices(24, k=1)
    near = np.minimum((distance / distance.max() * 20 + 1e-9).astype(int), 19)[first, second]
    curve = [correlation[first, second][near == b].mean() for b in np.unique(near)]
    assert value(table, "smoothness", 9, "fc1") == pytest.approx(np.ptp(curve), abs=1e-5)
    units = pd.read_parquet(model.units)
    kept = units[units.quantity == "correlation_at_distance"].dropna()
    np.testing.assert_allclose(kept.value, curve, atol=1e-5)


def test_mirror_images_count_for_accuracy_alone(tmp_path: Path, data: Path) -> None:
    plain, mirrored = train_spec(), train_spec()
    mirrored = dataclasses.replace(
        mirrored, recipe=dataclasses.replace(mirrored.recipe, test_flip=True)
    )
    tables = []
    for name, spec in (("plain", plain), ("mirrored", mirrored)):
        model, network = write_model(tmp_path / name, spec)
        measure(measure_spec(), model, data)
        tables.append(rows(model))
    split = PreparedImages.open(data).split("test")
    logits = torch.zeros(len(split), 3)
    with torch.no_grad():
        for images in (split.images, split.images[:, :, ::-1].copy()):
            logits += network((torch.tensor(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25) / 2
    labels = torch.tensor(split.labels)
    loss = float(functional.cross_entropy(logits, labels))
    assert value(tables[1], "loss", 9, "") == pytest.approx(loss, rel=1e-6)
    right = float((logits.argmax(1) == labels).double().mean())
    assert value(tables[1], "accuracy", 9, "") == pytest.approx(right, abs=1e-9)
    assert value(tables[0], "loss", 9, "") != pytest.approx(loss, rel=1e-4)
    for metric in ("smoothness", "effective_dimensionality"):
        assert value(tables[0], metric, 9, "mean") == value(tables[1], metric, 9, "mean")


def test_which_rows_and_units_there_are(model: ModelPaths, data: Path) -> None:
    measure(measure_spec(), model, data)
    table, units = rows(model), pd.read_parquet(model.units)
    assert list(table.columns) == [
        *("preset", "family", "tau", "seed", "step"),
        *("layer", "sparsity", "stimuli", "metric", "value"),
    ]
    everywhere = {
        *("accuracy", "loss", "smoothness", "smoothness_null", "smoothness_minus_null"),
        *("smoothness_tdann", "morans_i"),
        *("effective_dimensionality", "effective_dimensionality_corrected"),
        *("orientation_continuity", "topo_loss"),
    }
    for step in STEPS.values():
        assert set(table[table.step == step].metric) == everywhere
    assert np.isfinite(table.value).all()
    assert (table[table.metric == "orientation_continuity"].stimuli == "lines").all()
    on_snapshots = {"orientation_preferred": 24, "orientation_t": 24 * 4, "weight_pc": 24 * 3}
    of_final = {
        "best_stimulus": 24 * 3,
        "correlation_at_distance": 20,
        "distance": 20,
        "orientation_film": 24 * 179,
        "weight": 24 * 144,
    }
    for step, expected in (("snapshot", on_snapshots), ("final", on_snapshots | of_final)):
        here = units[units.step == STEPS[step]]
        assert {name: len(group) for name, group in here.groupby("quantity")} == expected
    places = units[units.unit >= 0]
    assert (places.unit == places.row * 6 + places.col).all()


def test_a_second_run_measures_nothing_and_writes_the_same(
    model: ModelPaths, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(measure_spec(), model, data)
    before = outputs(model)
    monkeypatch.setattr(Subject, "load", _never)
    measure(measure_spec(), model, data)
    assert outputs(model) == before


def test_killed_anywhere_it_ends_with_the_same_bytes(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_model(tmp_path / "whole", train_spec())[0]
    measure(measure_spec(), whole, data)
    steps = 3 + len(ALL)
    for fatal in range(steps + 2):
        model = write_model(tmp_path / str(fatal), train_spec())[0]
        with monkeypatch.context() as patched:
            calls = iter(range(100))
            for owner, name in ((run.cache, "store"), (run, "write_rows"), (run, "write_units")):
                patched.setattr(owner, name, _dying(getattr(owner, name), calls, fatal))
            with pytest.raises(KeyboardInterrupt):
                measure(measure_spec(), model, data)
        measure(measure_spec(), model, data)
        assert outputs(model) == outputs(whole)


def test_only_what_changed_is_measured_again(
    model: ModelPaths, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(measure_spec(), model, data)
    monkeypatch.setattr(accuracy, "measure", _never)
    changed = ALL | {"smoothness": {"shuffles": 6}}
    before = rows(model).set_index(["step", "layer", "metric"]).value
    measure(measure_spec(changed), model, data)
    after = rows(model).set_index(["step", "layer", "metric"]).value
    differing = {key[2] for key in before.index[before != after]}
    assert differing == {"smoothness_null", "smoothness_minus_null"}


@pytest.mark.parametrize("what", ["weights", "data", "code"])
def test_other_weights_data_or_code_are_measured_again(
    model: ModelPaths, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    spec = measure_spec({"accuracy": {}})
    measure(spec, model, data)
    if what == "weights":
        write_model(model.folder, train_spec(hidden=20))
    if what == "data":
        data = write_data(tmp_path / "other", images=200)
    if what == "code":
        monkeypatch.setattr(run, "code_hash", lambda modules: "another")
    monkeypatch.setattr(accuracy, "measure", _never)
    with pytest.raises(AssertionError, match="measured"):
        measure(spec, model, data)


def test_a_damaged_kept_result_is_measured_again(
    model: ModelPaths, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(measure_spec(), model, data)
    before = outputs(model)
    path = model.measure_state / "weights" / "accuracy.result"
    path.write_bytes(path.read_bytes()[:-5])
    measure(measure_spec(), model, data)
    assert "checksum is wrong; measured again" in capsys.readouterr().err
    assert outputs(model) == before


def test_one_pass_per_checkpoint_serves_all_measures(
    model: ModelPaths, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(measure_spec(), model, data)
    assert capsys.readouterr().err.count("300 test images") == 2


def test_progress_says_checkpoint_and_measure(
    model: ModelPaths, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(measure_spec(), model, data)
    assert "[2/2] step 9: orientation\n" in capsys.readouterr().err
    measure(measure_spec(), model, data)
    assert "[2/2] step 9: orientation (kept)\n" in capsys.readouterr().err


def test_the_manifest_names_inputs_and_outputs(model: ModelPaths, data: Path) -> None:
    measure(measure_spec(), model, data)
    content = json.loads(manifest(model.measures).read_text())
    assert content["verb"] == "measure"
    assert content["inputs"] == {
        str(path): sha256(path) for path in (model.snapshot(0), model.weights, data)
    }
    assert content["outputs"] == {path.name: sha256(path) for path in (model.measures, model.units)}
    assert {"toporepro.measure.orientation", "toporepro.models.mlp"} <= set(content["modules"])
    assert content["attempts"] == 1


def test_a_convolutional_network(tmp_path: Path) -> None:
    spec = train_spec("resnet18", width=0.25, stem="small")
    spec = dataclasses.replace(spec, recipe=dataclasses.replace(spec.recipe, channels_last=True))
    model, network = write_model(tmp_path / "model", spec, side=16, channels=3)
    data = write_data(tmp_path / "data", side=16, channels=3, images=60)
    measures = {name: options for name, options in ALL.items() if name != "orientation"}
    measure(measure_spec(measures), model, data)
    table = rows(model)
    layers = set(table[table.metric == "smoothness"].layer) - {"mean"}
    assert len(layers) == 16
    assert all(isinstance(network.get_submodule(name), torch.nn.Conv2d) for name in layers)
    for metric in ("smoothness", "effective_dimensionality", "topo_loss"):
        chosen = table[(table.metric == metric) & (table.step == 9)]
        single = chosen[chosen.layer != "mean"].value.astype(float)
        assert value(table, metric, 9, "mean") == pytest.approx(single.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ({"smoothnes": {}}, "did you mean smoothness"),
        ({"smoothness": {"bin": 3}}, r"measures\.smoothness: .*did you mean bins"),
        ({"accuracy": {"precision": "half"}}, "float32"),
        ({"orientation": {"layer": "fc2"}}, r"orientation\.layer='fc2'; .*fc1"),
    ],
)
def test_measures_that_cannot_be(
    model: ModelPaths, data: Path, measures: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        measure(measure_spec(measures), model, data)


def test_a_missing_snapshot_is_named(model: ModelPaths, data: Path) -> None:
    model.snapshot(0).unlink()
    with pytest.raises(CheckpointError, match=r"00\.safetensors"):
        measure(measure_spec(), model, data)


def test_data_of_another_shape_is_refused(model: ModelPaths, tmp_path: Path) -> None:
    other = write_data(tmp_path / "other", side=9)
    with pytest.raises(SpecError, match=r"built for .*height=12.*but the data is .*height=9"):
        measure(measure_spec(), model, other)


def test_measures_are_seeded_by_the_model(tmp_path: Path, data: Path) -> None:
    model = write_model(tmp_path / "model", train_spec())[0]
    images = PreparedImages.open(data)
    options = smoothness.Options(shuffles=3)

    def null(seed: int) -> float:
        subject = Subject.load(model.weights, images, seed=seed, final=False, device="cpu")
        result = smoothness.measure(subject, options)
        assert not result.units
        return next(row.value for row in result.rows if row.metric == "smoothness_null")

    assert null(1) == null(1) != null(2)


def _never(*_: object, **__: object) -> None:
    raise AssertionError("measured although nothing changed")


def _dying(function: Callable[..., Any], calls: Any, fatal: int) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if next(calls) == fatal:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return wrapped


def test_options_are_read_without_loading_torch() -> None:
    """The configuration is parsed by every dry-run, and torch alone takes two seconds."""
    imports = "; ".join(f"import toporepro.measure.{name}" for name in ALL)
    heavy = "{'torch', 'pandas', 'scipy', 'sklearn', 'pyarrow'}"
    check = f"import sys; {imports}; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert answer.stdout.decode().strip() == "[]"
