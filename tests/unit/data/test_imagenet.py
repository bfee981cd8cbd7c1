import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import ilsvrc
import numpy as np
import pytest
from PIL import Image

from toporepro.data import imagenet, scatter, shards
from toporepro.data.pictures import read_picture, shrink
from toporepro.data.shards import HEIGHT, ShardedImages
from toporepro.data.store import INDEX, DataError
from toporepro.paths import manifest
from toporepro.spec import DataSpec, SpecError

PARTS = 3


def spec(**options: Any) -> DataSpec:
    counts = {"train_images": 25, "test_images": 10}
    made = imagenet.Options(**{"shards": PARTS, "side": 32, "test_side": 40, **counts, **options})
    return DataSpec(source="imagenet", options=dataclasses.asdict(made))


def index_in(root: Path, name: str = "imagenet-1") -> Path:
    return root / "prepared" / name / INDEX


def contents(index: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(index.parent)): path.read_bytes()
        for path in index.parent.rglob("*")
        if path.is_file() and path != manifest(index) and path.suffix != ".lock"
    }


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tars")
    ilsvrc.write_tars(root / "imagenet", ilsvrc.train_images(), ilsvrc.validation_images())
    return root


@pytest.fixture(scope="module")
def prepared(tars: Path) -> Path:
    scatter.prepare_all(spec(), tars, index_in(tars))
    return index_in(tars)


@pytest.fixture
def raw(tars: Path, tmp_path: Path) -> Path:
    """A folder of its own with the same archives."""
    shutil.copytree(tars / "imagenet", tmp_path / "imagenet")
    return tmp_path


def test_every_image_and_label_of_the_archives(prepared: Path) -> None:
    data = ShardedImages.open(prepared)
    data.verify()
    assert data.classes == ilsvrc.WNIDS
    assert data.mean == imagenet.MEAN
    assert data.std == imagenet.STD
    assert data.splits == {"train": 25, "test": 10}
    train, test = data.split("train"), data.split("test")
    given = [
        (ilsvrc.WNIDS.index(wnid), file)
        for wnid, files in ilsvrc.train_images().items()
        for file in files.values()
    ]
    assert train.labels.tolist() == [label for label, _ in given]
    for number, (_, file) in enumerate(given):
        expected = shrink(read_picture(file).pixels, 32)
        assert tuple(train.places[number, HEIGHT:]) == expected.shape[:2]
        difference = np.abs(train.image(number).astype(int) - expected)
        assert difference.mean() < 5
    # Validation images are in the order of their numbers, their labels those of the devkit.
    assert [data.classes[n] for n in test.labels] == [
        wnid for _, wnid in ilsvrc.validation_images()
    ]
    assert test.places[:, HEIGHT:].min() == 40


def test_oddities_are_counted_and_the_manifest_complete(prepared: Path) -> None:
    data = ShardedImages.open(prepared)
    assert data.extra["oddities"] == {
        "cmyk": 1, "grey": 2, "not_jpeg": 2, "orientation": 1, "sixteen_bit": 1,
    }  # fmt: skip
    made = json.loads(manifest(prepared).read_text())
    assert made["spec"]["source"] == "imagenet"
    assert made["files"].keys() == data.files.keys()
    assert set(made["raw_units"]) == {f"train/{w}" for w in ilsvrc.WNIDS} | {"test/0"}
    assert "toporepro.data.imagenet_tars" in made["modules"]


@pytest.mark.parametrize("seed", [1, 2])
def test_parts_in_any_order_give_the_same_dataset(raw: Path, prepared: Path, seed: int) -> None:
    order = list(range(PARTS))
    random.Random(seed).shuffle(order)
    index = index_in(raw)
    for part in order:
        scatter.prepare_part(spec(), raw, index, part)
        assert not index.exists()
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


def test_folders_hold_the_same_images(tmp_path: Path, prepared: Path) -> None:
    ilsvrc.write_folders(tmp_path / "imagenet", ilsvrc.train_images(), ilsvrc.validation_images())
    index = index_in(tmp_path)
    scatter.prepare_all(spec(form="folders"), tmp_path, index)
    ours, theirs = ShardedImages.open(index), ShardedImages.open(prepared)
    assert ours.classes == theirs.classes
    for split in ("train", "test"):
        a, b = ours.split(split), theirs.split(split)
        # A tree is read class by class, name by name; archives as they are.
        assert sorted(bytes(a.encoded(n)) for n in range(len(a))) == sorted(
            bytes(b.encoded(n)) for n in range(len(b))
        )
        assert np.bincount(a.labels).tolist() == np.bincount(b.labels).tolist()


def test_raw_storage_holds_the_pixels_themselves(raw: Path) -> None:
    scatter.prepare_all(spec(storage="raw", shards=8), raw, index_in(raw))
    train = ShardedImages.open(index_in(raw)).split("train")
    file = ilsvrc.train_images()[ilsvrc.WNIDS[0]][f"{ilsvrc.WNIDS[0]}_7.JPEG"]
    assert np.array_equal(train.image(1), shrink(read_picture(file).pixels, 32))


