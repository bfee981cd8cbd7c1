"""Brain-Score's package is not among the tests': a stand-in with the shape of its interface runs in
a process of its own, and what it sees of a network is compared with what we measure."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from brains import images
from measured import train_spec, write_data, write_model
from PIL import Image

from toporepro.config import ConfigError, resolve
from toporepro.data.store import PreparedImages
from toporepro.measure import brain_score
from toporepro.measure.subject import Subject
from toporepro.spec import SpecError

LAYER = "layer4.1.conv2"
ROOT = Path(__file__).parents[3]
# As in brainscore_vision 2.4.2: names, arguments and attributes that are used.
PACKAGE = {
    "brainscore_vision/__init__.py": """
        from pathlib import Path

        class Score(float):
            attrs = {}

        class Benchmark:
            def __init__(self, region):
                self.region = region
            def __call__(self, candidate):
                candidate.start_recording(self.region, time_bins=[(70, 170)])
                found = candidate.look_at([str(Path(__file__).parent / "picture.png")])
                score = Score(found.mean())
                score.attrs = {"raw": float(found.max()), "ceiling": 0.5}
                return score

        def load_benchmark(identifier):
            if "offline" in identifier:
                raise ConnectionError("the bucket brain-score-data cannot be reached")
            return Benchmark(identifier.split(".")[1].split("-")[0])
        """,
    "brainscore_vision/model_helpers/__init__.py": "",
    "brainscore_vision/model_helpers/activations/__init__.py": "",
    "brainscore_vision/model_helpers/activations/pytorch.py": """
        import numpy as np
        import torch
        from PIL import Image

        def load_preprocess_images(paths, image_size, normalize_mean, normalize_std):
            side = (image_size, image_size)
            pixels = [Image.open(path).convert("RGB").resize(side) for path in paths]
            scaled = np.stack([np.asarray(one) for one in pixels]).transpose(0, 3, 1, 2) / 255
            mean, std = (np.array(of)[:, None, None] for of in (normalize_mean, normalize_std))
            return (scaled - mean) / std

        class PytorchWrapper:
            def __init__(self, model, preprocessing, identifier=None):
                self.model, self.preprocessing, self.identifier = model, preprocessing, identifier
            def __call__(self, paths, layers):
                inputs, found = torch.from_numpy(self.preprocessing(paths)).float(), {}
                for name in layers:
                    module = self.model
                    for part in name.split("."):
                        module = module._modules[part]
                    module.register_forward_hook(
                        lambda _, __, output, name=name: found.update({name: output}))
                with torch.no_grad():
                    self.model.eval()(inputs)
                return found
        """,
    "brainscore_vision/model_helpers/brain_transformation.py": """
        class Layers:
            def __init__(self, region_layer_map):
                self.region_layer_map = region_layer_map

        class ModelCommitment:
            def __init__(self, identifier, activations_model, layers, visual_degrees=8):
                assert visual_degrees == 7 and activations_model.image_size == 12
                assert identifier == activations_model.identifier
                self.model = activations_model
                self.layer_model = Layers({"IT": layers[-1], "V1": layers[0]})
            def start_recording(self, recording_target, time_bins):
                self.region = recording_target
            def look_at(self, stimuli, number_of_trials=1):
                layer = self.layer_model.region_layer_map[self.region]
                return self.model(stimuli, [layer])[layer]
        """,
}


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    for name, code in PACKAGE.items():
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
    picture = Image.fromarray(images(3, 1)[0])
    picture.save(tmp_path / "package" / "brainscore_vision" / "picture.png")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tmp_path / "package"}:$PYTHONPATH" exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(brain_score, "BRAIN_SCORE", python)
    paths, _ = write_model(tmp_path / "model", train_spec("resnet18", width=0.25), channels=3)
    base = PreparedImages.open(write_data(tmp_path / "base", channels=3, images=12))
    return Subject.load(paths.weights, base, seed=4, final=True, device="cpu")


def options(*benchmarks: str) -> brain_score.Options:
    return brain_score.Options(benchmarks=benchmarks, visual_degrees=7)


def test_the_package_sees_the_network_that_we_measure(subject: Subject) -> None:
    result = brain_score.measure(subject, options("Fake2026.IT-pls", "Fake2026.V1-pls"))
    rows = {(row.stimuli, row.layer, row.metric): row.value for row in result.rows}
    # The mean over units of what a layer answers, averaged over positions, is the mean of it all.
    answers = subject.layer_responses(list(subject.layers), images(3, 1), "float32")
    first, *_, last = subject.layers
    assert last == LAYER
    for name, layer, number in (("IT", last, 16.0), ("V1", first, 1.0)):
        stimuli = f"Fake2026.{name}-pls"
        expected = float(np.mean(answers[layer]))
        assert rows[stimuli, "", f"brain_score.{name}"] == pytest.approx(expected, abs=1e-6)
        assert rows[stimuli, "", f"brain_score_ceiling.{name}"] == 0.5
        assert rows[stimuli, "", f"brain_score_raw.{name}"] > expected
        assert rows[stimuli, layer, f"brain_score_layer.{name}"] == number
    assert len(rows) == 8


def test_what_the_package_says_when_it_fails_is_passed_on(subject: Subject) -> None:
    with pytest.raises(brain_score.BrainScoreError) as caught:
        brain_score.measure(subject, options("Fake2026.offline-pls"))
    assert "the bucket brain-score-data cannot be reached" in str(caught.value)
    assert "is this machine online?" in str(caught.value)


def test_networks_of_grey_images_and_options_that_cannot_be(tmp_path: Path) -> None:
    paths, _ = write_model(tmp_path / "model", train_spec())
    base = PreparedImages.open(write_data(tmp_path / "base", images=12))
    grey = Subject.load(paths.weights, base, seed=4, final=True, device="cpu")
    with pytest.raises(SpecError, match="Brain-Score shows colour images"):
        brain_score.measure(grey, brain_score.Options())
    for given, says in (
        ({"benchmarks": ()}, "at least one"),
        ({"visual_degrees": 0}, "at least 1"),
    ):
        with pytest.raises(SpecError, match=says):
            brain_score.Options(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("there", [True, False])
def test_without_its_environment_it_is_left_out(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").touch()
    monkeypatch.setattr(brain_score, "BRAIN_SCORE", tmp_path / ("python" if there else "none"))
    changes = {
        "families": {"resnet18": {"measures": ["accuracy", "brain_score"]}},
        "measures": {"brain_score": {}},
    }
    given = {"preset": "tests/presets/tiny.yaml", "overrides": {"tiny": changes}}
    resolved = resolve(given, ROOT)
    assert ("brain_score" in resolved.model("resnet18", "0", 0).measure.measures) == there
    assert set(resolved.absent) == (set() if there else {"brain_score"})
    if not there:
        assert "make brain-score" in resolved.absent["brain_score"]
        changes["families"] = {"resnet18": {"measures": ["brain_score"]}}
        with pytest.raises(ConfigError, match="none without brain_score"):
            resolve(given, ROOT)
