"""The best images of a unit, against sorting all responses by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from measured import train_spec, write_data, write_model

from toporepro.data.store import PreparedImages
from toporepro.measure import best_stimuli
from toporepro.measure.subject import Subject
from toporepro.spec import SpecError


def subject_of(folder: Path, images: int = 40) -> Subject:
    model, _ = write_model(folder, train_spec())
    data = PreparedImages.open(write_data(folder / "data", images=images))
    return Subject.load(model.weights, data, seed=0, final=True, device="cpu")


def best(subject: Subject, **options: object) -> np.ndarray:
    (found,) = best_stimuli.measure(subject, best_stimuli.Options(**options)).units  # type: ignore[arg-type]
    assert (found.layer, found.quantity) == ("fc1", "best_stimulus")
    return found.values


def test_they_are_the_first_of_all_responses_in_order(tmp_path: Path) -> None:
    subject = subject_of(tmp_path)
    _, split = subject.stimulus_set("test")
    pixels = (torch.tensor(np.array(split.images)).flatten(1) / 255 - 0.5) / 0.25
    responses = (pixels @ subject.module.get_submodule("fc1").weight.detach().T).numpy()
    found = best(subject, best=5)
    assert found.shape == (24, 5)
    for unit, numbers in enumerate(found):
        expected = sorted(range(40), key=lambda image: -responses[image, unit])[:5]
        assert numbers.tolist() == expected


def test_of_a_large_set_evenly_spaced_images_are_shown(tmp_path: Path) -> None:
    found = best(subject_of(tmp_path), images=10)
    assert set(found.ravel()) <= set(range(0, 40, 4))
    assert len(set(found.ravel())) > 3


def test_a_unit_that_answers_all_images_alike_has_none(tmp_path: Path) -> None:
    subject = subject_of(tmp_path)
    with torch.no_grad():
        subject.module.get_submodule("fc1").weight[7] = 0
    found = best(subject)
    assert np.isnan(found[7]).all()
    assert not np.isnan(np.delete(found, 7, axis=0)).any()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="best=0: from 1 to images=200"):
        best_stimuli.Options(best=0)
    with pytest.raises(SpecError, match="best=3: test has 2 images"):
        best(subject_of(tmp_path, images=2))
