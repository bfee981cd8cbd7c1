"""A run's results from DVC and git back to a fresh clone: the whole story, on the tiny preset."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Copy, job_counts

pytestmark = pytest.mark.e2e
WEIGHTS = "models/mlp/tau=3/seed=0/weights.safetensors"


@pytest.fixture(scope="module")
def origin(finished: Copy, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A finished run, tracked, committed and pushed to a folder beside its repository."""
    root = tmp_path_factory.mktemp("versions") / "origin"
    shutil.copytree(finished.root, root, symlinks=True)
    copy = Copy(root)
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        copy.run("git", "config", key, value)
    copy.run("dvc", "remote", "modify", "store", "url", "../store")
    copy.run("git", "commit", "-qam", "a store")
    (copy.root / "unrelated.txt").write_text("not for the commit")
    copy.run("git", "add", "unrelated.txt")
    copy.first_output = copy.ops("track", "--preset", copy.preset, "--commit", "--push")
    return copy


def clone_of(origin: Copy, name: str) -> Copy:
    root = origin.root.parent / name
    subprocess.run(["git", "clone", "-q", str(origin.root), str(root)], check=True)
    copy = Copy(root)
    for key, value in (("user.name", "test"), ("user.email", "test@example.org")):
        copy.run("git", "config", key, value)
    return copy


@pytest.fixture(scope="module")
def restored(origin: Copy) -> Copy:
    copy = clone_of(origin, "restored")
    copy.first_output = copy.ops("reproduce", "--restore", "--preset", copy.preset)
    return copy


def tables(copy: Copy) -> dict[str, bytes]:
    found = [*(copy.results / "tables").glob("*.csv"), copy.results / "claims.csv"]
    return {path.name: path.read_bytes() for path in sorted(found)}


def override(**changes: object) -> str:
    return f"overrides={json.dumps({'tiny': changes})}"


def test_track_commits_its_own_files_alone_and_tells_what_they_weigh(origin: Copy) -> None:
    committed = origin.run("git", "show", "--name-only", "--format=", "HEAD").split()
    assert all(name.startswith("results/tiny/") for name in committed)
    assert f"results/tiny/{WEIGHTS}.dvc" in committed
    assert "results/tiny/record/index.json" in committed
    assert "unrelated.txt" in origin.run("git", "diff", "--cached", "--name-only")
    assert "mlp tau=3" in origin.first_output
    assert origin.jobs() == {}, "Snakemake sees no difference"
    metrics = json.loads((origin.results / "record/metrics.json").read_text())
    with (origin.results / "tables/measures.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if (r["family"], r["tau"], r["metric"])
                == ("mlp", "3", "accuracy")]  # fmt: skip
    last = max(rows, key=lambda row: int(row["step"]))
    assert metrics["mlp"]["tau=3"]["seed=0"]["accuracy test"] == float(last["value"])


def test_dvc_shows_metrics_and_parameters(origin: Copy) -> None:
    shown = origin.run("dvc", "metrics", "show")
    assert "claims.not comparable" in shown
    assert "networks.mlp.tau=3.seed=0.accuracy test" in shown
    assert "morans_i" not in shown, "headlines alone"
    assert "mlp" in origin.run("dvc", "params", "diff", "--all", "HEAD~1", "HEAD")
    origin.run("dvc", "status", "results/tiny/record/dvc.yaml")


