"""Verbs around the workflow, which may know Snakemake and DVC: ``python workflow/ops VERB``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import accept
import collect_garbage
import compare
import document
import driver
import plan
import readme
import restore
import track
import verify
from toporepro.cost.rates import CARDS
from toporepro.memory import shortage


def _reproduce(options: argparse.Namespace) -> int:
    if options.restore:
        restore.restore(options.preset)
    return driver.reproduce(options.preset, options.cores, options.profile)


def main() -> int:
    """Run one verb from the repository's root and return its exit status."""
    parser = argparse.ArgumentParser(prog="python workflow/ops", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def where(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--preset", default="demo", help="name or path of the preset")
        sub.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores to use")
        sub.add_argument("--profile", default="default", help="a folder in workflow/profiles")

    sub = verbs.add_parser("reproduce", help="run a preset to its report, or go on with it")
    where(sub)
    sub.add_argument("--restore", action="store_true", help="first bring back what is tracked")
    sub.set_defaults(run=_reproduce)

    sub = verbs.add_parser("plan", help="what a run of a preset takes; nothing runs")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.add_argument("--card", choices=CARDS, default="A100", help="the kind of GPU")
    sub.add_argument("--profile", default="default", help="a folder in workflow/profiles")
    sub.set_defaults(run=lambda o: plan.plan(o.preset, o.card, o.profile))

    sub = verbs.add_parser("figure", help="regenerate one figure and what it needs")
    sub.add_argument("name", nargs="?", default="", help="a figure of the preset")
    where(sub)
    sub.set_defaults(run=lambda o: driver.figure(o.name, o.preset, o.cores, o.profile))

    sub = verbs.add_parser("failures", help="what failed in a run, from Snakemake's log")
    sub.add_argument("log", type=Path, nargs="?", help="Snakemake's log; left out, the newest")
    sub.set_defaults(run=lambda o: driver.failures(o.log))

    sub = verbs.add_parser("track", help="give a finished run to DVC, in one batch")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.add_argument("--commit", action="store_true", help="commit the record and the pointers")
    sub.add_argument("--push", action="store_true", help="then send the files to the remote")
    sub.set_defaults(run=lambda o: track.track(o.preset, commit=o.commit, push=o.push))

    sub = verbs.add_parser("restore", help="bring tracked results back instead of making them")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.add_argument("--family", help="only networks of this family")
    sub.add_argument("--figure", help="only what this figure is drawn from")
    sub.set_defaults(run=lambda o: restore.restore(o.preset, o.family, o.figure))

    sub = verbs.add_parser("verify", help="hold each result against its manifest")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.set_defaults(run=lambda o: verify.verify(o.preset))

    sub = verbs.add_parser("compare", help="what changed since a commit, on one page")
    sub.add_argument("revision", help="a commit, branch or tag with a record of the preset")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.add_argument("--out", type=Path, help="the page to write")
    sub.set_defaults(run=lambda o: compare.compare(o.revision, o.preset, o.out))

    sub = verbs.add_parser("gc", help="free what no commit, branch or tag refers to")
    sub.add_argument("--delete", action="store_true", help="delete what is otherwise listed")
    sub.add_argument("--cloud", action="store_true", help="in the remote too")
    sub.set_defaults(run=lambda o: collect_garbage.gc(delete=o.delete, cloud=o.cloud))

    sub = verbs.add_parser("accept", help="declare a code change harmless: nothing reruns")
    sub.add_argument("module", help="such as toporepro.train.loop")
    sub.add_argument(
        "--reason", required=True, help="why results cannot differ; manifests carry it"
    )
    sub.set_defaults(run=lambda o: accept.accept(o.module, o.reason))

    sub = verbs.add_parser("readme", help="put a run's table and figure into the README")
    sub.add_argument("--preset", default="demo", help="name or path of the preset")
    sub.set_defaults(run=lambda o: readme.readme(o.preset))

    sub = verbs.add_parser("document", help="write the schemas and config/README.md from the code")
    sub.set_defaults(run=lambda o: document.document())

    options = parser.parse_args()
    os.chdir(Path(__file__).parents[2])
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print(f"{options.verb}: interrupted; start it again to go on", file=sys.stderr)
        return 130
    except Exception as error:
        memory = shortage(error)
        if not memory and not isinstance(error, (ValueError, OSError)):
            raise
        print(f"{options.verb}: {memory or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
