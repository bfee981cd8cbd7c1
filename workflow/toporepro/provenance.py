"""Manifests: which code, spec, data and machine made a result; and writing without half-files.

A sealed file is JSON with a checksum of itself, so that no byte of it can change unseen.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from toporepro.code import accepted_changes, code_hash, module_hashes
from toporepro.paths import manifest

_PACKAGES = (
    "numpy",
    "torch",
    "torchvision",
    "transformers",
    "pandas",
    "scikit-learn",
    "matplotlib",
)

_LATELY = 3600.0  # seconds
_SEAL = "checksum"


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DamagedError(ValueError):
    """A file that is not what its manifest says, or a sealed file that is not what it says."""


def intact(path: Path) -> str:
    """SHA-256 of a file, which is that of its manifest wherever a manifest lists it.

    The manifest lies in the file's folder or, for snapshots, in the one above.

    Raises:
        DamagedError: if the file or a manifest was changed or damaged since it was made.
    """
    found = sha256(path)
    for folder in (path.parent, path.parent.parent):
        for record in sorted(folder.glob("*.manifest.json")):
            made = read_sealed(record)["outputs"]
            if path.name in made:
                if made[path.name] != found:
                    raise DamagedError(
                        f"{path}: SHA-256 {found} found, {made[path.name]} expected by {record}; "
                        "it was changed or damaged after it was made: delete it and run again"
                    )
                return found
    return found


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed onto it on success, removed on failure.

    The file is flushed to disk before the rename, so that a power loss leaves the old file or the
    new one. The temporary name keeps the suffix, by which libraries choose a format. What killed
    processes left of earlier attempts is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{path.suffix}"):
        if not _is_written(stale):
            stale.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_written(temporary: Path) -> bool:
    """Whether a process may be at work on it: one of this machine lives, another's wrote lately."""
    node, _, pid = temporary.name.partition(".partial")[0].rpartition("-")
    try:
        if not node.endswith(f".{platform.node()}"):
            return time.time() - temporary.stat().st_mtime < _LATELY
        os.kill(int(pid), 0)
    except (ProcessLookupError, FileNotFoundError, ValueError):
        return False
    except PermissionError:  # another user's process
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write indented JSON with sorted keys, atomically."""
    write_text(path, _json(value))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, with the SHA-256 of its text in the field ``checksum``."""
    write_text(path, _sealed(content))


def read_sealed(path: Path) -> dict[str, Any]:
    """What ``write_sealed`` wrote, without the checksum.

    Raises:
        OSError: if there is no such file.
        DamagedError: if any byte of it is not what was written.
    """
    try:
        return unsealed(path.read_bytes())
    except ValueError:
        raise DamagedError(
            f"{path}: its checksum does not hold; it was changed or damaged after it was made, or "
            "it is of a version that wrote none: delete it and run again"
        ) from None


def unsealed(text: bytes) -> dict[str, Any]:
    """The same of a file's bytes.

    Raises:
        ValueError: if any of them is not what was written.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        content.pop(_SEAL)
        if _sealed(content).encode() == text:
            return content
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("its checksum does not hold")


def _sealed(content: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(_json(content).encode()).hexdigest()
    return _json({**content, _SEAL: digest})


def write_manifest(
    *,
    verb: str,
    spec: Mapping[str, Any],
    modules: Iterable[str],
    inputs: Iterable[Path],
    outputs: Iterable[Path],
    seed: int | None = None,
    wall_seconds: float,
    attempts: int = 1,
    device: str = "cpu",
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the manifest, sealed, beside the first output and return its path.

    Args:
        verb: the command that made the outputs.
        spec: the job's complete spec.
        modules: what the stage's code starts from (``toporepro.code.stage_modules``).
        inputs: files read; entered by SHA-256, and held against their own manifests: of a
            damaged input no result is kept.
        outputs: files made; entered by SHA-256; their manifest lies beside the first.
        wall_seconds: time spent, summed over ``attempts``; GPU-hours if ``device`` is one.
        extra: further facts of this stage, such as the energy that its device took.

    Raises:
        DamagedError: if an input is not what its own manifest says.
    """
    modules, outputs = tuple(modules), list(outputs)
    hours = wall_seconds / 3600
    content = {
        "verb": verb,
        "spec": dict(spec),
        "code": code_hash(modules),
        "modules": module_hashes(modules),
        "accepted_changes": accepted_changes(modules),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
        },
        "device": device,
        "seed": seed,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_seconds": round(wall_seconds, 3),
        "attempts": attempts,
        "gpu_hours": round(hours, 6) if device.startswith("cuda") else 0.0,
        "inputs": {str(path): intact(path) for path in inputs},
        "outputs": {path.name: sha256(path) for path in outputs},
        **(extra or {}),
    }
    path = manifest(outputs[0])
    write_sealed(path, content)
    return path


def package_versions() -> dict[str, str]:
    """Versions of the libraries that results depend on, as far as they are installed."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def git_commit() -> str | None:
    """The commit checked out, ``+`` appended if tracked files differ; ``None`` without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40"]
    try:
        answer = subprocess.run(
            [*command, "--exclude=*", "--dirty=+"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def progress(text: str) -> None:
    """One line of progress on standard error, at once, so that log files can be followed."""
    print(text, file=sys.stderr, flush=True)
