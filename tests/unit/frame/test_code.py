import json
from pathlib import Path

import pytest

from toporepro import code


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "toporepro"
    (root / "train").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "train" / "__init__.py").write_text("")
    (root / "train" / "run.py").write_text(
        "from toporepro import sheet, spec\nfrom toporepro.train.loop import go\n"
    )
    (root / "train" / "loop.py").write_text(
        '"""Doc."""\n\ndef go(x):\n    """Doc."""\n    return x + 1\n'
    )
    (root / "spec.py").write_text("A = 1\n")
    (root / "sheet.py").write_text("A = 1\n")
    (root / "other.py").write_text("B = 1\n")
    monkeypatch.setattr(code, "ROOT", root)
    monkeypatch.setattr(code, "ACCEPTED", root / "accepted.json")
    forget()
    yield root
    forget()


def forget() -> None:
    for cached in (code.module_hashes, code._module, code._accepted):
        cached.cache_clear()


def train_hash() -> str:
    forget()
    return code.code_hash(code.stage_modules("train"))


def test_the_closure_follows_imports(package: Path) -> None:
    assert set(code.module_hashes(code.stage_modules("train"))) == {
        "toporepro",
        "toporepro.sheet",
        "toporepro.train",
        "toporepro.train.loop",
        "toporepro.train.run",
    }


def test_comments_docstrings_and_layout_do_not_count(package: Path) -> None:
    before = train_hash()
    (package / "train" / "loop.py").write_text(
        '"""Other words."""\n# why\ndef go(x):\n    "Other."\n\n    return (x\n    + 1)  # here\n'
    )
    assert train_hash() == before


def test_code_counts_where_it_is_imported_and_only_there(package: Path) -> None:
    before = train_hash()
    (package / "other.py").write_text("B = 2\n")
    assert train_hash() == before
    (package / "sheet.py").write_text("A = 2\n")
    assert train_hash() != before


def test_relative_imports_count(package: Path) -> None:
    (package / "train" / "run.py").write_text("from . import loop\nfrom ..sheet import A\n")
    forget()
    assert {"toporepro.train.loop", "toporepro.sheet"} <= set(
        code.module_hashes(code.stage_modules("train"))
    )


def test_bookkeeping_does_not_count(package: Path) -> None:
    before = train_hash()
    (package / "spec.py").write_text("A = 2\n")
    assert train_hash() == before


def test_a_plugin_belongs_to_the_stage_that_names_it(package: Path) -> None:
    modules = code.stage_modules("train", "other")
    before = code.code_hash(modules)
    (package / "other.py").write_text("B = 2\n")
    forget()
    assert code.code_hash(modules) != before


def test_an_accepted_change_keeps_the_hash_and_says_why(package: Path) -> None:
    before, module = train_hash(), code.raw_hash("toporepro.train.loop")
    (package / "train" / "loop.py").write_text("def go(x):\n    return 1 + x\n")
    assert train_hash() != before
    entry = {
        "module": "toporepro.train.loop",
        "before": module,
        "after": code.raw_hash("toporepro.train.loop"),
        "reason": "addition commutes",
        "date": "2026-01-01",
    }
    (package / "accepted.json").write_text(json.dumps([entry]))
    assert train_hash() == before
    assert code.accepted_changes(code.stage_modules("train")) == [entry]
    (package / "train" / "loop.py").write_text("def go(x):\n    return x - 1\n")
    assert train_hash() != before
    assert code.accepted_changes(code.stage_modules("train")) == []
