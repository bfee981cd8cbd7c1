from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_training import prototypes, sentences

from toporepro.paths import ModelPaths


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prototypes(tmp_path_factory.mktemp("prototypes"))


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prototypes(tmp_path_factory.mktemp("coloured"), count=48, side=16, channels=3)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sentences(tmp_path_factory.mktemp("sentences"))


@pytest.fixture
def out(tmp_path: Path) -> ModelPaths:
    return ModelPaths(tmp_path / "model")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
