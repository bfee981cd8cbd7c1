"""The house: imports point only downward, and each library stays on the floors it belongs to."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "workflow" / "toporepro"
FLOORS = (
    {"cli", "__main__", "config", "cost"},
    {"figures"},
    {"report"},
    {"measure"},
    {"compress"},
    {"train"},
    {"tasks"},
    {"models", "data"},
    {"topoloss"},
    {
        "cards",
        "energy",
        "lease",
        "memory",
        "plugins",
        "provenance",
        "code",
        "paths",
        "sheet",
        "spec",
        "codec",
    },
)
# On the top and the bottom floor modules stand side by side; else rooms of one floor do not meet.
ENDS = (0, len(FLOORS) - 1)
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # Relative imports stay inside topoloss, which stands alone.
            assert node.level in (0, 1)
            if node.level == 0 and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for module in imported(path):
        if module.split(".")[0] == "toporepro" and room(module):
            other = room(module)
            if (PACKAGE / f"{other}.py").exists() or (PACKAGE / other).is_dir():
                beside = floor(own) in ENDS and floor(other) == floor(own)
                assert other == own or beside or floor(other) > floor(own), f"imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_knows_no_workflow_tools(path: Path) -> None:
    roots = {module.split(".")[0] for module in imported(path)}
    assert not roots & {"snakemake", "dvc"}
    if path.relative_to(PACKAGE).parts[0] != "config":
        assert "pydantic" not in roots


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_topoloss_needs_torch_alone() -> None:
    extra = loaded_after("import toporepro.topoloss") - loaded_after("import torch")
    assert {name for name in extra if not name.startswith("_")} <= {"toporepro"} | set(
        sys.stdlib_module_names
    )


def test_reading_a_configuration_loads_no_heavy_library() -> None:
    loaded = loaded_after("from toporepro.config import resolve; resolve({})")
    assert not loaded & {"torch", "torchvision", "transformers", "sklearn", "scipy", "matplotlib"}


def test_git_tracks_no_output_of_a_rule() -> None:
    root = PACKAGE.parents[1]
    tracked = subprocess.check_output(["git", "ls-files", "results", "data"], cwd=root, text=True)
    outputs = [
        line
        for line in tracked.splitlines()
        if "/record/" not in line and not line.endswith((".dvc", ".gitkeep", ".gitignore"))
    ]
    assert outputs == []
