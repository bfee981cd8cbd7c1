# Claims and pages: what people read.
CLAIMS = Fields(
    {
        (): {
            "preset": C.name,
            "families": C.families(C.preset.families),
            **yaml.safe_load(
                Path(workflow.basedir, "config/paper/claims.yaml").read_text()
            ),
        }
    },
    "claims",
    lambda spec: [],
)


rule judge_claims:
    input:
        measures=P.table("measures"),
        published=PUBLISHED,
    output:
        report(P.claims, caption="../report/claims.rst", category="Claims"),
        P.claims.with_suffix(".md"),
        manifest=manifest(P.claims),
    log:
        P.log("judge_claims"),
    benchmark:
        P.benchmark("judge_claims")
    params:
        *CLAIMS,
        spec=CLAIMS.spec,
        tables=str(P.table("measures").parent),
    message:
        "Judging the paper's claims"
    shell:
        "toporepro claims --log {log:q} --spec {params.spec:q} --tables {params.tables:q}"
        " --published {input.published:q} --out {output[0]:q}"
