"""fLoc and the pictures of Konkle & Caramazza, from small folders in the real layouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toporepro.data import floc, konkle
from toporepro.data.prepare import prepare
from toporepro.data.stimulus_pictures import square
from toporepro.data.store import DataError, PreparedImages
from toporepro.spec import DataSpec, SpecError


def save(path: Path, shade: int = 90, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, shade).save(path, quality=95)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A small fLoc; the n-th picture has shade 10 n, and the tenth comes after the ninth."""
    for name in floc.NEEDED:
        for n in (1, 2, 10):
            save(tmp_path / f"raw/floc/stimuli/{name}/{name}-{n}.jpg", 10 * n)
    return tmp_path


def made(root: Path, source: str, **options: Any) -> PreparedImages:
    index = root / "prepared/dataset.json"
    prepare(DataSpec(source=source, options={"size": 16, **options}), root / "raw", index)
    return PreparedImages.open(index)


def test_floc_is_one_split_of_ten_classes_in_five_categories(faces: Path) -> None:
    images = made(faces, "floc")
    split = images.split("localizer")
    assert set(images.splits) == {"localizer"}
    assert split.images.shape == (30, 16, 16, 3)
    assert split.labels.tolist() == [n // 3 for n in range(30)]
    shades = split.images[:3].mean(axis=(1, 2, 3))
    assert shades == pytest.approx([10, 20, 100], abs=2)
    named = {name: [images.classes[c] for c in of] for name, of in images.categories.items()}
    assert named["faces"] == ["adult", "child"]
    assert named["scenes"] == ["house", "corridor"]


def test_what_a_complete_set_holds_and_needs_is_known_before(faces: Path) -> None:
    options = floc.Options(size=16, images=144)
    assert floc.missing(options, faces / "raw/floc") is None
    said = floc.missing(options, faces / "elsewhere")
    assert said is not None
    assert f"{faces / 'elsewhere/stimuli'}/<category>/<category>-<n>.jpg" in said
    assert floc.extent(options).splits == {"localizer": 1440}
    assert konkle.extent(konkle.Options()).splits == {"localizer": 240}
    assert floc.raw_files(options) == ()
    images = made(faces, "floc")
    size = sum((images.index.parent / name).stat().st_size for name in images.files)
    assert size == pytest.approx(floc.prepared_bytes(floc.Options(size=16, images=3)), rel=0.2)


def test_scrambled_pictures_are_no_category(faces: Path) -> None:
    for n in (1, 2):
        save(faces / f"raw/floc/stimuli/scrambled/scrambled-{n}.jpg")
    images = made(faces, "floc", images=2)
    assert images.classes[-1] == "scrambled"
    assert len(images.split("localizer")) == 22
    assert 10 not in {c for of in images.categories.values() for c in of}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "stimuli").rename(root / "elsewhere"), "put fLoc's pictures there"),
        (lambda root: save(root / "stimuli/limbs/limbs-1.jpg"), "did you mean limb"),
        (
            lambda root: (root / "stimuli/limb").rename(root / "limb"),
            "no folder for limb; all but scrambled are needed",
        ),
        (lambda root: save(root / "stimuli/limb/body-1.jpg"), "`limb-<n>.jpg` is expected"),
        (
            lambda root: (root / "stimuli/limb/limb-2.jpg").write_bytes(b"no picture"),
            "not a picture that can be read",
        ),
    ],
)
def test_what_is_wrong_with_floc_is_said(
    faces: Path, change: Callable[[Path], object], said: str
) -> None:
    change(faces / "raw/floc")
    with pytest.raises(DataError, match=r"limb|fLoc") as error:
        made(faces, "floc")
    assert said in str(error.value)


def test_a_changed_picture_is_prepared_again(faces: Path) -> None:
    before = made(faces, "floc").files
    assert made(faces, "floc").files == before
    save(faces / "raw/floc/stimuli/adult/adult-1.jpg", 200)
    assert made(faces, "floc").files != before


def test_konkle_has_two_categories_per_picture(tmp_path: Path) -> None:
    for folder in konkle.FOLDERS.values():
        for n in (1, 2):
            save(tmp_path / f"raw/konkle/AnimacySize/{folder}/thing {n}.png", 0, (40, 20))
    images = made(tmp_path, "konkle")
    split = images.split("localizer")
    assert split.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert {name: len(of) for name, of in images.categories.items()} == dict.fromkeys(
        ("big", "small", "animate", "inanimate"), 2
    )
    assert (split.images[0, 0] == 255).all()
    assert (split.images[0, 8] == 0).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "AnimacySize").rename(root / "other"), "Konkle & Caramazza (2013)"),
        (lambda root: (root / "AnimacySize/Small").mkdir(), "did you mean Small-Animate"),
        (
            lambda root: (root / "AnimacySize/Big-Animate").rename(root / "Big-Animate"),
            "all four folders are needed",
        ),
        (
            lambda root: (root / "AnimacySize/Big-Animate/notes.txt").write_text("x"),
            "a picture is expected",
        ),
    ],
)
def test_what_is_wrong_with_konkle_is_said(
    tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    for folder in konkle.FOLDERS.values():
        for n in (1, 2):
            save(tmp_path / f"raw/konkle/AnimacySize/{folder}/{n}.jpg")
    change(tmp_path / "raw/konkle")
    with pytest.raises(DataError) as error:
        made(tmp_path, "konkle")
    assert said in str(error.value)


def test_pictures_are_padded_in_the_middle_and_transparency_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((10, 30, 4), dtype=np.uint8)
    pixels[:, 15:, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shown = square(tmp_path / "a.png", 30)
    assert (shown[:9] == 255).all()
    assert (shown[21:] == 255).all()
    assert (shown[12:18, :13] == 255).all()
    assert (shown[12:18, 17:] == 0).all()
    deep = np.full((8, 8), 40000, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png")
    assert square(tmp_path / "b.png", 8) == pytest.approx(156, abs=1)


@pytest.mark.parametrize("options", [{"size": 4}, {"images": 1}, {"images": 145}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        floc.Options(**options)
