"""Generated documents: the JSON schemas for editors, and config/README.md; a test compares."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from environment import environment
from toporepro.config import schema
from toporepro.plugins import find, names
from toporepro.spec import Averaging, CheckpointSpec, Recipe, Resolution, Schedule

HEAD = """# Configuration

*Generated from the schema by `python workflow/ops document`; do not edit.*

`config/config.yaml` names a preset and holds your differences from it, per preset:

```yaml
preset: demo
overrides:
  demo:
    families: {mlp: {taus: [0, 3], recipe: {epochs: 5}}}
```

A preset is a complete file, in `config/presets/`. Mappings in `overrides` are merged key by key,
lists are replaced. `snakemake --config preset=mini` switches for one run. Unknown keys are errors,
and every difference that takes effect is printed when a run starts. `toporepro config` checks a
file without running anything.
"""
ROOMS = {
    "models": "Architectures, and their options under `model`",
    "data": "Data sources, and their `options`",
    "measure": "Measures, and their options",
}


def document() -> int:
    """Write all generated documents and return 0."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


def documents() -> dict[Path, str]:
    """Text of each generated document, by path."""
    schemas = schema()
    made = {
        Path("workflow/schemas") / f"{name}.schema.json": json.dumps(content, indent=1) + "\n"
        for name, content in schemas.items()
    }
    made[Path("envs/environment.yaml")] = environment()
    made[Path("config/README.md")] = "\n".join(_readme(schemas)).rstrip() + "\n"
    return made


def _readme(schemas: dict[str, Any]) -> Iterator[str]:
    yield HEAD
    yield from _table("config/config.yaml", schemas["config"])
    yield from _table("`machine`", schemas["config"]["$defs"]["Machine"])
    yield from _table("`machine.gpus`", schemas["config"]["$defs"]["Gpus"])
    yield from _table("A preset", schemas["preset"])
    titles = {
        "Dataset": "Each entry of `data`",
        "Family": "Each entry of `families`",
        "Figure": "Each entry of `figures`",
        "Style": "`style`",
    }
    for name, title in titles.items():
        yield from _table(title, schemas["preset"]["$defs"][name])
    yield from _attributes("`recipe`", Recipe)
    yield from _attributes("`tau_schedule`, and a recipe's `lr_schedule`", Schedule)
    yield from _attributes("Each entry of a recipe's `resolution`", Resolution)
    yield from _attributes("A recipe's `average`", Averaging)
    yield from _attributes("Each entry of `checkpoints`, by τ", CheckpointSpec)
    for room, heading in ROOMS.items():
        yield f"## {heading}\n"
        for name in names(room):
            module = find(room, name)
            yield f"### `{name}`\n\n{(module.__doc__ or '').splitlines()[0]}\n"
            yield from _attributes("", module.Options)


def _table(title: str, content: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n| key | default | meaning |\n|---|---|---|"
    for key, entry in content["properties"].items():
        required = key in content.get("required", [])
        default = "required" if required else f"`{json.dumps(entry.get('default'))}`"
        if not required and "default" not in entry:
            default = "none"
        yield f"| `{key}` | {default} | {entry.get('description', '').replace(chr(10), ' ')} |"
    yield ""


def _attributes(title: str, cls: type[Any]) -> Iterator[str]:
    if title:
        yield f"## {title}\n"
    text = inspect.cleandoc(cls.__doc__ or "")
    yield text.split("\n\nAttributes:\n")[0] + "\n"
    fields = dataclasses.fields(cls)
    if not fields:
        return
    meanings = _meanings(text)
    yield "| key | default | meaning |\n|---|---|---|"
    for field in fields:
        default = f"`{_default(field)}`" if _has_default(field) else "required"
        yield f"| `{field.name}` | {default} | {meanings.get(field.name, '')} |"
    yield ""


def _meanings(text: str) -> dict[str, str]:
    _, _, listed = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    names_here: list[str] = []
    for line in listed.splitlines():
        if line.startswith("    ") and not line.startswith("     ") and ":" in line:
            keys, _, meaning = line.strip().partition(":")
            names_here = [key.strip() for key in keys.split(",")]
            found |= dict.fromkeys(names_here, meaning.strip())
        elif line.strip():
            for name in names_here:
                found[name] += f" {line.strip()}"
    return {name: meaning.replace("``", "`") for name, meaning in found.items()}


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return (
        field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    )


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.dumps(value, ensure_ascii=False)
