import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toporepro.data import cifar10, digits, fetch
from toporepro.data import prepare as preparing
from toporepro.data.guards import exclusive
from toporepro.data.prepare import find_source, prepare
from toporepro.data.store import INDEX, DataError, ImageWriter, PreparedImages
from toporepro.paths import manifest
from toporepro.spec import DataSpec, SpecError

DIGITS = DataSpec(source="digits")


def index_in(root: Path, name: str = "digits-1") -> Path:
    return root / "prepared" / name / INDEX


def contents(index: Path) -> dict[str, bytes]:
    """All files of a prepared folder but the manifest, which has times in it."""
    return {
        path.name: path.read_bytes() for path in index.parent.iterdir() if path != manifest(index)
    }


def stamps(index: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in index.parent.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    prepare(DIGITS, root, index_in(root))
    return index_in(root)


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed.parent, index_in(tmp_path).parent)
    return index_in(tmp_path)


def visible(index: Path) -> list[str]:
    """What lies beside a prepared folder, locks left out."""
    names = [path.name for path in index.parent.parent.iterdir()]
    return [name for name in names if not name.endswith(".lock")]


def test_images_and_manifest(undisturbed: Path) -> None:
    data = PreparedImages.open(undisturbed)
    data.verify()
    made = json.loads(manifest(undisturbed).read_text())
    assert made["verb"] == "prepare"
    assert made["spec"] == {"source": "digits", "options": {}}
    assert made["outputs"].keys() == {INDEX, *data.files}
    assert made["outputs"]["train_images.npy"] == data.files["train_images.npy"].sha256
    assert "toporepro.data.digits" in made["modules"]
    assert visible(undisturbed) == ["digits-1"]


def test_a_second_time_changes_nothing(copy: Path) -> None:
    before = stamps(copy)
    prepare(DIGITS, copy.parents[2], copy)
    assert stamps(copy) == before


@pytest.mark.parametrize("victim", ["test_images.npy", "dataset.json", "dataset.manifest.json"])
@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_what_is_damaged_is_made_again(
    copy: Path, undisturbed: Path, victim: str, damage: str
) -> None:
    path = copy.parent / victim
    if damage == "changed":
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    else:
        path.unlink()
    prepare(DIGITS, copy.parents[2], copy)
    assert contents(copy) == contents(undisturbed)
    assert manifest(copy).exists()


def test_other_code_or_options_prepare_again(
    copy: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy.parent / "localizer_images.npy").write_bytes(b"of an older version")
    before = stamps(copy)[INDEX]
    monkeypatch.setattr(preparing, "code_hash", lambda modules: "another")
    prepare(DIGITS, copy.parents[2], copy)
    assert stamps(copy)[INDEX] != before
    assert contents(copy) == contents(undisturbed)


def half_way(ending: Any) -> Any:
    def broken(options: digits.Options, raw: Path, out: Path) -> None:
        writer = ImageWriter(
            out, source="digits", options={}, shape=(1, 1, 1), classes="a", mean=[0.5], std=[0.5]
        )
        writer.write_split("train", 1, [(np.zeros((1, 1, 1, 1), np.uint8), [0])])
        ending()

    return broken


