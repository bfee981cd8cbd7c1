"""torchvision imports with its compiled operators or without, and without torch's compiler.

Each case in its own process.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(code: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.check_output(command, text=True).strip()


def test_torchvision_imports_and_a_second_call_does_nothing() -> None:
    code = """
    from toporepro.models.vision import import_torchvision
    import_torchvision()
    import_torchvision()
    import torchvision.models
    print(torchvision.models.resnet18().fc.out_features)
    """
    assert run(code) == "1000"


def test_operators_that_exist_are_left_alone() -> None:
    code = """
    import torch
    library = torch.library.Library("torchvision", "DEF")
    from toporepro.models import vision
    for schema in vision._SCHEMAS:
        library.define(schema)
    vision.import_torchvision()
    print(vision._declared)
    """
    assert run(code) == "[]"


def test_an_extension_that_loads_is_left_alone(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_C.so").touch()
    code = f"""
    import sys
    sys.path.insert(0, {str(tmp_path)!r})
    import torch
    loaded = []
    torch.ops.load_library = loaded.append
    from toporepro.models import vision
    vision.import_torchvision()
    print(loaded == [{str(package / "_C.so")!r}], vision._declared)
    """
    assert run(code) == "True []"


def test_the_compiler_waits_until_it_is_needed() -> None:
    code = """
    import sys
    from toporepro.models.vision import import_torchvision
    import_torchvision()
    import torch
    from torchvision.ops import roi_align
    print(sorted(name for name in sys.modules if name.startswith("torch._dynamo")))
    supported = sys.modules["torchvision.ops.roi_align"].is_compile_supported
    double = torch.compile(lambda x: 2 * x, backend="eager", fullgraph=True)
    print(double(torch.ones(1)).item(), end=" ")
    from torch._dynamo import utils
    assert type(utils).__name__ == "module" and utils is sys.modules["torch._dynamo.utils"]
    print(supported("cpu") == utils.is_compile_supported("cpu"), end=" ")
    print(supported("meta") == utils.is_compile_supported("meta"))
    """
    assert run(code) == "[]\n2.0 True True"


@pytest.mark.parametrize(
    "statement",
    [
        "from torch._dynamo.utils import counters",
        "import torch._dynamo",
        "import torch._dynamo.eval_frame",
    ],
)
def test_a_torchvision_that_needs_more_of_the_compiler_gets_it(
    tmp_path: Path, statement: str
) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(f"{statement}\nfrom torch._dynamo.utils import counters\n")
    code = f"""
    import sys
    sys.path.insert(0, {str(tmp_path)!r})
    from toporepro.models.vision import import_torchvision
    import_torchvision()
    import torch, torchvision
    assert "torch._dynamo" in sys.modules
    print(torchvision.counters is torch._dynamo.utils.counters)
    """
    assert run(code) == "True"


def test_without_torchvision_the_message_says_what_to_install() -> None:
    code = """
    import importlib.util
    importlib.util.find_spec = lambda name: None
    from toporepro.models.vision import import_torchvision
    try:
        import_torchvision()
    except ModuleNotFoundError as error:
        print(error)
    """
    assert run(code) == "torchvision is not installed: pip install 'toporepro[workflow]'"