def test_done_again_nothing_is_touched(
    raw: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = index_in(raw)
    shutil.copytree(prepared.parent, index.parent)
    before = {p: p.stat().st_mtime_ns for p in index.parent.rglob("*") if p.suffix != ".lock"}
    shutil.rmtree(raw / "imagenet")
    scatter.prepare_all(spec(), raw, index)
    assert "is there and right" in capsys.readouterr().err
    assert before == {
        p: p.stat().st_mtime_ns for p in index.parent.rglob("*") if p.suffix != ".lock"
    }


@pytest.mark.parametrize("victim", ["train-00001.bin", "parts/test-00000.npy", "train_labels.npy"])
def test_what_is_damaged_is_made_again(raw: Path, prepared: Path, victim: str) -> None:
    index = index_in(raw)
    shutil.copytree(prepared.parent, index.parent)
    path = index.parent / victim
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


@pytest.mark.parametrize("after", [0, 4, 11])
def test_killed_and_started_again_gives_the_same_bytes(
    raw: Path, prepared: Path, after: int
) -> None:
    index = index_in(raw)
    pid = os.fork()
    if pid == 0:
        add, left = shards.ShardWriter.add, after

        def add_some(writer: shards.ShardWriter, *image: Any) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            add(writer, *image)

        shards.ShardWriter.add = add_some  # type: ignore[method-assign]
        scatter.prepare_all(spec(), raw, index)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert not index.exists()
    scatter.prepare_all(spec(), raw, index)
    assert contents(index) == contents(prepared)


def broken(train: dict[str, dict[str, bytes]], how: str) -> list[str]:
    """Spoil images, and say what the error has to name."""
    first, last = train[ilsvrc.WNIDS[0]], train[ilsvrc.WNIDS[3]]
    names = [f"{ilsvrc.WNIDS[0]}_14.JPEG", f"{ilsvrc.WNIDS[3]}_0.JPEG"]
    if how == "cut":
        first[names[0]], last[names[1]] = first[names[0]][:-200], last[names[1]][:30]
    elif how == "empty":
        first[names[0]] = last[names[1]] = b""
    elif how == "noise":
        first[names[0]] = last[names[1]] = bytes(range(256)) * 4
    elif how == "foreign":
        first["README"] = last["n09999999_1.JPEG"] = b"text"
        names = ["README", "n09999999_1.JPEG"]
    return names


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "foreign"])
@pytest.mark.parametrize("form", ["tars", "folders"])
def test_broken_images_are_counted_and_stop_it(tmp_path: Path, how: str, form: str) -> None:
    train = ilsvrc.train_images()
    names = broken(train, how)
    write = ilsvrc.write_tars if form == "tars" else ilsvrc.write_folders
    write(tmp_path / "imagenet", train, ilsvrc.validation_images())
    index = index_in(tmp_path)
    with pytest.raises(DataError, match="2 faults in 2 of 3 parts") as caught:
        scatter.prepare_all(spec(form=form, train_images=None), tmp_path, index)
    for name in names:
        assert name in str(caught.value)
    assert not index.exists()
    listed = sorted((index.parent / "parts").glob("*.faults.txt"))
    assert [path.name for path in listed] == ["00000.faults.txt", "00002.faults.txt"]
    assert (index.parent / "parts" / "00001.json").exists()
    # Mended, only what was broken is done.
    shutil.rmtree(tmp_path / "imagenet")
    write(tmp_path / "imagenet", ilsvrc.train_images(), ilsvrc.validation_images())
    scatter.prepare_all(spec(form=form, train_images=None), tmp_path, index)
    assert ShardedImages.open(index).splits["train"] == 25
    assert not list((index.parent / "parts").glob("*.faults.txt"))


def test_missing_images_and_archives_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "imagenet"
    train, tests = ilsvrc.train_images(), ilsvrc.validation_images()
    ilsvrc.write_tars(folder, train, tests)
    counts = {wnid: len(files) for wnid, files in train.items()}
    ilsvrc.write_devkit(folder, counts | {ilsvrc.WNIDS[1]: 6}, [w for _, w in tests] * 2)
    with pytest.raises(DataError, match="5 images found, 6 expected") as caught:
        scatter.prepare_all(spec(), tmp_path, index_in(tmp_path))
    assert "ILSVRC2012_val_00000020.JPEG: missing" in str(caught.value)
    assert "11 faults" in str(caught.value)


def test_a_cut_archive_is_noticed(raw: Path) -> None:
    path = raw / "imagenet" / "ILSVRC2012_img_train.tar"
    path.write_bytes(path.read_bytes()[:-30_000])
    with pytest.raises(DataError, match="ILSVRC2012_img_train"):
        scatter.prepare_all(spec(), raw, index_in(raw))


def test_another_number_of_images_than_expected_is_an_error(raw: Path) -> None:
    with pytest.raises(DataError, match="25 train images found, train_images=1281167"):
        scatter.prepare_all(spec(train_images=1281167, side=16), raw, index_in(raw))


