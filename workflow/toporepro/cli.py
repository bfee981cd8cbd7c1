"""The command line: one verb per stage, each a pure function of a spec and of paths."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from toporepro.memory import shortage
from toporepro.spec import DataSpec, MeasureSpec, SpecError, TrainSpec, decode

# What is wrong with the job's data, files or machine; all else is a mistake of ours.
_EXPECTED = (SpecError, OSError, RuntimeError, ValueError, ImportError)
_SPEC = "the job's complete spec: JSON text, or a file that holds it"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit status: 0, 1 for a failure, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with _logging(options.log):
            return _run(options)
    except OSError as error:  # of the log itself
        print(f"toporepro {options.verb}: the log cannot be written: {error}", file=sys.stderr)
        return 1
    except MemoryError:  # not even enough to say so at length
        os.write(2, b"toporepro: out of memory\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    try:
        status: int | None = options.run(options)
    except KeyboardInterrupt:
        print("interrupted; the next start goes on from here", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        memory = shortage(error)
        if not memory and not isinstance(error, _EXPECTED):
            raise
        print(f"toporepro {options.verb}: {memory or error}", file=sys.stderr)
        return 1
    return status or 0


def _prepare(options: argparse.Namespace) -> None:
    from toporepro.data import scatter
    from toporepro.data.prepare import prepare

    spec = decode(DataSpec, options.spec)
    if options.part is not None:
        scatter.prepare_part(spec, options.raw, options.out, options.part)
    elif scatter.parts(spec):
        scatter.prepare_all(spec, options.raw, options.out)
    else:
        prepare(spec, options.raw, options.out)


def _train(options: argparse.Namespace) -> None:
    from toporepro.cards import claim
    from toporepro.data.refill import refill
    from toporepro.paths import ModelPaths

    spec = decode(TrainSpec, options.spec)
    started = "WORLD_SIZE" in os.environ  # by torchrun: cards are held, processes there
    if not started:
        refill(options.data)
    with contextlib.nullcontext() if started else claim(options.gpus):
        if options.gpus > 1 and not started:
            from toporepro.train.launch import torchrun

            command = torchrun(options.arguments, options.gpus, options.nodes)
            sys.stderr.flush()
            os.execvp(command[0], command)  # noqa: S606 (a list, no shell)
        from toporepro.train.run import train

        train(
            spec,
            options.data,
            ModelPaths(options.out),
            workers=options.workers,
            tensorboard=options.tensorboard,
        )


def _convert(options: argparse.Namespace) -> None:
    from toporepro.models.family import family
    from toporepro.paths import ModelPaths
    from toporepro.spec import NOT_TRAINED, CheckpointSpec, TopoSpec, canonical_tau
    from toporepro.train.convert import convert, convert_file

    if (options.file is None) == (options.spec is None):
        raise SpecError("convert takes either FILE with --family, or --spec")
    if options.spec is not None:
        convert(decode(TrainSpec, options.spec), options.raw, options.lock, ModelPaths(options.out))
        return
    if options.family is None:
        raise SpecError("convert FILE needs --family, a module of toporepro.models")
    phi = options.phi or (8.0 if family(options.family).TASK == "language" else 3.0)
    spec = TrainSpec(
        architecture=options.family,
        model=_mapping(options.model),
        data=DataSpec(source="unknown"),
        topo=TopoSpec(tau=float(canonical_tau(options.tau)), phi=phi),
        recipe=NOT_TRAINED,
        seed=0,
        checkpoint=CheckpointSpec(
            file=str(options.file),
            key=options.key,
            height=options.image,
            width=options.image,
            classes=options.classes,
            vocabulary=options.vocabulary,
        ),
    )
    convert_file(spec, options.file, options.out)


def _export(options: argparse.Namespace) -> None:
    from toporepro.models.gpt_files import export

    export(options.checkpoint, options.out)


def _measure(options: argparse.Namespace) -> None:
    from toporepro.cards import claim
    from toporepro.measure.run import measure
    from toporepro.paths import ModelPaths

    spec = decode(MeasureSpec, options.spec)
    with claim(1):
        measure(spec, ModelPaths(options.model), options.data, options.stimuli)


def _tables(options: argparse.Namespace) -> None:
    from toporepro.report.tables import collect

    collect(options.models, options.out, _mapping(options.absent))


def _figure(options: argparse.Namespace) -> None:
    from toporepro.figures.run import figure

    spec = _mapping(options.spec)
    figure(
        options.name, spec, options.tables, options.units, options.out, published=options.published
    )


def _claims(options: argparse.Namespace) -> int:
    from toporepro.report.claims import evaluate, failed

    rows = evaluate(
        _mapping(options.spec), options.tables, options.published, options.out, options.units
    )
    return int(options.strict and bool(failed(rows)))


def _calibrate(options: argparse.Namespace) -> None:
    from toporepro.report.calibration import calibrate_definitions

    calibrate_definitions(options.tables, options.published, options.out, options.chosen_on)


def _report(options: argparse.Namespace) -> None:
    from toporepro.report.page import write_page

    spec, plan = _mapping(options.spec), json.loads(options.plan)
    write_page(spec, options.results, options.manifests, options.out, plan=plan)


def _explorer(options: argparse.Namespace) -> None:
    from toporepro.data.refill import refill
    from toporepro.report.explorer import write_explorer

    spec = _mapping(options.spec)
    for index in options.data:
        refill(index)
    write_explorer(spec, options.models, options.tables, options.data, options.out)


def _config(options: argparse.Namespace) -> None:
    import yaml

    from toporepro.config import resolve

    content = yaml.safe_load(options.file.read_text(encoding="utf-8")) or {}
    if options.preset:
        content["preset"] = options.preset
    resolved = resolve(content)
    for line in resolved.differences:
        print(f"differs from the preset: {line}")
    for model in resolved.models:
        print(f"{model.family} tau={model.tau} seed={model.seed}")
    print(f"preset {resolved.name}: {len(resolved.models)} models, all keys valid")


def _mapping(text: str) -> dict[str, Any]:
    source = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
    content = json.loads(source)
    if not isinstance(content, dict):
        raise SpecError("a JSON object is needed as --spec")
    return content


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toporepro",
        description="TopoNets (ICLR 2025), reproduced. Snakemake calls these verbs; so can you.",
        epilog="Each verb's own help: toporepro VERB --help. The whole pipeline: make reproduce.",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: Callable[[argparse.Namespace], int | None], about: str) -> Any:
        sub = verbs.add_parser(name, help=about, description=about)
        sub.add_argument("--log", type=Path, help="also write all messages to this file")
        sub.set_defaults(run=run)
        return sub

    sub = verb("prepare", _prepare, "Fetch a dataset where needed and prepare it for training.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--raw", type=Path, required=True, help="folder of raw downloads, by source")
    sub.add_argument("--out", type=Path, required=True, help="the dataset.json to write, last")
    sub.add_argument("--part", type=int, help="only this part of a dataset that is cut into parts")

    sub = verb("train", _train, "Train one network, or go on with it where it was stopped.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--data", type=Path, required=True, help="dataset.json of the prepared data")
    sub.add_argument("--out", type=Path, required=True, help="the model's folder")
    sub.add_argument("--workers", type=int, default=0, help="processes that load data (default 0)")
    sub.add_argument("--tensorboard", type=Path, help="folder for TensorBoard events")
    sub.add_argument("--gpus", type=int, default=1, help="GPUs, one process each (default 1)")
    sub.add_argument("--nodes", type=int, default=1, help="of a SLURM job, that have the GPUs")

    sub = verb("convert", _convert, "Take in a network that was trained elsewhere.")
    sub.add_argument("file", type=Path, nargs="?", help="a .pt, .pth or .safetensors file")
    sub.add_argument("--family", help="its architecture, a module of toporepro.models")
    sub.add_argument("--model", default="{}", help="options of the architecture, as JSON")
    sub.add_argument("--key", help="entry of the file that holds the weights (default: found)")
    sub.add_argument("--tau", default="0", help="the τ it was trained with (default 0)")
    sub.add_argument(
        "--phi", type=float, help="the φ it was trained with (default 3; 8 for language)"
    )
    sub.add_argument("--classes", type=int, default=1000, help="classes (default 1000)")
    sub.add_argument("--image", type=int, default=224, help="side of its images (default 224)")
    sub.add_argument("--vocabulary", type=int, default=50257, help="tokens (default 50257)")
    sub.add_argument("--spec", help=f"in place of all that: {_SPEC}")
    sub.add_argument("--raw", type=Path, default=Path("data"), help="folder of downloads")
    sub.add_argument(
        "--lock",
        type=Path,
        default=Path("config/checkpoints.lock.json"),
        help="what published files are known to be",
    )
    sub.add_argument(
        "--out", type=Path, required=True, help="the file to write; with --spec, a model's folder"
    )

    sub = verb("export", _export, "Write a language network as transformers reads it.")
    sub.add_argument("checkpoint", type=Path, help="a weights.safetensors of ours")
    sub.add_argument("--out", type=Path, required=True, help="the folder to write")

    sub = verb("measure", _measure, "Take all measures of one trained network and its snapshots.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--model", type=Path, required=True, help="the model's folder")
    sub.add_argument("--data", type=Path, required=True, help="dataset.json of the prepared data")
    sub.add_argument(
        "--stimuli",
        type=Path,
        nargs="*",
        default=[],
        help="dataset.json of each of the spec's stimuli, sorted by their names",
    )

    sub = verb("tables", _tables, "Collect the models' measurements into tidy tables.")
    sub.add_argument("--models", type=Path, nargs="+", required=True, help="the models' folders")
    sub.add_argument("--absent", default="{}", help="what cannot be had, and why, as JSON")
    sub.add_argument("--out", type=Path, required=True, help="folder of the tables")

    sub = verb("figure", _figure, "Draw one figure from tidy tables.")
    sub.add_argument("name", help="a module of toporepro.figures")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    sub.add_argument("--published", type=Path, help="the paper's plotted data, CSV")
    sub.add_argument("--units", type=Path, nargs="*", default=[], help="units.parquet files")
    sub.add_argument("--out", type=Path, required=True, help="path of the figure, less its suffix")

    sub = verb("claims", _claims, "Test the paper's claims on the tables.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    sub.add_argument("--published", type=Path, required=True, help="the paper's plotted data, CSV")
    sub.add_argument("--units", type=Path, nargs="*", default=[], help="units.parquet files")
    sub.add_argument("--out", type=Path, required=True, help="the claims.csv to write")
    sub.add_argument("--strict", action="store_true", help="fail if a claim is not reproduced")

    sub = verb(
        "calibrate_definitions", _calibrate, "Find the definitions that give the paper's numbers."
    )
    sub.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    sub.add_argument("--published", type=Path, required=True, help="the paper's plotted data, CSV")
    sub.add_argument("--chosen-on", default="resnet18", help="the family that decides")
    sub.add_argument("--out", type=Path, required=True, help="folder of the tables to write")

    sub = verb("report", _report, "Write the report, one page that opens offline.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--results", type=Path, required=True, help="results folder of the preset")
    sub.add_argument("--manifests", type=Path, nargs="*", default=[], help="of the jobs to list")
    sub.add_argument("--plan", default="[]", help="what jobs were to take, as JSON")
    sub.add_argument("--out", type=Path, required=True, help="the report.html to write")

    sub = verb("explorer", _explorer, "Write the explorer, a page that shows maps side by side.")
    sub.add_argument("--spec", required=True, help=_SPEC)
    sub.add_argument("--models", type=Path, nargs="+", required=True, help="the models' folders")
    sub.add_argument("--tables", type=Path, required=True, help="folder of the tables")
    sub.add_argument(
        "--data", type=Path, nargs="*", default=[], help="dataset.json of the images it shows"
    )
    sub.add_argument("--out", type=Path, required=True, help="the explorer.html to write")

    sub = verb("config", _config, "Check a configuration and list the models it describes.")
    sub.add_argument(
        "--file", type=Path, default=Path("config/config.yaml"), help="the config file"
    )
    sub.add_argument("--preset", help="another preset than the file names")
    return parser


class _Tee:
    """Standard error that also goes to a log file."""

    def __init__(self, *streams: IO[str]) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
            stream.flush()
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()


@contextlib.contextmanager
def _logging(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("")
        with contextlib.redirect_stderr(_Tee(sys.stderr, file)):
            yield
