"""The rule graph, from manifests to arcs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporepro.report.rulegraph import draw, edges, layers

SVG = "{http://www.w3.org/2000/svg}"


def made(verb: str, inputs: tuple[str, ...], *outputs: str) -> dict[str, Any]:
    return {"verb": verb, "inputs": dict.fromkeys(inputs, "x"), "outputs": dict.fromkeys(outputs)}


MODEL = "results/p/models/mlp/tau=0/seed=0"
MANIFESTS = {
    Path("data/prepared/d/dataset.manifest.json"): made("prepare", ("raw.gz",), "dataset.json"),
    Path(f"{MODEL}/weights.manifest.json"): made(
        "train", ("data/prepared/d/dataset.json",), "weights.safetensors", "00.safetensors"
    ),
    Path(f"{MODEL}/measures.manifest.json"): made(
        "measure", (f"{MODEL}/snapshots/00.safetensors",), "measures.csv", "units.parquet"
    ),
    Path("results/p/figures/weight_sheets.manifest.json"): made(
        "figure", (f"{MODEL}/units.parquet", "results/p/elsewhere.csv"), "weight_sheets.png"
    ),
}


def test_edges_lead_from_the_maker_of_a_file_to_its_readers() -> None:
    assert edges(MANIFESTS) == {
        ("prepare_data", "train_model"),
        ("train_model", "measure_model"),
        ("measure_model", "figures"),
    }


def test_a_verb_that_no_rule_runs_is_named() -> None:
    with pytest.raises(ValueError, match="made by 'dance', which no rule runs"):
        edges({Path("a.manifest.json"): made("dance", ())})


@given(order=st.permutations("abcdef"), seed=st.integers(0, 99))
def test_makers_stand_above_readers(order: list[str], seed: int) -> None:
    choose = random.Random(seed)
    found = frozenset(
        (a, b) for i, a in enumerate("abcdef") for b in "abcdef"[i + 1 :] if choose.random() < 0.4
    )
    place = {rule: number for number, rule in enumerate(layers(list(order), found))}
    assert sorted(place) == list("abcdef")
    assert all(place[a] < place[b] for a, b in found)


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        layers(["a", "b"], frozenset({("a", "b"), ("b", "a")}))


def test_the_drawing_holds_every_rule_and_every_arc_and_says_so_in_words() -> None:
    jobs = {"prepare_data": 1, "train_model": 2, "measure_model": 2, "a<b": 1}
    found = frozenset(
        {("prepare_data", "train_model"), ("train_model", "measure_model"),
         ("prepare_data", "measure_model"), ("measure_model", "a<b")}
    )  # fmt: skip
    text = draw(jobs, found)
    root = ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words == [
        "prepare_data", "1 job", "train_model", "2 jobs", "measure_model", "2 jobs", "a<b", "1 job",
    ]  # fmt: skip
    assert len(root.findall(f"{SVG}path")) == len(found)
    (description,) = root.iter(f"{SVG}desc")
    assert description.text == (
        "prepare_data starts; train_model reads from prepare_data; "
        "measure_model reads from prepare_data, train_model; a<b reads from measure_model."
    )
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for box in root.iter(f"{SVG}rect"):
        assert float(box.attrib["x"]) + float(box.attrib["width"]) <= width
        assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height