def test_a_failure_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Path
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    index = index_in(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(digits, "prepare", half_way(interrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(DIGITS, tmp_path, index)
    assert visible(index) == []
    prepare(DIGITS, tmp_path, index)
    assert contents(index) == contents(undisturbed)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("where", ["preparing", "moving"])
def test_killed_and_started_again_gives_the_same_bytes(
    copy: Path, undisturbed: Path, where: str
) -> None:
    copy.unlink()
    pid = os.fork()
    if pid == 0:
        if where == "preparing":
            digits.prepare = half_way(kill)
        else:
            replace = Path.replace

            def replace_some(path: Path, target: Path) -> Path:
                if path.name == "train_images.npy" and "partial" in str(path.parent):
                    kill()
                return replace(path, target)

            Path.replace = replace_some  # type: ignore[method-assign,assignment]
        prepare(DIGITS, copy.parents[2], copy)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert not copy.exists()
    assert (copy.parent.parent / ".digits-1.partial").exists()
    prepare(DIGITS, copy.parents[2], copy)
    assert contents(copy) == contents(undisturbed)
    assert visible(copy) == ["digits-1"]


def test_two_at_once_do_not_harm_each_other(tmp_path: Path, undisturbed: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from toporepro.spec import DataSpec;"
        "from toporepro.data.prepare import prepare;"
        "prepare(DataSpec(source='digits'), Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    index = index_in(tmp_path)
    command = [sys.executable, "-c", code, str(tmp_path), str(index)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("is there and right" in lines for lines in said) == 1
    assert contents(index) == contents(undisturbed)
    assert visible(index) == ["digits-1"]


def test_too_small_a_disk_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"preparing digits needs 68\.5 MB, 5\.0 MB are free"):
        prepare(DIGITS, tmp_path, index_in(tmp_path))
    assert visible(index_in(tmp_path)) == []


def test_fetched_files_enter_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "digits" / "extra.bin"
    raw.parent.mkdir()
    raw.write_bytes(b"raw")
    digest = hashlib.sha256(b"raw").hexdigest()
    file = fetch.RemoteFile(name="extra.bin", urls=("http://127.0.0.1/x",), bytes=3, sha256=digest)
    monkeypatch.setattr(digits, "raw_files", lambda options: (file,))
    index = index_in(tmp_path)
    prepare(DIGITS, tmp_path, index)
    assert json.loads(manifest(index).read_text())["inputs"] == {str(raw): digest}


def test_the_users_own_files_enter_by_their_hash(tmp_path: Path) -> None:
    spec = DataSpec(source="cifar10", options={"form": "folders"})
    for split in ("train", "test"):
        for number, name in enumerate(cifar10.CLASSES):
            folder = tmp_path / "cifar10" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 32), (number, 20, 200)).save(folder / "0.png")
    index = index_in(tmp_path, "cifar10-1")
    prepare(spec, tmp_path, index)
    first = json.loads(manifest(index).read_text())["user_files"]
    assert first["count"] == 20
    before = stamps(index)
    prepare(spec, tmp_path, index)
    assert stamps(index) == before
    Image.new("RGB", (32, 32)).save(tmp_path / "cifar10" / "test" / "dog" / "0.png")
    prepare(spec, tmp_path, index)
    assert json.loads(manifest(index).read_text())["user_files"]["sha256"] != first["sha256"]
    assert PreparedImages.open(index).split("test").images[5].max() == 0


def test_unknown_datasets_and_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"source='cifar': no such dataset; did you mean cifar10"):
        prepare(DataSpec(source="cifar"), tmp_path, index_in(tmp_path))
    with pytest.raises(SpecError, match="no such dataset"):
        find_source("store")
    spec = DataSpec(source="mnist", options={"train_imagse": 3})
    with pytest.raises(SpecError, match="train_imagse"):
        prepare(spec, tmp_path, index_in(tmp_path))
    with pytest.raises(DataError, match=INDEX):
        prepare(DIGITS, tmp_path, tmp_path / "prepared" / "x" / "other.json")
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("source", ["mnist", "digits", "cifar10"])
def test_options_load_without_heavy_libraries(source: str) -> None:
    code = (
        f"import sys, toporepro.data.{source} as plugin; plugin.raw_files(plugin.Options());"
        "heavy = {'torch', 'torchvision', 'sklearn', 'scipy', 'PIL', 'requests', 'filelock'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    options = find_source(source).Options
    documented = options.__doc__ or ""
    assert all(field.name in documented for field in dataclasses.fields(options))


def test_a_group_that_shares_data_may_use_the_lock(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with exclusive(tmp_path / "lock", "it"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)
