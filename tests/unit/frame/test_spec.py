import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toporepro.spec import (
    DataSpec,
    MeasureSpec,
    Recipe,
    Schedule,
    SpecError,
    TopoSpec,
    TrainSpec,
    canonical_tau,
    decode,
    encode,
    flatten,
    nearest,
)

RECIPE = Recipe(optimizer="adam", lr=0.001, batch=64, epochs=10.0)
TRAIN = TrainSpec(
    architecture="mlp",
    model={"hidden": 256},
    data=DataSpec(source="digits", options={"seed": 0}),
    topo=TopoSpec(tau=3.0, phi=4.0, layers=("fc1",)),
    recipe=RECIPE,
    seed=0,
)


@pytest.mark.parametrize(
    ("given_as", "canonical"),
    [
        (0, "0"),
        (0.0, "0"),
        ("-0", "0"),
        ("0.50", "0.5"),
        (50.0, "50"),
        ("1e1", "10"),
        (1e-7, "0.0000001"),
    ],
)
def test_tau_has_one_spelling(given_as: object, canonical: str) -> None:
    assert canonical_tau(given_as) == canonical


@given(st.just(0.0) | st.floats(min_value=1e-9, max_value=1e9))
def test_canonical_tau_is_the_same_number_and_a_fixed_point(tau: float) -> None:
    text = canonical_tau(tau)
    assert float(text) == tau
    assert canonical_tau(text) == text


@pytest.mark.parametrize("tau", [-1, math.nan, math.inf, 1e300, 1e-300, "a", True, None, ""])
def test_what_is_no_tau(tau: object) -> None:
    with pytest.raises(SpecError, match="tau="):
        canonical_tau(tau)


def test_decode_inverts_encode() -> None:
    assert decode(TrainSpec, encode(TRAIN)) == TRAIN
    spec = MeasureSpec(
        preset="demo", family="mlp", tau="0.5", seed=1, threads=1, measures={"accuracy": {}}
    )
    assert decode(MeasureSpec, encode(spec)) == spec


def test_equal_specs_give_equal_text_whatever_the_order() -> None:
    plain = json.loads(encode(TRAIN))
    backwards = dict(reversed(plain.items()))
    assert encode(decode(TrainSpec, backwards)) == encode(TRAIN)
    whole = {**plain, "recipe": {**plain["recipe"], "epochs": 10}}
    assert encode(decode(TrainSpec, whole)) == encode(TRAIN)


def test_decode_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(encode(TRAIN))
    assert decode(TrainSpec, path) == decode(TrainSpec, str(path)) == TRAIN
    with pytest.raises(SpecError, match=r"missing\.json"):
        decode(TrainSpec, tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, r"TrainSpec\.sed: unknown key; did you mean seed\?"),
        ({"seed": "0"}, r"TrainSpec\.seed='0': int is needed"),
        ({"seed": True}, r"TrainSpec\.seed=True: int"),
        ({"control": "none at all"}, r"TrainSpec\.control='none at all': one of 'none'"),
        ({"topo": {"tau": -1, "phi": 3}}, r"TrainSpec\.topo: tau="),
        ({"topo": {"tau": 1, "phi": 0.5}}, r"phi=0\.5: at least 1"),
        ({"topo": {"tau": 1, "phi": 2, "layers": "fc1"}}, "layers='fc1': a list is needed"),
        ({"data": []}, r"TrainSpec\.data=\[\]: a mapping"),
        ({"recipe": {"optimizer": "sgd", "epochs": 1.0, "batch": 3}}, r"recipe\.lr: missing"),
        ({"recipe": {"optimizer": "sgd", "lr": 1.0, "batch": 3}}, "epochs=0.0, steps=0: one of"),
    ],
)
def test_a_wrong_spec_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        decode(TrainSpec, {**json.loads(encode(TRAIN)), **change})


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0},
        {"lr": math.nan},
        {"epochs": 0},
        {"steps": 3},
        {"steps": -1},
        {"batch": 0},
        {"batch": 10, "accumulate": 3},
        {"threads": 0},
        {"snapshots": 0},
        {"shift": -1},
        {"label_smoothing": 1.0},
        {"weight_decay": -0.1},
        {"clip": 0},
    ],
)
def test_a_recipe_that_cannot_be(change: dict[str, float]) -> None:
    with pytest.raises(SpecError, match=next(iter(change))):
        dataclasses.replace(RECIPE, **change)  # type: ignore[arg-type]


def test_a_schedule_that_cannot_be() -> None:
    with pytest.raises(SpecError, match="warmup_epochs"):
        Schedule(warmup_epochs=-1)
    with pytest.raises(SpecError, match="warmup_steps=-1: at least 0"):
        Schedule(warmup_steps=-1)
    with pytest.raises(SpecError, match="not both"):
        Schedule(warmup_epochs=1, warmup_steps=1)


def test_text_that_is_no_json() -> None:
    with pytest.raises(SpecError, match="not valid JSON"):
        decode(TrainSpec, "{")


def test_flatten_names_every_leaf() -> None:
    assert dict(flatten({"a": {"b": 1, "c": {}}, "d": [1, 2]})) == {
        "a.b": "1",
        "a.c": "{}",
        "d": "[1,2]",
    }


def test_nearest_lists_all_when_nothing_is_close() -> None:
    assert nearest("lerning_rate", ["learning_rate", "x"]) == "did you mean learning_rate?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
