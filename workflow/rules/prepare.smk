# Data: fetched where needed, checked, and laid out for memory-mapping; shared by presets. A dataset
# too large for one job is prepared in parts, which prepare_data then gathers.
from toporepro.data.scatter import parts as parts_of
from toporepro.data.scatter import plugins as prepare_modules
from toporepro.paths import prepared_part

INDEX = P.data / "prepared" / "{dataset}" / "dataset.json"
NAMED = {P.prepared(spec).parent.name: spec for spec in DATASETS.values()}
PARTS = {name: range(parts_of(spec)) for name, spec in NAMED.items()}


def preparing(spec):
    """The modules that prepare a dataset. Whoever reads one has them among its parameters, and takes
    its index as ancient: prepared anew it is the same, as it is where only results were restored.
    """
    return ("data.prepare", *prepare_modules(spec))


PREPARE = Fields(
    {(name,): spec for name, spec in NAMED.items()}, "prepare", prepare_modules
)
PREPARE_PART = Fields(
    {
        (name, f"{part:05d}"): spec
        for name, spec in NAMED.items()
        for part in PARTS[name]
    },
    "prepare",
    prepare_modules,
)


def parts_to_gather(wildcards):
    index = P.data / "prepared" / wildcards.dataset / "dataset.json"
    return [prepared_part(index, part) for part in PARTS[wildcards.dataset]]


rule prepare_part:
    output:
        prepared_part(INDEX, "{part}"),
    log:
        P.log("prepare_part", "{dataset}", "{part}"),
    benchmark:
        P.benchmark("prepare_part", "{dataset}", "{part}")
    wildcard_constraints:
        part="[0-9]{5}",
    conda:
        ENVIRONMENT
    params:
        *PREPARE_PART,
        spec=PREPARE_PART.spec,
        raw=str(P.data),
        index=str(INDEX),
        number=lambda wildcards: Untracked(str(int(wildcards.part))),
    message:
        "Preparing {wildcards.dataset}, part {wildcards.part}"
    shell:
        "toporepro prepare --log {log:q} --spec {params.spec:q} --raw {params.raw:q}"
        " --out {params.index:q} --part {params.number}"


rule prepare_data:
    input:
        parts_to_gather,
    output:
        index=INDEX,
        manifest=manifest(INDEX),
    log:
        P.log("prepare_data", "{dataset}"),
    benchmark:
        P.benchmark("prepare_data", "{dataset}")
    conda:
        ENVIRONMENT
    params:
        *PREPARE,
        spec=PREPARE.spec,
        raw=str(P.data),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "toporepro prepare --log {log:q} --spec {params.spec:q}"
        " --raw {params.raw:q} --out {output.index:q}"
