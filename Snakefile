# TopoNets (ICLR 2025), reproduced: table of contents. Stages are in workflow/rules, their code in
# workflow/toporepro, what is run in config/.
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


# With --sdm apptainer; how to build it is in the definition beside it.
container: "envs/toporepro.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/released.smk"
include: "workflow/rules/explorer.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        P.report,
        P.explorer,
        P.claims,
        CALIBRATION,


rule data:
    input:
        [P.prepared(spec) for spec in DATASETS.values()],


rule models:
    input:
        [path_of(model).weights for model in C.models],


rule measurements:
    input:
        P.table("measures"),
        [path_of(model).measures for model in C.models],
        [path_of(model).units for model in C.models],


if workflow.is_main_process:
    announce(C)


onerror:
    shell("{sys.executable:q} workflow/ops failures {log:q} >&2")
