import copy
import importlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from toporepro.config import ConfigError, resolve, schema, tracked
from toporepro.report.selection import families
from toporepro.spec import encode

ROOT = Path(__file__).parents[3]
PRESETS = sorted(
    [*(ROOT / "config/presets").glob("*.yaml"), *(ROOT / "tests/presets").glob("*.yaml")]
)
TINY = "tests/presets/tiny.yaml"


def tiny(**changes: Any) -> Any:
    return resolve({"preset": TINY, "overrides": {"tiny": changes}}, ROOT)


def mlp(**changes: Any) -> Any:
    return tiny(families={"mlp": changes})


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_resolves_and_fits_the_schema(path: Path) -> None:
    resolved = resolve({"preset": str(path.relative_to(ROOT))}, ROOT)
    assert resolved.models
    jsonschema.validate(yaml.safe_load(path.read_text()), relaxed(schema()["preset"]))


def relaxed(content: dict[str, Any]) -> dict[str, Any]:
    """In a file, a family that says `like` leaves out what it inherits."""
    content = copy.deepcopy(content)
    content["$defs"]["Family"]["required"] = []
    return content


def test_the_users_config_fits_the_schema() -> None:
    content = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    jsonschema.validate(content, schema()["config"])
    assert resolve(content, ROOT).differences == ()


def test_models_are_families_times_tau_times_seeds() -> None:
    resolved = mlp(taus=[0, "0.50", 3], seeds=[0, 4])
    mine = [(m.tau, m.seed) for m in resolved.models if m.family == "mlp"]
    assert mine == [("0", 0), ("0", 4), ("0.5", 0), ("0.5", 4), ("3", 0), ("3", 4)]
    assert resolved.model("mlp", "0.5", "4").train.topo.tau == 0.5


def test_overrides_merge_mappings_replace_lists_and_are_reported() -> None:
    resolved = mlp(recipe={"lr": 0.5}, taus=[1])
    spec = resolved.model("mlp", "1", 0).train
    assert (spec.recipe.lr, spec.recipe.batch) == (0.5, 64)
    assert "families.mlp.recipe.lr: 0.001 → 0.5" in resolved.differences
    assert "families.mlp.taus: [0,3] → [1]" in resolved.differences


def test_an_override_of_one_preset_leaves_another_alone() -> None:
    config = {"preset": TINY, "overrides": {"demo": {"families": {"mlp": {"taus": [7]}}}}}
    assert resolve(config, ROOT).differences == ()


def test_like_inherits_and_differs() -> None:
    control = tiny().model("mlp_topoloss_only", "3", 0).train
    base = tiny().model("mlp", "3", 0).train
    assert (control.control, base.control) == ("topoloss_only", "none")
    assert control.recipe == base.recipe
    described = tiny().families(["mlp_topoloss_only"])["mlp_topoloss_only"]
    assert described["control_of"] == "mlp"


def test_families_are_shown_in_the_order_of_the_preset() -> None:
    names = ["resnet18", "nanogpt", "mlp"]
    spec = {"families": tiny().families(names)}
    assert list(families(json.loads(encode(spec)))) == names
    drawn = json.loads(encode(tiny().figure_spec("smoothness_vs_tau")))
    assert tuple(families(drawn)) == tiny().shown("smoothness_vs_tau")


