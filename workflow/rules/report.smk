# Claims and pages: what people read.
from toporepro.cost.plan import planned

CLAIMED = yaml.safe_load(Path(workflow.basedir, "config/paper/claims.yaml").read_text())
CLAIMS = Fields({(): C.claims_spec(CLAIMED)}, "claims", lambda spec: [])


rule judge_claims:
    input:
        measures=P.table("measures"),
        curves=P.table("curves"),
        published=PUBLISHED,
        units=[
            path_of(model).units
            for model in C.models
            if "selectivity" in model.measure.measures
        ],
    output:
        markdown=P.claims.with_suffix(".md"),
        summary=P.summary,
        claims=report(P.claims, caption="../report/claims.rst", category="Claims"),
        manifest=manifest(P.claims),
    log:
        P.log("judge_claims"),
    benchmark:
        P.benchmark("judge_claims")
    localrule: True
    conda:
        ENVIRONMENT
    params:
        *CLAIMS,
        spec=CLAIMS.spec,
        tables=str(P.table("measures").parent),
    message:
        "Judging the paper's claims"
    shell:
        "toporepro claims --log {log:q} --spec {params.spec:q} --tables {params.tables:q}"
        " --published {input.published:q} --units {input.units:q} --out {output.claims:q}"


MANIFESTS = [
    *(manifest(P.prepared(spec)) for spec in DATASETS.values()),
    *(manifest(path_of(model).weights) for model in C.models),
    *(manifest(path_of(model).measures) for model in C.models),
    manifest(P.table("measures")),
    *(manifest(P.figure(name, "png")) for name in FIGURES),
    manifest(P.claims),
    *map(manifest, CALIBRATION),
    manifest(P.explorer),
]
# What the page is made of besides modules, which a change of code would not show.
LOOKS = [
    Path(workflow.basedir, "workflow/toporepro/report/page.html.jinja"),
    *sorted(Path(workflow.basedir, "workflow/report").glob("*.rst")),
]
PAGE = Fields(
    {
        (): {
            "preset": C.name,
            "about": C.preset.about,
            "figures": list(FIGURES),
            "config": asdict(C.preset),
            "differences": list(C.differences),
        }
    },
    "report",
    lambda spec: [],
)


rule write_report:
    input:
        P.claims,
        [P.figure(name, "json") for name in FIGURES],
        [P.figure(name, "png") for name in FIGURES],
        manifests=MANIFESTS,
    output:
        P.report,
    log:
        P.log("write_report"),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        *PAGE,
        *(f"{path.name}={sha256(path)}" for path in LOOKS),
        spec=PAGE.spec,
        # What jobs were to take follows from the machine, and reruns nothing.
        plan=Untracked(encode(planned(C, ESTIMATES))),
        results=str(P.root),
    message:
        "Writing the report"
    shell:
        "toporepro report --log {log:q} --spec {params.spec:q} --results {params.results:q}"
        " --plan {params.plan:q} --manifests {input.manifests:q} --out {output:q}"
