# Networks whose weights come from a checkpoint: converted, and then measured like all others.
CONVERT = Fields(
    {job_of(model): model.train for model in CONVERTED},
    "convert",
    lambda spec: [f"models.{spec.architecture}"],
)
CALIBRATE = Fields({(): {}}, "calibrate", lambda spec: [])


def checkpoint_file(wildcards):
    """A checkpoint of the user's own; published ones are fetched by the job."""
    file = C.model(*wildcards).train.checkpoint.file
    return [] if file is None else [file]


rule convert_checkpoint:
    input:
        checkpoint_file,
    output:
        weights=MODEL.weights,
        manifest=manifest(MODEL.weights),
        history=MODEL.history,
    log:
        P.log("convert_checkpoint", "{family}", "tau={tau}", "seed={seed}"),
    benchmark:
        P.benchmark("convert_checkpoint", "{family}", "tau={tau}", "seed={seed}")
    wildcard_constraints:
        family=one_of(CONVERTED),
    conda:
        ENVIRONMENT
    params:
        *CONVERT,
        spec=CONVERT.spec,
        folder=str(MODEL.folder),
        raw=str(P.data),
        lock=Untracked("config/checkpoints.lock.json"),
    message:
        "Converting {wildcards.family}, τ = {wildcards.tau}"
    shell:
        "toporepro convert --log {log:q} --spec {params.spec:q} --raw {params.raw:q}"
        " --lock {params.lock:q} --out {params.folder:q}"


# With the measure `definitions`, its variants are held against the paper's plotted points.
CALIBRATION = [P.table("calibration")] if "definitions" in C.preset.measures else []


rule calibrate_definitions:
    input:
        measures=P.table("measures"),
        published=PUBLISHED,
    output:
        summary=P.table("calibration"),
        residuals=P.table("calibration_residuals"),
        manifest=manifest(P.table("calibration")),
    log:
        P.log("calibrate_definitions"),
    benchmark:
        P.benchmark("calibrate_definitions")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        *CALIBRATE,
        tables=str(P.table("measures").parent),
    message:
        "Calibrating definitions on the published points"
    shell:
        "toporepro calibrate_definitions --log {log:q} --tables {params.tables:q}"
        " --published {input.published:q} --out {params.tables:q}"
