"""torchvision imports whether or not its compiled operators load; each case in its own process."""

import subprocess
import sys
import textwrap
from pathlib import Path


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
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from toporepro.models import vision
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
