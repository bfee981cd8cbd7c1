"""The report: complete, offline, escaped, and its ledger equal to the manifests."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import synthetic
import yaml

from toporepro.plugins import names
from toporepro.provenance import write_sealed
from toporepro.report import claims, ledger, page, tables
from toporepro.report.page import CAPTIONS, caption_html, duration, write_page

ROOT = Path(__file__).parents[3]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
SPEC = {
    "preset": "demo",
    "about": "Small & <quick>.",
    "figures": ["training_curves", "orientation_film", "dimensionality"],
    "config": {"families": {"mlp": {"phi": 4, "label": "τ & <b>"}}},
    "differences": ["snapshots: 1 → 2"],
}


class Reader(HTMLParser):
    """Tags, attributes and text; fails on tags that are not closed in order."""

    EMPTY = ("meta", "link", "img", "source", "br", "hr")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(path.read_text())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [found for tag, found in self.attributes if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def manifest(path: Path, verb: str, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "verb": verb, "wall_seconds": 60.0, "gpu_hours": 0.0, "attempts": 1, "device": "cpu",
        "git_commit": "abc+", "packages": {"torch": "2.13.0"}, "python": "3.11.7",
        "machine": {"host": "h", "system": "Linux", "cores": 2}, "accepted_changes": [],
        "inputs": {}, "outputs": {},
        **more,
    }  # fmt: skip
    write_sealed(path, content)
    return path


def draw(folder: Path, name: str, order: int, suffixes: tuple[str, ...] = ("png", "svg")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        content = SVG.encode() if suffix == "svg" else f"{suffix} of {name}".encode()
        (folder / f"{name}.{suffix}").write_bytes(content)
    note = {
        "name": name, "title": f"Title of {name}", "order": order,
        "facts": ["n = 3 <networks> & more"], "files": [f"{name}.{suffix}" for suffix in suffixes],
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(note))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("judged")
    families = synthetic.demo_families()
    tables.collect(synthetic.write(root, families), root / "tables")
    content = yaml.safe_load((ROOT / "config/paper/claims.yaml").read_text())
    spec = {"preset": "demo", "families": families, **content}
    published = ROOT / "config/paper/figures.csv"
    claims.evaluate(spec, root / "tables", published, root / "claims.csv")
    return root / "claims.csv"


@pytest.fixture
def results(tmp_path: Path, judged: Path) -> Path:
    root = tmp_path / "results"
    draw(root / "figures", "training_curves", 8)
    draw(root / "figures", "orientation_film", 7, ("png", "svg", "gif"))
    draw(root / "figures", "dimensionality", 4)
    (root / "claims.csv").write_bytes(judged.read_bytes())
    return root


def write(results: Path, *manifests: Path, **changes: Any) -> Reader:
    out = results / "report.html"
    write_page({**SPEC, **changes}, results, manifests, out)
    return Reader(out)


def test_claims_come_first_and_complete(results: Path) -> None:
    reader = write(results)
    rows = claims.read_claims(results / "claims.csv")
    sections = [found["id"] for found in reader.of("section")]
    assert sections == ["claims", "figures", "methods", "ledger", "versions"]
    for row in rows:
        assert " ".join(row["sentence"].split()) in reader.text
        assert row["statement"] in reader.text
        assert row["paper"] in reader.text
    pills = [found for found in reader.of("span") if found.get("class", "").startswith("verdict ")]
    assert len(pills) == len(rows)


def test_what_others_wrote_is_text(results: Path) -> None:
    text = (results / "claims.csv").read_text().replace("MLP (digits)", "<script>alert()</script>")
    (results / "claims.csv").write_text(text)
    reader = write(results)
    for words in ("Small & <quick>.", "τ & <b>", "snapshots: 1 → 2", "<script>alert()</script>"):
        assert words in reader.text
    assert reader.of("script") == []


def test_figures_in_the_paper_s_order_with_captions(results: Path) -> None:
    reader = write(results)
    shown = [found["id"] for found in reader.of("figure")]
    assert shown == ["dimensionality", "orientation_film", "training_curves"]
    assert reader.text.count("n = 3 <networks> & more") == 3
    assert "go on from here" in reader.text, "a caption file's words"
    images = reader.of("img")
    assert all(image["alt"] for image in images)
    film = next(image["src"] for image in images if image["src"].startswith("data:image/gif"))
    assert base64.b64decode(film.split(",")[1]) == b"gif of orientation_film"
    (still,) = reader.of("source")
    assert "prefers-reduced-motion" in still["media"]
    assert still["srcset"].startswith("data:image/svg+xml")


def test_no_request_leaves_the_page(results: Path) -> None:
    reader = write(results)
    identities = {found["id"] for _, found in reader.attributes if "id" in found}
    assert not reader.of("script", "iframe", "object", "embed", "base")
    for _, found in reader.attributes:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert found.get(name, "data:").startswith("data:")
        link = found.get("href", "data:")
        beside = link in ("claims.csv", "claims.md", "explorer.html")
        assert beside or link.startswith("data:") or link[1:] in identities, link
    assert re.findall(r"url\(|@import", (results / "report.html").read_text()) == []


def test_a_large_svg_gives_way_to_png(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "LARGEST_SVG", 10)
    monkeypatch.setattr(page, "LARGEST_PAGE", 10)
    assert not any("svg" in image["src"] for image in write(results).of("img"))
    assert "MB; lower `style.dpi`" in capsys.readouterr().err


def test_a_page_without_figures(results: Path) -> None:
    assert "No figures were drawn." in write(results, figures=[]).text


def test_what_is_missing_is_named(results: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"smoothness_vs_tau\.json"):
        write(results, figures=["smoothness_vs_tau"])
    draw(results / "figures", "odd", 9, ("pdf",))
    with pytest.raises(ValueError, match=r"odd: its files are odd\.pdf; a PNG is needed"):
        write(results, figures=["odd"])
    broken = results / "x.manifest.json"
    broken.write_text("{")
    with pytest.raises(ValueError, match=r"x\.manifest\.json: its checksum does not hold"):
        write(results, broken)
    (results / "claims.csv").unlink()
    with pytest.raises(tables.TableError, match=r"claims\.csv"):
        write(results)
    assert not (results / "report.html").exists()


def test_the_ledger_adds_up(results: Path, tmp_path: Path) -> None:
    models = results / "models"
    read = [
        manifest(tmp_path / "data/digits-1/dataset.manifest.json", "prepare", wall_seconds=7.0),
        manifest(models / "mlp/tau=0.5/seed=0/weights.manifest.json", "train", gpu_hours=0.25),
        manifest(
            models / "mlp/tau=0.5/seed=1/weights.manifest.json", "train", gpu_hours=0.5,
            attempts=2, device="cuda: H200", packages={"torch": "2.12.0"},
        ),
        manifest(models / "mlp/tau=0.5/seed=1/measures.manifest.json", "measure"),
        manifest(models / "ext/tau=0/seed=0/weights.manifest.json", "convert"),
        manifest(
            results / "tables/measures.manifest.json", "tables",
            accepted_changes=[{"module": "toporepro.spec", "reason": "a comment"}],
        ),
        manifest(results / "figures/training_curves.manifest.json", "figure", git_commit=None),
        manifest(
            results / "claims.manifest.json", "claims", energy_kwh=0.25, energy_source="a meter",
        ),
    ]  # fmt: skip
    for path, text in (
        ("train_model/mlp_tau=0.5_seed=0.tsv", "s\tmax_rss\n1\t100.5\n2\t250.0\n"),
        ("train_model/mlp_tau=0.5_seed=1.tsv", "s\tmax_rss\n1\t-\n"),
        ("figures/training_curves.tsv", "s\tmax_rss\n1\t99\n"),
    ):
        bench = results / "benchmarks" / path
        bench.parent.mkdir(parents=True, exist_ok=True)
        bench.write_text(text)
    jobs = ledger.entries(ledger.read_manifests(read), results / "benchmarks")
    assert [(job.rule, job.subject, job.peak_mb) for job in jobs] == [
        ("prepare_data", "digits-1", None),
        ("train_model", "mlp, τ = 0.5, seed 0", 250.0),
        ("train_model", "mlp, τ = 0.5, seed 1", None),
        ("measure_model", "mlp, τ = 0.5, seed 1", None),
        ("convert_checkpoint", "ext, τ = 0, seed 0", None),
        ("collect_tables", "collect_tables", None),
        ("figures", "training_curves", 99.0),
        ("judge_claims", "judge_claims", None),
    ]
    train = ledger.totals(jobs)[1]
    assert (train.subject, train.wall_seconds, train.gpu_hours) == ("2", 120.0, 0.75)
    assert (train.attempts, train.peak_mb, train.device) == (3, 250.0, "cpu, cuda: H200")
    assert (train.energy_kwh, ledger.energy(jobs)) == (None, 0.25)
    text = write(results, *read).text
    for words in (
        "train_model 2 2 min 0 s 0.75 250 MB –",
        "judge_claims 1 1 min 0 s 0.00 – 0.250 kWh",
        "all 8 7 min 7 s 0.75 0.250 kWh",
        "a meter (1); not asked of jobs that neither train nor measure (7).",
        "torch 2.12.0 and 2.13.0",
        "Linux, 2 cores, cpu; Linux, 2 cores, cuda: H200",
        "abc+, outside git",
        "toporepro.spec: a comment",
    ):
        assert words in text


def test_energy_that_nobody_measured_is_said_so(results: Path, tmp_path: Path) -> None:
    why = "not measurable: no RAPL counter in /sys/class/powercap"
    one = manifest(
        results / "models/mlp/tau=0/seed=0/weights.manifest.json", "train", energy_source=why
    )
    reader = write(results, one)
    assert "Energy: not measured. " in reader.text
    assert f"{why} (1)." in reader.text
    assert "kWh" not in reader.text


def test_methods_name_the_measures_and_the_rules(results: Path, tmp_path: Path) -> None:
    one = manifest(tmp_path / "data/digits-1/dataset.manifest.json", "prepare")
    reader = write(results, one, config={"measures": {"accuracy": {}, "smoothness": {}}})
    assert "accuracy Accuracy and loss of a classifier." in reader.text
    assert "prepare_data starts; write_report reads from prepare_data." in reader.text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (59.2, "59.2 s"),
        (75.2, "1 min 15 s"),
        (3600, "1 h 0 min"),
        (9e3, "2 h 30 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("name", [*names("figures"), "claims"])
def test_captions_stand_for_every_figure_and_the_claims(name: str) -> None:
    html = caption_html(CAPTIONS / f"{name}.rst")
    assert "<strong>" in html
    assert "problematic" not in html
    assert "system-message" not in html


def test_captions_bring_no_html_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "bad.rst").write_text(
        "Text <script>x</script>\n\n.. raw:: html\n\n   <script>y</script>\n\n"
        ".. include:: /etc/hostname\n"
    )
    assert "<script>" not in caption_html(tmp_path / "bad.rst")
    assert caption_html(tmp_path / "none.rst") == ""


def test_contrast_of_text_and_ground() -> None:
    """Every pair of colours that text uses has a contrast of at least 4.5 : 1 (WCAG AA)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    template = page.TEMPLATE.read_text()
    pairs = re.findall(r"color: (#[0-9a-f]{6}); background: (#[0-9a-f]{6})", template)
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", template))
    grounds = ("#ffffff", named["ground"])
    pairs += [(named[ink], ground) for ink in ("ink", "soft", "link") for ground in grounds]
    assert len(pairs) >= 10
    for ink, ground in pairs:
        high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_what_was_planned_stands_beside_what_was_taken(results: Path) -> None:
    models = results / "models"
    made = [
        manifest(models / f"mlp/tau={tau}/seed=0/weights.manifest.json", "train", wall_seconds=90.0)
        for tau in ("0", "3")
    ]
    plan = [
        {"rule": "train_model", "family": "mlp", "hours": 0.1, "source": "1 GFLOP/s & more"},
        {"rule": "train_model", "family": "resnet18", "hours": 9.0, "source": "has not run"},
        {"rule": "measure_model", "family": "mlp", "hours": 9.0, "source": "has not run"},
    ]
    out = results / "report.html"
    write_page(SPEC, results, made, out, plan=plan)
    text = Reader(out).text
    assert "train_model mlp 2 6 min 0 s 3 min 0 s 0.50 1 GFLOP/s & more" in text
    assert "has not run" not in text
    write_page(SPEC, results, made, out, plan=[{**plan[0], "hours": None}])
    assert "train_model mlp 2 – 3 min 0 s – 1 GFLOP/s & more" in Reader(out).text
    assert "Planned and taken" not in write(results, *made).text
