# The explorer: maps of all networks on one page.
from toporepro.config.pages import explorer_spec, images_shown

EXPLORER = Fields(
    {(): explorer_spec(C)},
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
        data=ancient(
            sorted(
                {
                    P.prepared(spec)
                    for images, _ in images_shown(C).values()
                    for spec in images.values()
                }
            )
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
