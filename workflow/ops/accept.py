"""Accepting a code change that cannot change results: with a reason, which manifests then carry."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from toporepro.code import ACCEPTED, raw_hash
from toporepro.provenance import read_sealed, write_json


def accept(module: str, reason: str) -> int:
    """Let the hash of ``module`` that results were made with stand for its present one."""
    before = _hash_of_results(module)
    try:
        after = raw_hash(module)
    except FileNotFoundError:
        print(f"{module}: no such module", file=sys.stderr)
        return 2
    if before is None:
        print(
            f"{module}: no result's manifest names it, so there is nothing to keep", file=sys.stderr
        )
        return 2
    if before == after:
        print(f"{module}: unchanged since its results were made")
        return 0
    entries = json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else []
    day = time.strftime("%Y-%m-%d", time.gmtime())
    entries.append(
        {"module": module, "before": before, "after": after, "reason": reason, "date": day}
    )
    write_json(ACCEPTED, entries)
    print(f"{module}: {after} now stands for {before}; commit {ACCEPTED}")
    return 0


def _hash_of_results(module: str) -> str | None:
    """The module's hash in the newest manifest that names it."""
    newest: tuple[float, str] | None = None
    for path in Path("results").rglob("*.manifest.json"):
        digest = read_sealed(path)["modules"].get(module)
        if digest and (newest is None or path.stat().st_mtime > newest[0]):
            newest = (path.stat().st_mtime, digest)
    return newest[1] if newest else None
