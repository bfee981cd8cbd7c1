# Data: fetched where needed, checked, and laid out for memory-mapping; shared by presets.
INDEX = P.data / "prepared" / "{dataset}" / "dataset.json"
PREPARE = Fields(
    {(P.prepared(spec).parent.name,): spec for spec in DATASETS.values()},
    "prepare",
    lambda spec: [f"data.{spec.source}"],
)


rule prepare_data:
    output:
        index=INDEX,
        manifest=manifest(INDEX),
    log:
        P.log("prepare_data", "{dataset}"),
    benchmark:
        P.benchmark("prepare_data", "{dataset}")
    params:
        *PREPARE,
        spec=PREPARE.spec,
        raw=str(P.data),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "toporepro prepare --log {log:q} --spec {params.spec:q}"
        " --raw {params.raw:q} --out {output.index:q}"