def test_what_is_absent_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "imagenet" / "ILSVRC2012_img_val.tar").touch()
    with pytest.raises(DataError) as caught:
        scatter.prepare_part(spec(), tmp_path, index_in(tmp_path), 0)
    text = str(caught.value)
    assert "ILSVRC2012_img_train.tar, ILSVRC2012_devkit_t12.tar.gz not found" in text
    assert "https://image-net.org" in text
    assert str(tmp_path / "imagenet" / "ILSVRC2012_img_train.tar") in text
    with pytest.raises(DataError, match=r"no folder .*train"):
        scatter.prepare_part(spec(form="folders"), tmp_path, index_in(tmp_path), 0)


def test_too_small_a_disk_is_said_before_it_starts(
    raw: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(raw)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"needs .* GB, 1\.0 MB are free"):
        scatter.prepare_part(spec(train_images=1281167, side=256), raw, index_in(raw), 0)
    assert "in 3 parts; 3 of them to do" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"side": 5}, {"quality": 100}, {"shards": 0}, {"test_images": 0}]
)
def test_options_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        imagenet.Options(**wrong)


def test_parts_and_options_load_without_heavy_libraries() -> None:
    code = (
        "import sys; from toporepro.data import imagenet, scatter;"
        "from toporepro.spec import DataSpec;"
        "assert scatter.parts(DataSpec(source='imagenet')) == 64;"
        "assert scatter.parts(DataSpec(source='digits')) == 0;"
        "heavy = {'torch', 'torchvision', 'sklearn', 'scipy', 'PIL', 'requests', 'filelock'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    documented = imagenet.Options.__doc__ or ""
    assert all(field.name in documented for field in dataclasses.fields(imagenet.Options))
    with pytest.raises(SpecError, match="part=3: from 0 to 2"):
        scatter.prepare_part(spec(), Path(), Path("x") / INDEX, 3)


class TestPictures:
    """Image files as people made them."""

    def test_kinds(self) -> None:
        files = ilsvrc.odd_files()
        truth = ilsvrc.pixels(7, 50, 40)
        found = {name: read_picture(data) for name, data in files.items()}
        assert np.array_equal(found["png"].pixels, truth)
        assert found["png"].oddities == ("not_jpeg",)
        assert np.abs(found["cmyk"].pixels.astype(int) - truth).mean() < 6
        grey = np.asarray(Image.fromarray(truth).convert("L"))
        assert np.array_equal(found["sixteen"].pixels, np.stack([grey] * 3, axis=2))
        assert np.abs(found["grey"].pixels[..., 1].astype(int) - grey).mean() < 3
        assert found["exif"].pixels.shape == (50, 40, 3)  # not turned
        assert found["exif"].oddities == ("orientation",)

    def test_cut_short_anywhere(self) -> None:
        data = ilsvrc.jpeg(1)
        for length in (0, 1, 3, 100, 400, len(data) // 2, len(data) - 60):
            with pytest.raises(DataError, match="not a readable image"):
                read_picture(data[:length])

    def test_smaller_images_stay(self) -> None:
        image = ilsvrc.pixels(1, 30, 50)
        assert shrink(image, 30) is image
        assert shrink(image, 15).shape == (15, 25, 3)
        assert shrink(ilsvrc.pixels(1, 90, 31), 30).shape == (87, 30, 3)


@pytest.mark.parametrize("form", ["tars", "folders"])
def test_validation_images_alone(form: str, tmp_path: Path, prepared: Path) -> None:
    write = ilsvrc.write_tars if form == "tars" else ilsvrc.write_folders
    write(tmp_path / "imagenet", ilsvrc.train_images(), ilsvrc.validation_images())
    training = (
        tmp_path / "imagenet" / ("train" if form == "folders" else "ILSVRC2012_img_train.tar")
    )
    training.rename(tmp_path / "away")
    chosen = imagenet.Options(form=form, train_images=0)  # type: ignore[arg-type]
    assert imagenet.missing(chosen, tmp_path / "imagenet") is None
    assert training.name in str(
        imagenet.missing(dataclasses.replace(chosen, train_images=None), tmp_path / "imagenet")
    )
    index = index_in(tmp_path)
    scatter.prepare_all(spec(form=form, train_images=0), tmp_path, index)
    data, whole = ShardedImages.open(index), ShardedImages.open(prepared)
    data.verify()
    assert data.splits == {"train": 0, "test": 10}
    assert data.classes == whole.classes
    assert sorted(data.split("test").labels) == sorted(whole.split("test").labels)
    assert len(data.split("train")) == 0


def test_what_is_missing_is_told_without_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = imagenet.Options(train_images=0)
    assert "ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz not found" in str(
        imagenet.missing(options, tmp_path)
    )
    monkeypatch.delenv("HF_TOKEN", raising=False)
    gated = imagenet.Options(form="huggingface")
    assert "HF_TOKEN" in str(imagenet.missing(gated, tmp_path))
    monkeypatch.setenv("HF_TOKEN", "x")
    assert imagenet.missing(gated, tmp_path) is None
