"""What the verbs around the workflow say to bad input: one sentence, never a traceback."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toporepro.provenance import DamagedError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "arguments",
    [("track",), ("restore",), ("verify",), ("compare", "HEAD"), ("plan",), ("readme",)],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_preset_is_named_with_those_there_are(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, str(ROOT / "workflow" / "ops"), *arguments, "--preset", "dmo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"{arguments[0]}: preset='dmo': no such preset; ")
    assert "demo" in done.stderr


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Imports a module of the verbs; the present folder is an empty one."""
    monkeypatch.syspath_prepend(ROOT / "workflow" / "ops")
    monkeypatch.chdir(tmp_path)
    return importlib.import_module


@pytest.mark.parametrize(
    "text", ["preset: [demo", "- demo\n", "preset: \x00"], ids=["open", "list", "control"]
)
def test_a_configuration_that_cannot_be_read_is_named(ops: Any, text: str) -> None:
    Path("config").mkdir()
    Path("config/config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"^config/config\.yaml: "):
        ops("jobs").configured("demo")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"files": {"a',
        b"[]",
        b'{"files": {"a": {"sha256": "0"}}}',
        b'{"files": [1]}',
        b"\xff",
    ],
)
def test_a_damaged_index_of_a_record_is_named(ops: Any, content: bytes) -> None:
    with pytest.raises(DamagedError, match="there is damaged; git has it"):
        ops("record").files_in(content, "there")


def test_without_a_log_no_failures_are_told(ops: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ops("driver").failures(None) == 1
    assert "nothing has run" in capsys.readouterr().err


def test_a_commit_of_nothing_new_is_none(ops: Any, tmp_path: Path) -> None:
    """Whatever else lies in the repository."""
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run([*git, "init", "-q"], check=True)
    for key, value in (("user.name", "t"), ("user.email", "t@example.org")):
        subprocess.run(["git", "config", key, value], check=True)
    Path("kept.csv").write_text("1")
    Path("untracked.txt").write_text("not for the commit")
    track = ops("track")
    for _ in range(2):
        assert track._commit("tiny", tmp_path, ["kept.csv"]) == 0
    listed = ["git", "log", "--format=%s", "--name-only"]
    assert subprocess.check_output(listed, text=True).split("\n\n") == [
        "Results of tiny",
        "kept.csv\n",
    ]
