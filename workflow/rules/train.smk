# Training: one job per network; every network of every family goes through the same loop.
TRAIN = Fields(
    {job_of(model): model.train for model in TRAINED},
    "train",
    lambda spec: [*modules_of(spec.architecture), *preparing(spec.data)],
)
# One number for all networks of a preset, since a rule's outputs cannot depend on wildcards.
SNAPSHOTS = [MODEL.snapshot(index) for index in range(C.preset.snapshots)]


def snapshots_of(wildcards):
    """The snapshots that are measured: a converted network has none."""
    count = C.model(*wildcards).train.recipe.snapshots
    return [P.model(*wildcards).snapshot(index) for index in range(count)]


def data_of(wildcards):
    return P.prepared(C.model(*wildcards).train.data)


def machine_options(wildcards):
    options = f"--workers {C.machine.loader_workers}"
    model = C.model(*wildcards)
    gpus = REQUESTS.gpus(model, training=True)
    if gpus > 1:
        options += f" --gpus {gpus} --nodes {REQUESTS.nodes(model)}"
    if C.machine.tensorboard:
        folder = P.log("tensorboard", *wildcards).with_suffix("")
        options += f" --tensorboard {shlex.quote(str(folder))}"
    return Untracked(options)


rule train_model:
    input:
        index=ancient(data_of),
    output:
        weights=MODEL.weights,
        manifest=manifest(MODEL.weights),
        history=MODEL.history,
        snapshots=SNAPSHOTS,
    log:
        P.log("train_model", "{family}", "tau={tau}", "seed={seed}"),
    benchmark:
        P.benchmark("train_model", "{family}", "tau={tau}", "seed={seed}")
    wildcard_constraints:
        family=one_of(TRAINED),
    conda:
        ENVIRONMENT
    threads: lambda wildcards: ESTIMATES.cores(C.model(*wildcards), training=True)
    resources:
        **REQUESTS.of(training=True),
    params:
        *TRAIN,
        spec=TRAIN.spec,
        folder=str(MODEL.folder),
        machine=machine_options,
    message:
        "Training {wildcards.family}, τ = {wildcards.tau}, seed {wildcards.seed}"
    shell:
        "toporepro train --log {log:q} --spec {params.spec:q} --data {input.index:q}"
        " --out {params.folder:q} {params.machine}"
