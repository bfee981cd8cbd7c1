# The explorer: maps of all networks on one page.


def images_of(model):
    """The prepared images that the page shows of a family: its own, and its best stimuli."""
    split = model.measure.measures.get("best_stimuli", {}).get("stimuli", "")
    dataset, _, split = split.rpartition("/")
    stimuli = model.measure.stimuli[dataset] if dataset else model.train.data
    return {"data": model.train.data, **({"stimuli": stimuli} if split else {})}, split


IMAGES = {
    model.family: images_of(model)
    for model in C.models
    if "best_stimuli" in model.measure.measures or model.train.architecture == "mlp"
}
EXPLORER = Fields(
    {
        (): {
            "preset": C.name,
            "about": C.preset.about,
            "families": C.families(C.preset.families),
            "models": [[model.family, model.tau, model.seed] for model in C.models],
            "palette": C.preset.style.palette,
            "megabytes": C.preset.explorer_megabytes,
            "shown": {
                name: {
                    **{key: prepared_name(spec) for key, spec in images.items()},
                    "split": split,
                }
                for name, (images, split) in IMAGES.items()
            },
        }
    },
    "explorer",
    lambda spec: [f"measure.{name}" for name in C.preset.measures],
)
# What the page is made of besides modules.
BUNDLE = [
    Path(workflow.basedir, "workflow/toporepro/report", f"explorer.{name}")
    for name in ("bundle.css", "bundle.js", "html.jinja")
]


rule write_explorer:
    input:
        units=[path_of(model).units for model in C.models],
        weights=[path_of(model).weights for model in C.models],
        measures=P.table("measures"),
        data=sorted(
            {
                P.prepared(spec)
                for images, _ in IMAGES.values()
                for spec in images.values()
            }
        ),
    output:
        page=P.explorer,
        manifest=manifest(P.explorer),
    log:
        P.log("write_explorer"),
    benchmark:
        P.benchmark("write_explorer")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        *EXPLORER,
        *(f"{path.name}={sha256(path)}" for path in BUNDLE),
        spec=EXPLORER.spec,
        models=Untracked(shlex.join(str(path_of(model).folder) for model in C.models)),
        tables=str(P.table("measures").parent),
    message:
        "Writing the explorer"
    shell:
        "toporepro explorer --log {log:q} --spec {params.spec:q} --models {params.models}"
        " --tables {params.tables:q} --data {input.data:q} --out {output.page:q}"
