"""What a dataset is said to hold before it is made, against what it holds once it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toporepro.data.store import PreparedImages
from toporepro.plugins import find, names


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("digits", {}),
        ("image_world", {"size": 24, "train": 2, "test": 1, "localizer": 1}),
    ],
)
def test_extents_are_those_of_the_prepared_images(
    source: str, options: dict[str, Any], tmp_path: Path
) -> None:
    plugin: Any = find("data", source)
    chosen = plugin.Options(**options)
    plugin.prepare(chosen, tmp_path / "raw", tmp_path / "out")
    prepared = PreparedImages.open(tmp_path / "out" / "dataset.json")
    extent = plugin.extent(chosen)
    assert extent.splits == {name: split.count for name, split in prepared.splits.items()}
    assert (extent.shape, extent.classes) == (prepared.shape, len(prepared.classes))
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.npy"))
    assert size == pytest.approx(plugin.prepared_bytes(chosen), rel=0.01)


def test_extents_follow_options() -> None:
    imagenet: Any = find("data", "imagenet")
    whole = imagenet.extent(imagenet.Options())
    assert whole.splits == {"train": 1_281_167, "test": 50_000}
    assert "log in at https://image-net.org" in whole.by_hand
    tested = imagenet.extent(imagenet.Options(train_images=0))
    assert tested.splits == {"train": 0, "test": 50_000}
    assert tested.raw == 6_744_924_160
    mnist: Any = find("data", "mnist")
    assert mnist.extent(mnist.Options(train_images=100)).splits == {"train": 100, "test": 10_000}


def test_what_a_person_has_to_do_is_said_where_something_can_be_missing() -> None:
    for name in names("data"):
        plugin: Any = find("data", name)
        if hasattr(plugin, "missing") and hasattr(plugin, "extent"):
            assert plugin.extent(plugin.Options()).by_hand, name
