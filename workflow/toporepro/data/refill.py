"""Data of which only the index is there, as where results alone were restored."""

from __future__ import annotations

import json
from pathlib import Path

from toporepro.data import scatter
from toporepro.data.prepare import prepare
from toporepro.paths import manifest
from toporepro.provenance import DamagedError, progress, read_sealed
from toporepro.spec import DataSpec, decode


def refill(index: Path) -> None:
    """Prepare again what an index names and is not there, as where results alone were restored.

    Args:
        index: the file ``dataset.json``, in ``data/prepared/<name>``; the manifest beside it says
            what it was made of. An index that is missing or complete is left alone.

    Raises:
        DamagedError: if the manifest was changed or damaged since it was made.
        SpecError, DataError: as ``prepare`` does.
    """
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["files"]
        if all((index.parent / name).exists() for name in names):
            return
        spec = read_sealed(manifest(index))["spec"]
    except DamagedError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return  # whoever opens it says what is wrong
    progress(f"{index}: restored without its data; preparing them again")
    found, raw_root = decode(DataSpec, spec), index.parents[2]
    if scatter.parts(found):
        scatter.prepare_all(found, raw_root, index)
    else:
        prepare(found, raw_root, index)
