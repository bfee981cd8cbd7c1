# What all rules share: the resolved config, and parameters that Snakemake compares field by field.
from dataclasses import asdict

import yaml
from snakemake.exceptions import WorkflowError

from toporepro.cards import cards
from toporepro.code import module_hashes, stage_modules
from toporepro.config import ConfigError, resolve, tracked
from toporepro.cost.estimate import Estimator
from toporepro.cost.requests import Requests
from toporepro.figures.run import needs
from toporepro.paths import link, manifest, prepared_name
from toporepro.provenance import sha256
from toporepro.spec import encode
from toporepro.tasks import modules as modules_of

try:
    C = resolve(config, Path(workflow.basedir))
except ConfigError as error:
    raise WorkflowError(f"config:\n{error}") from None
P = C.paths
DATASETS = C.datasets
MODEL = P.model("{family}", "{tau}", "{seed}")

# In conda's or a container's environment the verbs are run by its own Python, from this code; with
# none activated, they are still those of the Python that runs Snakemake.
ENVIRONMENT = str(Path(workflow.basedir, "envs/environment.yaml"))
if workflow.deployment_settings.deployment_method:
    shell.prefix(
        f"export PYTHONPATH={shlex.quote(str(Path(workflow.basedir, 'workflow')))};"
        ' toporepro() {{ python -m toporepro "$@"; }}; '
    )
elif shutil.which("toporepro") is None:
    shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

for folder, target in (
    (P.data, C.machine.data),
    (P.models, C.machine.results and Path(C.machine.results, C.name, "models")),
):
    if target:
        link(folder, Path(target))


wildcard_constraints:
    family="[a-z][a-z0-9_]*",
    tau=r"[0-9]+(\.[0-9]+)?",
    seed="[0-9]+",
    dataset=r"[a-z][a-z0-9_]*-[0-9a-f]{10}",


class Untracked:
    """A parameter that Snakemake does not compare: it only knows how to record plain types."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text

    def __format__(self, format_spec):
        return self.text


class Fields:
    """Parameters of one rule: a spec per job, and the code that the job runs.

    Snakemake compares parameters as a set of values. With one per field it reruns a job exactly
    when a field of its own changed, and names the field and the module that did.
    """

    def __init__(self, jobs, stage, plugins):
        self.jobs, self.stage, self.plugins = jobs, stage, plugins
        self.flat = {}
        self.keys = sorted({key for job in jobs for key in self._fields(job)})

    def _fields(self, job):
        if job not in self.flat:
            spec = self.jobs[job]
            modules = module_hashes(stage_modules(self.stage, *self.plugins(spec)))
            code = {
                f"code of {name}": f"code of {name}={value}"
                for name, value in modules.items()
            }
            self.flat[job] = {**tracked(spec), **code}
        return self.flat[job]

    def __call__(self, key, wildcards):
        return self._fields(tuple(wildcards)).get(key, "")

    def __iter__(self):
        fields = [lambda wildcards, key=key: self(key, wildcards) for key in self.keys]
        # A job without some field has an empty value; with one for all, the first family that
        # brings a field of its own changes nothing for the others.
        return iter([*fields, lambda wildcards: ""])

    def spec(self, wildcards):
        return Untracked(encode(self.jobs[tuple(wildcards)]))


def job_of(model):
    return (model.family, model.tau, str(model.seed))


def path_of(model):
    return P.model(*job_of(model))


def one_of(models):
    """A wildcard's constraint: the families of these models, or nothing at all."""
    return "|".join(sorted({model.family for model in models})) or "(?!)"


# A network is made by the rule train_model, or by convert_checkpoint.
CONVERTED = [model for model in C.models if model.train.checkpoint]
TRAINED = [model for model in C.models if not model.train.checkpoint]

# GPUs, cores, memory and time of each job. A card that nothing is known of is taken for a slow one.
ESTIMATES = Estimator(C, card="A100", here=bool(cards()))
REQUESTS = Requests(C, ESTIMATES)


def announce(resolved):
    print(f"preset {resolved.name}: {resolved.preset.about}", file=sys.stderr)
    for line in resolved.differences:
        print(f"differs from the preset: {line}", file=sys.stderr)
