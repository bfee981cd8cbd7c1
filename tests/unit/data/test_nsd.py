"""NSD's files, small: read as brute force reads them, and what is wrong with them is found."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from scipy.io import loadmat, savemat
from scipy.stats import zscore

from toporepro.data import nsd, nsd_betas, synthetic_brain
from toporepro.data.brain_responses import Participant, participants
from toporepro.data.nsd_layout import DESIGN, STIMULI
from toporepro.data.prepare import prepare
from toporepro.data.store import DataError, PreparedImages
from toporepro.spec import DataSpec, SpecError

OPTIONS = nsd.Options(size=24, subjects=(1, 2, 4), regions=("V1", "FFA", "PPA", "aTL-faces"))
FUNCTIONAL = "ppdata/{}/func1pt8mm"
BETAS = f"nsddata_betas/{FUNCTIONAL}/betas_fithrf_GLMdenoise_RR"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "nsd"
    synthetic_brain.write_files(synthetic_brain.Options(size=32, shared=20, own=40), folder)
    return folder


@pytest.fixture
def mine(files: Path, tmp_path: Path) -> Path:
    """A copy of the files that a test may spoil."""
    return Path(shutil.copytree(files, tmp_path / "nsd"))


@pytest.fixture(scope="module")
def prepared(files: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedImages:
    out = tmp_path_factory.mktemp("prepared")
    nsd.prepare(OPTIONS, files, out)
    return PreparedImages.open(out / "dataset.json")


def of(prepared: PreparedImages) -> dict[str, Participant]:
    return {one.name: one for one in participants(prepared.index, prepared.extra)}


def betas(folder: Path, name: str, session: int) -> Path:
    return folder / BETAS.format(name) / f"betas_session{session:02d}.hdf5"


def by_hand(folder: Path, number: int) -> tuple[dict[tuple[int, ...], dict[int, Any]], int]:
    """Voxel → image → its z-scored trials, one number at a time; and how many images are shared."""
    design = loadmat(folder / DESIGN)
    order, images = design["masterordering"][0], design["subjectim"][number - 1]
    name, found, trial = f"subj{number:02d}", {}, 0
    regions = folder / f"nsddata/{FUNCTIONAL.format(name)}/roi"
    masks = [nibabel.load(path).get_fdata() > 0 for path in sorted(regions.glob("*.nii.gz"))]
    inside = np.argwhere(np.any(masks, axis=0))
    per_session = len(order) // 3
    for session in range(1, 4):
        path = betas(folder, name, session)
        if not path.exists():
            trial += per_session
            continue
        with h5py.File(path) as file:
            scores = zscore(np.transpose(file["betas"][:], (3, 2, 1, 0)) / 300, axis=3)
        for place in range(per_session):
            image = int(images[int(order[trial + place]) - 1]) - 1
            for x, y, z in inside:
                found.setdefault((x, y, z), {}).setdefault(image, []).append(scores[x, y, z, place])
        trial += per_session
    return found, design["sharedix"].size


@pytest.mark.parametrize("number", [1, 4])
def test_responses_are_means_of_z_scores(
    files: Path, prepared: PreparedImages, number: int
) -> None:
    expected, shared = by_hand(files, number)
    one = of(prepared)[f"subj{number:02d}"]
    design = loadmat(files / DESIGN)
    sharedix = set((design["sharedix"][0] - 1).astype(int))
    voxels = np.round(one.places / 1.8).astype(int)
    assert {tuple(place) for place in voxels} == set(expected)
    images = {split: sorted({i for of in expected.values() for i in of if (i in sharedix) == test})
              for split, test in (("train", False), ("test", True))}  # fmt: skip
    assert len(images["test"]) <= shared
    for split, seen in (("train", one.train), ("test", one.test)):
        values = seen.responses(np.arange(len(voxels)))
        assert values.shape == (len(images[split]), len(voxels))
        for column in (0, len(voxels) // 2, len(voxels) - 1):
            mine = expected[tuple(voxels[column])]
            assert values[:, column] == pytest.approx(
                [np.mean(mine[image]) for image in images[split]], abs=1e-5
            )
            assert seen.repeats.tolist() == [len(mine[image]) for image in images[split]]


def test_images_regions_hemispheres_and_maps(files: Path, prepared: PreparedImages) -> None:
    with h5py.File(files / STIMULI) as file:
        brick = file["imgBrick"][:]
    design = loadmat(files / DESIGN)
    assert prepared.shape == (24, 24, 3)
    assert prepared.splits["test"].count == design["sharedix"].size
    shown = prepared.split("test").images
    coarse = brick[(design["sharedix"][0] - 1).astype(int)].mean(axis=(1, 2))
    assert shown.mean(axis=(1, 2)) == pytest.approx(coarse, abs=3)  # of resizing
    one = of(prepared)["subj02"]
    assert {name: len(voxels) for name, voxels in one.members.items()} == {
        "V1": 120, "FFA": 60, "PPA": 60, "aTL-faces": 30,
    }  # fmt: skip
    assert (one.right == (one.places[:, 0] > 4.5 * 1.8)).all()
    folder = files / f"nsddata/{FUNCTIONAL.format('subj02')}"
    t = nibabel.load(folder / "floc_placestval.nii.gz").get_fdata()
    where = tuple(np.round(one.places / 1.8).astype(int).T)
    assert one.maps["scenes"] == pytest.approx(t[where])


def test_a_missing_session_costs_its_trials_alone(prepared: PreparedImages) -> None:
    facts = prepared.extra["brain"]["participants"]
    assert facts["subj04"]["sessions"] == [1, 2]
    assert facts["subj01"]["sessions"] == [1, 2, 3]
    one = of(prepared)["subj04"]
    total = one.train.repeats.sum() + one.test.repeats.sum()
    assert total == 2 * 60


def test_blocks_of_any_size_give_the_same_bytes(
    files: Path, prepared: PreparedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nsd_betas, "BLOCK", 1)
    nsd.prepare(OPTIONS, files, tmp_path)
    assert PreparedImages.open(tmp_path / "dataset.json").files == prepared.files


def test_a_voxel_that_is_constant_in_a_session_is_left_out(mine: Path, tmp_path: Path) -> None:
    with h5py.File(betas(mine, "subj01", 2), "r+") as file:
        file["betas"][:, 1, 0, 0] = 0
    nsd.prepare(OPTIONS, mine, tmp_path / "out")
    index = PreparedImages.open(tmp_path / "out" / "dataset.json")
    facts = index.extra["brain"]["participants"]
    assert facts["subj01"]["constant_voxels_left_out"] == 1
    assert facts["subj01"]["voxels"]["V1"] == 119
    assert facts["subj02"]["constant_voxels_left_out"] == 0


def test_prepared_by_the_verb_with_a_hash_of_the_users_files(files: Path, tmp_path: Path) -> None:
    spec = DataSpec(
        source="nsd", options={"size": 24, "subjects": [2], "regions": ["V1", "aTL-faces"]}
    )
    index = tmp_path / "prepared" / "dataset.json"
    prepare(spec, files.parent, index)
    (only,) = of(PreparedImages.open(index)).values()
    assert only.name == "subj02"
    assert sorted(only.members) == ["V1", "aTL-faces"]
    before = index.stat().st_mtime_ns
    prepare(spec, files.parent, index)
    assert index.stat().st_mtime_ns == before


def cut(folder: Path) -> None:
    path = betas(folder, "subj02", 3)
    path.write_bytes(path.read_bytes()[:-5000])


def cut_images(folder: Path) -> None:
    path = folder / STIMULI
    path.write_bytes(path.read_bytes()[:100_000])


def cut_mask(folder: Path) -> None:
    path = folder / f"nsddata/{FUNCTIONAL.format('subj02')}/roi/rh.floc-faces.nii.gz"
    path.write_bytes(path.read_bytes()[:60])


def swap_sessions(folder: Path) -> None:
    first, second = betas(folder, "subj02", 1), betas(folder, "subj02", 2)
    other = first.with_name("other")
    first.rename(other)
    second.rename(first)
    other.rename(second)


def another_volume(folder: Path) -> None:
    shutil.copy(betas(folder, "subj01", 1), betas(folder, "subj02", 1))


def another_subject(folder: Path, sessions: tuple[int, ...] = (2,)) -> None:
    """Sessions of subject 3, cut to the volume of subject 2."""
    for session in sessions:
        with (
            h5py.File(betas(folder, "subj03", session)) as theirs,
            h5py.File(betas(folder, "subj02", session), "r+") as ours,
        ):
            ours["betas"][:] = theirs["betas"][:, : ours["betas"].shape[1]]


def whole_other_subject(folder: Path) -> None:
    another_subject(folder, (1, 2, 3))


def another_subject_in_all(folder: Path) -> None:
    """Betas and ncsnr of subject 3: what agrees with itself, but was shown other images."""
    whole_other_subject(folder)
    ncsnr = [folder / BETAS.format(name) / "ncsnr.nii.gz" for name in ("subj02", "subj03")]
    ours, theirs = (nibabel.load(path) for path in ncsnr)
    values = theirs.get_fdata()[:, :, : ours.shape[2]].astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, ours.affine), ncsnr[0])


def shuffle_trials(folder: Path) -> None:
    design = loadmat(folder / DESIGN)
    order = np.random.default_rng(1).permutation(design["masterordering"][0])
    rewrite(folder, masterordering=order[None])


def shuffle_images(folder: Path) -> None:
    with h5py.File(folder / STIMULI, "r+") as file:
        brick = file["imgBrick"][:]
        file["imgBrick"][:] = np.random.default_rng(1).permutation(brick)


def other_shared(folder: Path) -> None:
    rewrite(folder, sharedix=loadmat(folder / DESIGN)["sharedix"] + 1)


def too_few_images(folder: Path) -> None:
    with h5py.File(folder / STIMULI, "r+") as file:
        brick = file["imgBrick"][:100]
        del file["imgBrick"]
        file["imgBrick"] = brick


def no_design(folder: Path) -> None:
    (folder / DESIGN).write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))


def floats(folder: Path) -> None:
    with h5py.File(betas(folder, "subj02", 1), "r+") as file:
        values = file["betas"][:] / 300
        del file["betas"]
        file["betas"] = values


def rewrite(folder: Path, **changes: Any) -> None:
    content = {k: v for k, v in loadmat(folder / DESIGN).items() if not k.startswith("__")}
    savemat(folder / DESIGN, {**content, **changes})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "betas_session03.hdf5: not an HDF5 file that can be read"),
        (cut_images, "nsd_stimuli.hdf5: not an HDF5 file that can be read"),
        (cut_mask, "rh.floc-faces.nii.gz: not a NIfTI volume that can be read"),
        (no_design, "nsd_expdesign.mat: not the design of NSD"),
        (floats, r"betas are float64 .*int16 .* is expected"),
        (too_few_images, "nsd_stimuli.hdf5: 100 images, but nsd_expdesign.mat names"),
        (other_shared, "the first 20 images of subject 1 in subjectim are not those of sharedix"),
        (another_volume, r"betas_session01.hdf5: betas are int16 \(60, 6, 8, 10\).*another subj"),
        (swap_sessions, r"subj02.*repeats of an image"),
        (another_subject, "betas_session02.hdf5: repeats of an image do not agree with those of"),
        (whole_other_subject, r"subj02.*does not follow ncsnr.nii.gz over voxels"),
        (another_subject_in_all, "foretells the early visual cortex of subj02"),
        (shuffle_trials, "subj01.*repeats of an image agree across sessions no more than when"),
        (shuffle_images, "neither luminance nor contrast of its images foretells .* subj01"),
    ],
)
def test_what_is_wrong_is_found(
    mine: Path, tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(mine)
    with pytest.raises(DataError, match=says):
        nsd.prepare(OPTIONS, mine, tmp_path / "out")


def test_absent_files_are_listed_with_where_to_ask_and_to_put_them(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        nsd.local_files(OPTIONS, tmp_path)
    text = str(caught.value)
    for part in (
        "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5",
        "nsddata/experiments/nsd/nsd_expdesign.mat",
        "betas_fithrf_GLMdenoise_RR/betas_session*.hdf5",
        "nsddata/ppdata/subj01/func1pt8mm/roi/lh.floc-faces.nii.gz",
        "https://naturalscenesdataset.org",
        str(tmp_path),
    ):
        assert part in text
    assert "subj02" not in text  # one subject is enough
    assert str(nsd.missing(OPTIONS, tmp_path)).startswith(STIMULI)


def test_a_subject_who_is_not_there_is_left_out_but_not_half_of_one(mine: Path) -> None:
    assert nsd.missing(OPTIONS, mine) is None
    for top in ("nsddata", "nsddata_betas"):
        shutil.rmtree(mine / top / "ppdata" / "subj02")
    assert nsd.missing(OPTIONS, mine) is None
    (mine / BETAS.format("subj04") / "ncsnr.nii.gz").unlink()
    with pytest.raises(DataError, match=r"subj04/func1pt8mm/.*/ncsnr.nii.gz\n"):
        nsd.local_files(OPTIONS, mine)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"regions": ("FFA1",)}, "regions='FFA1': did you mean FFA"),
        ({"regions": ("FFA", "FFA")}, "regions: at least one, each once"),
        ({"subjects": (0,)}, "subjects=0: 1 to 8"),
        ({"size": 4}, "size=4: at least 8"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        nsd.Options(**options)