def test_numbers_may_come_as_text() -> None:
    assert mlp(recipe={"batch": "64"}).differences == ()
    assert "families.mlp.recipe.lr: 0.001 → 0.5" in mlp(recipe={"lr": "0.5"}).differences
    spec = mlp(recipe={"lr": "0.25", "epochs": "3"}, phi="2").model("mlp", "0", 0).train
    assert (spec.recipe.lr, spec.recipe.epochs, spec.topo.phi) == (0.25, 3.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snapshot": 1}, r"snapshot: unknown key; did you mean snapshots\?"),
        ({"families": {"mlp": {"phy": 2}}}, r"families\.mlp\.phy: unknown key; did you mean phi"),
        (
            {"families": {"mlp": {"recipe": {"lrr": 1}}}},
            r"families\.mlp\.recipe\.lrr: unknown key; did you mean lr\?",
        ),
        (
            {"families": {"mlp": {"recipe": {"lr_schedule": {"knd": 1}}}}},
            r"families\.mlp\.recipe\.lr_schedule\.knd: unknown key; did you mean kind",
        ),
        (
            {"families": {"mlp": {"model": {"hiden": 1}}}},
            r"families\.mlp\.model\.hiden: unknown key; did you mean hidden\?",
        ),
        (
            {"data": {"world_a": {"options": {"wrld": "A"}}}},
            r"data\.world_a\.options\.wrld: unknown key; did you mean world\?",
        ),
        ({"measures": {"smoothness": {"bin": 3}}}, r"measures\.smoothness\.bin: unknown key"),
        ({"measures": {"smothness": {}}}, r"measures\.smothness='smothness': .*smoothness"),
        ({"data": {"digits": {"source": "digitz"}}}, r"data\.digits\.source='digitz': .*digits"),
        (
            {"families": {"mlp": {"architecture": "mpl"}}},
            r"families\.mlp\.architecture='mpl': .*mlp",
        ),
        (
            {"measures": {"loss": {}}, "families": {"mlp": {"measures": ["loss"]}}},
            r"families\.mlp\.measures: 'loss': .*task is language",
        ),
        ({"families": {"mlp": {"data": "digit"}}}, r"families\.mlp\.data='digit': .*digits"),
        ({"families": {"mlp": {"measures": ["accurcy"]}}}, r"families\.mlp\.measures: 'accurcy'"),
        ({"families": {"mlp": {"taus": [-1]}}}, r"families\.mlp\.taus: tau=.*at least 0"),
        ({"families": {"mlp": {"taus": ["nan"]}}}, r"families\.mlp\.taus: tau=.*finite"),
        ({"families": {"mlp": {"taus": [1, "1.0"]}}}, r"families\.mlp\.taus: 1 stands there twice"),
        ({"families": {"mlp": {"taus": []}}}, r"families\.mlp\.taus=\(?\[\]"),
        ({"families": {"mlp": {"taus": ["x"]}}}, r"families\.mlp\.taus\[0\]='x'"),
        ({"families": {"mlp": {"seeds": [2, 2]}}}, r"families\.mlp\.seeds: 2 stands there twice"),
        ({"families": {"mlp": {"seeds": [-1]}}}, r"families\.mlp\.seeds\[0\]=-1"),
        ({"families": {"mlp": {"phi": 9}}}, r"families\.mlp\.phi=9: layer fc1: .*larger"),
        ({"families": {"mlp": {"phi": 5}}}, r"families\.mlp\.phi=5: layer fc1: .*one vector"),
        ({"families": {"mlp": {"phi": 0.5}}}, r"families\.mlp: phi=0\.5: at least 1"),
        ({"families": {"mlp": {"layers": ["fc2"]}}}, r"families\.mlp\.layers: 'fc2': .*fc1"),
        ({"families": {"mlp": {"recipe": {"batch": 0}}}}, r"families\.mlp\.recipe.*batch=0"),
        ({"families": {"mlp": {"like": "nobody"}}}, r"families\.mlp\.like='nobody': no such"),
        ({"families": {"mlp": {"like": "mlp"}}}, r"families\.mlp\.like: mlp → mlp is a circle"),
        ({"families": {"../up": {"like": "mlp"}}}, r"families\.\.\./up: a name of a-z"),
        ({"families": {"mlp": None}}, r"families\.mlp="),
        ({"figures": {"dimensionalty": {}}}, r"figures\.dimensionalty: .*dimensionality"),
        (
            {"figures": {"dimensionality": {"families": ["mpl"]}}},
            r"figures\.dimensionality\.families: 'mpl'.*mlp",
        ),
        ({"style": {"dpi": 1}}, r"style\.dpi=1"),
    ],
)
def test_a_wrong_configuration_is_refused_by_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny(**changes)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"preset": "dmo"}, r"preset='dmo': no such preset; did you mean demo\?"),
        ({"preset": "missing/file.yaml"}, r"missing/file\.yaml"),
        ({"prest": "demo"}, r"prest: unknown key; did you mean preset\?"),
        ({"overrides": {"dmo": {}}}, r"overrides\.dmo: no such preset; did you mean demo\?"),
        ({"machine": {"loader_workers": -1}}, r"machine\.loader_workers=-1"),
    ],
)
def test_a_wrong_user_config_is_refused_by_key(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(config, ROOT)


def test_several_errors_are_all_told() -> None:
    with pytest.raises(ConfigError) as told:
        tiny(snapshot=1, style={"dpi": 1})
    assert len(str(told.value).splitlines()) == 2


def test_collapsing_sheets_can_be_allowed() -> None:
    assert mlp(phi=5, allow_collapse=True).model("mlp", "0", 0).train.topo.allow_collapse


def test_a_file_that_is_no_preset(tmp_path: Path) -> None:
    for text, message in (("- 1", "a mapping is needed"), ("a: [", "while parsing")):
        path = tmp_path / "odd.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            resolve({"preset": str(path)}, ROOT)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["mlp", "phi", "taus", "recipe", "lr", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@pytest.mark.no_cover  # tracing takes as long as the test, and other tests run the same lines
@settings(max_examples=150)
@given(
    st.sampled_from(
        ["snapshots", "families", "data", "measures", "figures", "style", "about", "nonsense"]
    ),
    plain,
)
def test_whatever_stands_there_the_answer_is_a_config_or_a_named_error(
    key: str, value: Any
) -> None:
    try:
        tiny(**{key: value})
    except ConfigError as error:
        message = str(error)
    else:
        message = key
    assert key in message


def test_tracked_fields_differ_exactly_where_specs_differ() -> None:
    one = tracked(mlp().model("mlp", "3", 0).train)
    two = tracked(mlp(recipe={"lr": 0.5}).model("mlp", "3", 0).train)
    assert {key for key in one if one[key] != two[key]} == {"recipe.lr"}
    assert one["recipe.lr"] == "recipe.lr=0.001"


def test_generated_documents_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "workflow" / "ops")
    monkeypatch.chdir(ROOT)
    module = importlib.import_module("document")
    for name, text in module.documents().items():
        assert (ROOT / name).read_text() == text, "run: python workflow/ops document"


def test_schemas_are_json() -> None:
    for content in schema().values():
        jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(content)))
