"""Then and now: claims, metrics and parameters of two records, and their figures side by side."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import yaml

import record
from jobs import configured
from toporepro.codec import flatten
from toporepro.provenance import write_text

TEMPLATE = Path(__file__).with_name("compare.html.jinja")
_SHOWN = ("verdict", "ours", "p", "effect")


@dataclass(frozen=True)
class Difference:
    """One value that is not what it was; ``none`` where it was not there."""

    what: str
    then: str
    now: str


def compare(revision: str, preset: str, out: Path | None) -> int:
    """Write the page and print how much differs between a commit's record and the present one."""
    resolved = configured(preset)
    place = record.folder(resolved)
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        print(f"compare: {revision!r} is no commit, branch or tag here", file=sys.stderr)
        return 2
    name = commit.decode().strip()
    root = resolved.paths.root
    claims = (Path("files") / root / "claims.csv").as_posix()
    read = (record.INDEX, "metrics.json", "params.yaml", claims)
    then = {path: _git("show", f"{name}:{(place / path).as_posix()}") for path in read}
    now = {path: (place / path).read_bytes() for path in read if (place / path).exists()}
    if then[record.INDEX] is None or record.INDEX not in now:
        which = f"commit {name[:10]}" if then[record.INDEX] is None else "the working tree"
        print(
            f"compare: {which} has no record of {resolved.name}; one is made by "
            f"`python workflow/ops track --preset {preset} --commit`",
            file=sys.stderr,
        )
        return 1
    sections = {
        title: list(_differences(values(then.get(file)), values(now.get(file))))
        for title, file, values in (
            ("Claims", claims, _claims),
            ("Metrics", "metrics.json", _json),
            ("Parameters", "params.yaml", _yaml),
        )
    }
    pictures = list(_pictures(name, place, then[record.INDEX], now[record.INDEX]))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        preset=resolved.name,
        then=f"{revision} ({name[:10]})" if revision != name else name[:10],
        sections=sections,
        pictures=pictures,
    )
    out = out or root / f"compare-{name[:10]}.html"
    write_text(out, page)
    for title, differences in sections.items():
        print(f"{title}: {len(differences)} differ")
        for item in differences[:10]:
            print(f"  {item.what}: {item.then} → {item.now}")
        if len(differences) > 10:
            print(f"  and {len(differences) - 10} more, on the page")
    changed = [title for title, before, after in pictures if before != after]
    print(f"Figures: {len(changed)} of {len(pictures)} differ")
    print(f"page: {out}")
    return 0


def _git(*arguments: str) -> bytes | None:
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _json(content: bytes | None) -> dict[str, str]:
    return dict(flatten(json.loads(content))) if content else {}


def _yaml(content: bytes | None) -> dict[str, str]:
    return dict(flatten(yaml.safe_load(content))) if content else {}


def _claims(content: bytes | None) -> dict[str, str]:
    if not content:
        return {}
    rows = csv.DictReader(io.StringIO(content.decode("utf-8")))
    return {f"{row['id']}: {key}": row[key] for row in rows for key in _SHOWN}


def _differences(then: dict[str, str], now: dict[str, str]) -> Iterator[Difference]:
    for key in sorted(then.keys() | now.keys()):
        before, after = then.get(key, "none"), now.get(key, "none")
        if before != after:
            yield Difference(key, before, after)


def _pictures(commit: str, place: Path, then: bytes, now: bytes) -> Iterator[tuple[str, str, str]]:
    """Title, and both pictures as data URIs ("" where there is none)."""
    where = str(place / record.INDEX)
    listed = record.files_in(then, f"{where} of {commit[:10]}") | record.files_in(now, where)
    for name in sorted(path for path in listed if path.endswith(".png")):
        before = _git("show", f"{commit}:{(place / 'files' / name).as_posix()}")
        current = place / "files" / name
        after = current.read_bytes() if current.exists() else None
        yield Path(name).stem.replace("_", " "), _uri(before), _uri(after)


def _uri(content: bytes | None) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}" if content else ""
