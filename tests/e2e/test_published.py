"""A preset of published checkpoints from end to end; a server on this machine plays the hub."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from tests.e2e.conftest import Copy, copy_repository, job_counts
from tests.unit.data import hub_server
from tests.unit.data.hub_server import Hub
from tests.unit.models import published_files as files

pytestmark = pytest.mark.e2e
PRESET = "tests/presets/published.yaml"
CLASSES = 20


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def preset(hub: Hub) -> tuple[dict[str, object], torch.nn.Module]:
    """The authors' formats: plain with BlurPool, under ``model`` with more; and somebody else's."""
    tau = "/murtylab/topo-resnet18-imagenet/resolve/main/all_topo_tau_{}.pt"
    urls = {}
    for number, value in enumerate(("0.5", "1.0")):
        network = files.source("resnet18", CLASSES, blurpool=True, seed=number)
        urls[value] = hub.put(tau.format(value), saved(network.state_dict()))
    plain = files.source("resnet18", CLASSES, blurpool=False)
    squeeze = files.source("squeezenet1_1", CLASSES + 3, blurpool=False)
    shape = {"height": 32, "width": 32, "classes": CLASSES}
    common = {
        "data": "stimuli",
        "phi": 2,
        "seeds": [0],
        "measures": ["accuracy", "smoothness", "effective_dimensionality", "definitions"],
    }
    return {
        "about": "test",
        "snapshots": 1,
        "images": 40,
        "data": {
            "stimuli": {
                "source": "image_world",
                "options": {"train": 1, "test": 3, "localizer": 1},
            }
        },
        "families": {
            "resnet18": {
                "label": "ResNet-18",
                "architecture": "resnet18",
                "taus": [0.5, 1],
                "checkpoints": {
                    0.5: {"url": urls["0.5"], **shape},
                    1.0: {"url": urls["1.0"], **shape},
                },
                **common,
            },
            "resnet18_untrained": {
                "like": "resnet18",
                "label": "ResNet-18 (untrained)",
                "control": "untrained",
                "taus": [0],
                "checkpoints": {0: {"untrained": True, **shape}},
            },
            "resnet18_torchvision": {
                "label": "ResNet-18 (a substitute)",
                "architecture": "resnet18",
                "model": {"blurpool": False},
                "taus": [0],
                "checkpoints": {
                    0: {
                        "url": hub.put("/plain/r.pth", saved(files.training_file(plain))),
                        "key": "model",
                        **shape,
                    }
                },
                **common,
            },
            "somebodys": {
                "label": "Somebody's",
                "architecture": "external",
                "model": {"network": "squeezenet1_1", "layers": {"features.3.expand1x1": 64}},
                "taus": [0],
                "checkpoints": {
                    0: {"file": "my squeeze.pt", **shape, "classes": CLASSES + 3},
                },
                **common,
            },
        },
        "measures": {
            "accuracy": {},
            "smoothness": {"shuffles": 3},
            "effective_dimensionality": {},
            "definitions": {"bins": [10, 20], "phis": [2, 3]},
        },
        "figures": {"performance_vs_smoothness": {}, "dimensionality": {}},
        "absent": {"ResNet-18 at τ = 0": "not published"},
    }, squeeze


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as patch, hub_server.serving() as running:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture(scope="module")
def released(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    copy = copy_repository(tmp_path_factory.mktemp("released") / "repository")
    copy.preset = PRESET
    content, squeeze = preset(hub)
    (copy.root / PRESET).write_text(yaml.safe_dump(content, allow_unicode=True))
    torch.save({"model": squeeze.state_dict()}, copy.root / "my squeeze.pt")
    copy.first_output = copy.reproduce()
    return copy


def table(copy: Copy, name: str) -> list[dict[str, str]]:
    with (copy.results / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_network_is_measured_and_nothing_is_trained(released: Copy) -> None:
    rows = table(released, "measures")
    for family, tau in (("resnet18", "0.5"), ("resnet18", "1"), ("somebodys", "0")):
        mine = [row for row in rows if (row["family"], row["tau"]) == (family, tau)]
        found = {row["metric"]: row["value"] for row in mine if row["layer"] in ("", "mean")}
        assert float(found["smoothness"]) > 0
        assert float(found["effective_dimensionality"]) > 1
        assert {row["step"] for row in mine} == {"1"}
        assert found["images"] == "40"
    assert table(released, "history") == []
    planned = job_counts(released.first_output)
    assert planned["convert_checkpoint"] == 5
    assert "train_model" not in planned
    assert released.jobs() == {}


def test_an_untrained_network_is_a_control_of_the_published_ones(released: Copy) -> None:
    rows = [row for row in table(released, "measures") if row["family"] == "resnet18_untrained"]
    assert {row["step"] for row in rows} == {"0"}
    smoothness = [r for r in rows if (r["metric"], r["layer"]) == ("smoothness_minus_null", "mean")]
    with (released.results / "claims.csv").open(newline="", encoding="utf-8") as file:
        judged = {row["id"]: row for row in csv.DictReader(file)}
    assert not any(name.endswith("/resnet18_untrained") for name in judged)
    ours = judged["untrained_not_smooth/resnet18"]["ours"]
    largest = [
        float(row["value"])
        for row in table(released, "measures")
        if (row["family"], row["tau"], row["metric"], row["layer"])
        == ("resnet18", "1", "smoothness_minus_null", "mean")
    ]
    if largest[0] > 0:  # else a ratio would say nothing
        ratio = float(smoothness[0]["value"]) / largest[0]
        assert ours.startswith(f"{ratio:.2f} ×")


def test_definitions_are_calibrated_on_what_is_there(released: Copy) -> None:
    rows = table(released, "calibration")
    chosen = [row for row in rows if row["chosen"] == "True"]
    assert {row["quantity"] for row in chosen} == {
        "smoothness",
        "effective_dimensionality",
        "anchor_contrast",
    }
    assert {(row["family"], row["n"]) for row in chosen} == {("resnet18", "2")}
    residuals = table(released, "calibration_residuals")
    assert {row["tau"] for row in residuals} == {"0.5", "1"}


def test_what_is_missing_is_said(released: Copy) -> None:
    missing = {row["what"]: row["why"] for row in table(released, "missing")}
    assert missing["ResNet-18 at τ = 0"] == "not published"
    assert "accuracy of somebodys τ=0 seed=0, step 1 on test" in missing
    assert missing["the rest of test for resnet18 τ=1 seed=0"] == "40 images were shown of it"
    facts = json.loads((released.results / "figures/dimensionality.json").read_text())["facts"]
    assert "Not to be had: ResNet-18 at τ = 0 (not published)." in facts
    assert "Measured on at most 40 images of each set, evenly spaced." in facts


def test_downloads_are_pinned_by_what_the_hub_announced(released: Copy, hub: Hub) -> None:
    lock = json.loads((released.root / "config/checkpoints.lock.json").read_text())
    known = {url.removeprefix(hub.url): pin["known"] for url, pin in lock.items()}
    assert known == {
        "/murtylab/topo-resnet18-imagenet/resolve/main/all_topo_tau_0.5.pt": "hub",
        "/murtylab/topo-resnet18-imagenet/resolve/main/all_topo_tau_1.0.pt": "hub",
        "/plain/r.pth": "first download",
    }
    folder = released.results / "models/resnet18/tau=1/seed=0"
    manifest = json.loads((folder / "weights.manifest.json").read_text())
    assert manifest["published"]["sha256"] in manifest["inputs"].values()


def test_a_changed_checkpoint_converts_and_measures_that_network_alone(
    released: Copy, hub: Hub
) -> None:
    network = files.source("resnet18", CLASSES, blurpool=True, seed=9)
    other = hub.put("/murtylab/x/resolve/main/y.pt", saved(network.state_dict()))
    checkpoints = {"1.0": {"url": other}}
    change = json.dumps({"published": {"families": {"resnet18": {"checkpoints": checkpoints}}}})
    jobs = released.jobs(f"overrides={change}")
    assert (jobs["convert_checkpoint"], jobs["measure_model"]) == (1, 1)


def test_a_tampered_download_is_refused_by_the_lock(released: Copy) -> None:
    (path,) = (released.root / "data/checkpoints").glob("murtylab--*/all_topo_tau_1.0.pt")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    folder = "results/published/models/resnet18/tau=1/seed=0"
    spec = json.loads((released.root / folder / "weights.manifest.json").read_text())["spec"]
    (released.root / "spec.json").write_text(json.dumps(spec))
    released.run("toporepro", "convert", "--spec", "spec.json", "--out", "again")
    assert path.read_bytes() == content  # fetched again
    assert Path(f"{path}.bad").exists()
    again = (released.root / "again/weights.safetensors").read_bytes()
    assert again == (released.root / folder / "weights.safetensors").read_bytes()


def test_one_file_by_hand(released: Copy) -> None:
    file = next((released.root / "data/checkpoints").glob("murtylab--*/all_topo_tau_1.0.pt"))
    arguments = ["--family", "resnet18", "--classes", str(CLASSES), "--out", "one.safetensors"]
    released.run("toporepro", "convert", str(file), *arguments)
    assert (released.root / "one.safetensors").stat().st_size > 40e6
    arguments[1] = "resnet50"
    output = released.run("toporepro", "convert", str(file), *arguments, status=1)
    assert "another network's weights" in output
    assert "layer1.0.conv3.weight" in output
    assert "Traceback" not in output
