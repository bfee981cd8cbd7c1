# Measuring: all measures of one network in one process, then tidy tables of all networks.
MEASURE = Fields(
    {job_of(model): model.measure for model in C.models},
    "measure",
    lambda spec: [
        f"models.{C.preset.families[spec.family].architecture}",
        *(f"measure.{name}" for name in spec.measures),
        *(
            name
            for shown in (
                C.model(spec.family, spec.tau, spec.seed).train.data,
                *spec.stimuli.values(),
            )
            for name in preparing(shown)
        ),
    ],
)
TABLES = Fields(
    {(): {"models": [job_of(model) for model in C.models], "absent": dict(C.absent)}},
    "tables",
    lambda spec: [],
)


def stimuli_of(wildcards):
    stimuli = C.model(*wildcards).measure.stimuli
    return [P.prepared(stimuli[name]) for name in sorted(stimuli)]


rule measure_model:
    input:
        index=ancient(data_of),
        stimuli=ancient(stimuli_of),
        weights=MODEL.weights,
        snapshots=snapshots_of,
    output:
        measures=MODEL.measures,
        manifest=manifest(MODEL.measures),
        units=MODEL.units,
    log:
        P.log("measure_model", "{family}", "tau={tau}", "seed={seed}"),
    benchmark:
        P.benchmark("measure_model", "{family}", "tau={tau}", "seed={seed}")
    conda:
        ENVIRONMENT
    threads: lambda wildcards: ESTIMATES.cores(C.model(*wildcards), training=False)
    resources:
        **REQUESTS.of(training=False),
        # On a cluster, the networks of one job are measured one after the other.
        measuring=1,
    params:
        *MEASURE,
        spec=MEASURE.spec,
        folder=str(MODEL.folder),
    message:
        "Measuring {wildcards.family}, τ = {wildcards.tau}, seed {wildcards.seed}"
    shell:
        "toporepro measure --log {log:q} --spec {params.spec:q} --model {params.folder:q}"
        " --data {input.index:q} --stimuli {input.stimuli:q}"


rule collect_tables:
    input:
        [path_of(model).measures for model in C.models],
        [path_of(model).units for model in C.models],
        [path_of(model).history for model in C.models],
    output:
        measures=P.table("measures"),
        manifest=manifest(P.table("measures")),
        curves=P.table("curves"),
        history=P.table("history"),
        missing=P.table("missing"),
    log:
        P.log("collect_tables"),
    benchmark:
        P.benchmark("collect_tables")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        *TABLES,
        absent=Untracked(encode(dict(C.absent))),
        models=Untracked(shlex.join(str(path_of(model).folder) for model in C.models)),
        folder=str(P.table("measures").parent),
    message:
        "Collecting the tables"
    shell:
        "toporepro tables --log {log:q} --models {params.models}"
        " --absent {params.absent:q} --out {params.folder:q}"