def test_dvc_plots_a_panel_per_family(origin: Copy, tmp_path: Path) -> None:
    origin.run("dvc", "plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    _, _, content = page.partition("var spec = ")
    spec, _ = json.JSONDecoder().raw_decode(content)
    assert spec["facet"]["field"] == "family"
    assert spec["spec"]["encoding"]["color"]["field"] == "tau"
    assert "<DVC_METRIC" not in page
    rows = spec["data"]["values"]
    assert {row["family"] for row in rows} >= {"mlp", "resnet18", "nanogpt"}
    assert {"step", "loss", "seed", "rev"} <= rows[0].keys()


def test_a_restored_clone_has_nothing_left_to_do(origin: Copy, restored: Copy) -> None:
    assert "restored or right already" in restored.first_output
    assert "rule train_model" not in restored.first_output
    assert restored.jobs() == {}
    assert tables(restored) == tables(origin)
    assert not list((restored.root / "data").rglob("*.npy")), "no data were prepared"
    assert (restored.results / "report.html").stat().st_size > 100
    assert "what their manifests and this code say" in restored.ops(
        "verify", "--preset", restored.preset
    )


def test_one_figure_comes_with_what_it_is_drawn_from_alone(origin: Copy) -> None:
    copy = clone_of(origin, "figure")
    output = copy.ops("restore", "--preset", copy.preset, "--figure", "orientation_maps")
    figure = "figures/orientation_maps.png"
    assert (copy.results / figure).read_bytes() == (origin.results / figure).read_bytes()
    assert [path.name for path in (copy.results / "figures").glob("*.png")] == [Path(figure).name]
    assert (copy.results / "models/mlp/tau=3/seed=0/units.parquet").exists()
    assert "not restored" not in output


def test_tables_and_claims_made_anew_from_restored_networks_are_the_same_bytes(
    origin: Copy, restored: Copy
) -> None:
    before = tables(restored)
    for path in [*(restored.results / "tables").glob("*"), *restored.results.glob("claims.*")]:
        path.unlink()
    preset, target = f"preset={restored.preset}", restored.results / "claims.csv"
    output = restored.snakemake("--config", preset, "--", str(target.relative_to(restored.root)))
    assert job_counts(output).keys() == {"collect_tables", "judge_claims"}
    assert tables(restored) == before == tables(origin)


def test_a_changed_recipe_trains_again_though_no_data_are_there(restored: Copy) -> None:
    counts = restored.jobs(override(families={"mlp": {"recipe": {"lr": 0.002}}}))
    # Two networks and the control that is like them, which prepare the digits again themselves.
    assert counts["train_model"] == 3


def test_a_new_tau_trains_one_network_and_compare_shows_just_that(
    restored: Copy, tmp_path: Path
) -> None:
    before = restored.run("git", "rev-parse", "HEAD").strip()
    config = restored.root / "config/config.yaml"
    text = config.read_text()
    config.write_text(text.replace("overrides:\n", (
        "overrides:\n  tiny: {families: {mlp: {taus: [0, 3, 5]}, "
        "mlp_topoloss_only: {taus: [3]}}}\n"), 1))  # fmt: skip
    counts = job_counts(restored.reproduce())
    assert (counts["train_model"], counts["measure_model"]) == (1, 1)
    assert list((restored.root / "data").rglob("train_images.npy")), "prepared again for it"
    assert restored.jobs() == {}
    restored.ops("track", "--preset", restored.preset, "--commit")
    page = tmp_path / "compare.html"
    output = restored.ops("compare", before, "--preset", restored.preset, "--out", str(page))
    changed = [line.split(":")[0].strip() for line in output.splitlines() if " → " in line]
    networks = {line.split(".seed")[0] for line in changed if ".seed=" in line}
    assert networks == {"mlp.tau=5"}
    assert "families.mlp.taus" in output
    assert page.read_text().count("<img") > 4
    config.write_text(text)


def test_a_flipped_byte_in_the_remote_is_refused_and_named(origin: Copy) -> None:
    pointer = (origin.results / f"{WEIGHTS}.dvc").read_text()
    digest = pointer.split("md5: ")[1].split()[0]
    stored = origin.root.parent / "store" / "files" / "md5" / digest[:2] / digest[2:]
    whole = stored.read_bytes()
    os.chmod(stored, 0o644)  # noqa: PTH101
    stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    copy = clone_of(origin, "flipped")
    output = copy.ops("restore", "--preset", copy.preset, "--family", "mlp", status=None)
    stored.write_bytes(whole)
    assert "not restored: network mlp τ=3 seed=0" in output
    assert "weights.safetensors" in output
    assert not (copy.results / WEIGHTS).exists()
    assert (copy.results / WEIGHTS.replace("tau=3", "tau=0")).exists(), "the others came"


def test_verify_names_what_is_stale_missing_and_tampered_with(origin: Copy) -> None:
    table = origin.results / "models/mlp/tau=3/seed=0/measures.csv"
    whole = table.read_bytes()
    table.write_bytes(whole.replace(b",accuracy,0", b",accuracy,1", 1))
    missing = origin.results / "models/mlp/tau=0/seed=0/units.parquet"
    kept = missing.read_bytes()
    missing.unlink()
    try:
        output = origin.ops("verify", "--preset", origin.preset, status=1)
    finally:
        table.write_bytes(whole)
        missing.write_bytes(kept)
    assert "tampered  measures of mlp τ=3 seed=0" in output
    assert "missing   measures of mlp τ=0 seed=0" in output
    assert "stale     tables" in output
    origin.ops("verify", "--preset", origin.preset)


def test_track_refuses_an_incomplete_run_and_lists_what_is_missing(origin: Copy) -> None:
    path = origin.results / "figures/dimensionality.png"
    content = path.read_bytes()
    path.unlink()
    output = origin.ops("track", "--preset", origin.preset, status=1)
    path.write_bytes(content)
    assert "missing: figure dimensionality: results/tiny/figures/dimensionality.png" in output
    assert "make reproduce" in output


def test_gc_lists_first_and_keeps_what_commits_refer_to(origin: Copy) -> None:
    stray = origin.root / "stray.bin"
    stray.write_bytes(b"no commit knows me")
    origin.run("dvc", "add", "-q", "stray.bin")
    digest = Path(f"{stray}.dvc").read_text().split("md5: ")[1].split()[0]
    Path(f"{stray}.dvc").unlink()
    cached = origin.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    assert cached.exists()
    assert "nothing was deleted" in origin.ops("gc")
    assert cached.exists()
    origin.ops("gc", "--delete")
    assert not cached.exists()
    assert list((origin.root / ".dvc/cache").rglob("*"))
