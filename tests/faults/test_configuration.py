"""Presets and overrides that cannot be: never a traceback, always the key and what is allowed."""

from __future__ import annotations

import contextlib
import copy
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.conftest import Injected
from toporepro.config import ConfigError, resolve

ROOT = Path(__file__).parents[2]
TINY = "tests/presets/tiny.yaml"
PRESET = yaml.safe_load((ROOT / TINY).read_text())
EXAMPLES = 150


def tiny(changes: dict[str, Any]) -> Any:
    return resolve({"preset": TINY, "overrides": {"tiny": changes}}, ROOT)


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The place of every value in a preset, containers included."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += leaves(item, (*path, str(key)))
    return found


PLACES = leaves(PRESET)
ODD = ["$(touch pwned)", "`touch pwned`", "; touch pwned", "a b'c\"d", "../../x", "τ²", "1.0", "-0"]
ODD += ["1e999", "nan", "", "\x00", "\ud7ff", "{wildcard}", "{input}"]
MEAN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**30), max_value=10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=12),
    st.sampled_from(ODD),
    st.lists(st.one_of(st.integers(-3, 3), st.text(max_size=3), st.none()), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(-3, 3), max_size=3),
)  # fmt: skip


def at(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    changes: Any = value
    for key in reversed(path):
        changes = {key: changes}
    result: dict[str, Any] = changes
    return result


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(path=st.sampled_from(PLACES), value=MEAN)
def check_any_value_anywhere(path: tuple[str, ...], value: Any) -> None:
    try:
        resolved = tiny(at(path, value))
    except ConfigError as error:
        message = str(error)
        assert message.strip()
        # The key at fault is named; where a value makes two keys clash, it may be the other one.
        assert path[0] in message or path[-1] in message, message
        return
    for model in resolved.models:
        assert 0 <= float(model.tau) < math.inf


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(path=st.sampled_from([(), *PLACES]), key=st.text(min_size=1, max_size=8), value=MEAN)
def check_any_unknown_key(path: tuple[str, ...], key: str, value: Any) -> None:
    with contextlib.suppress(ConfigError):
        tiny(at((*path, key), value))


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(value=st.recursive(MEAN, lambda inner: st.dictionaries(
    st.sampled_from(["preset", "overrides", "machine", "tiny", "families", "mlp", "x"]), inner,
    max_size=3), max_leaves=6))  # fmt: skip
def check_any_users_config(value: Any) -> None:
    with contextlib.suppress(ConfigError):
        resolve(value if isinstance(value, dict) else {"preset": value}, ROOT)


@pytest.mark.parametrize(
    "check", [check_any_value_anywhere, check_any_unknown_key, check_any_users_config],
    ids=lambda check: check.__name__,
)  # fmt: skip
def test_whatever_a_configuration_says(check: Any, injected: Injected) -> None:
    check()
    what = check.__name__.removeprefix("check_").replace("_", " ")
    injected(f"configuration: {what}", "config", EXAMPLES, "valid, or one error naming the key")
    assert not list(ROOT.glob("**/pwned"))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "τ negative": ({"mlp": {"taus": [-1]}}, "taus"),
    "τ not a number": ({"mlp": {"taus": [math.nan]}}, "taus"),
    "τ infinite": ({"mlp": {"taus": ["inf"]}}, "taus"),
    "τ spelt twice": ({"mlp": {"taus": ["1.0", 1]}}, "taus: 1 stands there twice"),
    "τ huge": ({"mlp": {"taus": [1e999]}}, "taus"),
    "τ beyond single precision": ({"mlp": {"taus": [1e300]}}, "from 1e-9 to 1e+9"),
    "τ next to nothing": ({"mlp": {"taus": [1e-300]}}, "from 1e-9 to 1e+9"),
    "τ beyond numbers": ({"mlp": {"taus": ["1e999"]}}, "taus"),
    "τ in words": ({"mlp": {"taus": ["drei"]}}, "taus"),
    "no τ": ({"mlp": {"taus": []}}, "taus"),
    "a seed twice": ({"mlp": {"seeds": [0, 0]}}, "seeds: 0 stands there twice"),
    "a seed below 0": ({"mlp": {"seeds": [-1]}}, "seeds"),
    "no seed": ({"mlp": {"seeds": []}}, "seeds"),
    "a layer that does not exist": ({"mlp": {"layers": ["fc9"]}}, "layers: 'fc9'"),
    "φ above the sheet": ({"mlp": {"phi": 99}}, "phi=99: layer fc1"),
    "φ below 1": ({"mlp": {"phi": 0}}, "phi"),
    "no layer": ({"mlp": {"layers": []}}, "layers"),
    "no measure": ({"mlp": {"measures": []}}, "measures"),
    "no batch": ({"mlp": {"recipe": {"batch": 0}}}, "batch"),
    "no context": ({"nanogpt": {"model": {"context": 0}}}, "context"),
    "no width": ({"resnet18": {"model": {"width": 0}}}, "width"),
    "a rate that is no number": ({"mlp": {"recipe": {"lr": math.nan}}}, "lr"),
    "a measure that does not exist": ({"mlp": {"measures": ["beauty"]}}, "beauty"),
    "a data set that does not exist": ({"mlp": {"data": "nodigits"}}, "nodigits"),
    "a family in Greek": ({"λ": {"like": "mlp"}}, "families.λ"),
    "no epochs": ({"mlp": {"recipe": {"epochs": 0}}}, "epochs"),
    "no hidden units": ({"mlp": {"model": {"hidden": 0}}}, "hidden"),
    "a misspelt key": ({"mlp": {"recipe": {"epoch": 3}}}, "did you mean epochs"),
    "an unknown architecture": ({"mlp": {"architecture": "resnet19"}}, "did you mean resnet1"),
    "a family's name for a path": ({"../x": {"like": "mlp"}}, "families.../x"),
    "a family in a shell": ({"$(id)": {"like": "mlp"}}, "families.$(id)"),
    "a circle of `like`": ({"a": {"like": "b"}, "b": {"like": "a"}}, "like"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_what_is_allowed(name: str, injected: Injected) -> None:
    families, expected = WRONG[name]
    before = copy.deepcopy(families)
    with pytest.raises(ConfigError) as error:
        tiny({"families": families})
    assert expected in str(error.value)
    assert families == before
    injected(f"configuration: {name}", "config", 1, "refused, the key named")
