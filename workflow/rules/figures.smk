# Figures: one rule per figure, draw_NAME, which runs toporepro/figures/NAME.py on tidy tables.
PUBLISHED = "config/paper/figures.csv"
FIGURES = {name: C.figure_spec(name) for name in C.preset.figures}
NEEDS = {name: needs(name, spec) for name, spec in FIGURES.items()}
DRAW = {
    name: Fields({(): spec}, "figure", lambda _, name=name: [f"figures.{name}"])
    for name, spec in FIGURES.items()
}


def caption(name):
    path = Path(workflow.basedir, "workflow", "report", f"{name}.rst")
    return str(path) if path.exists() else None


for name, need in NEEDS.items():

    rule:
        name:
            f"draw_{name}"
        input:
            [P.table(table) for table in need.tables if table != "published"],
            published=[PUBLISHED] if "published" in need.tables else [],
            units=[P.model(*model).units for model in need.models],
        output:
            report(P.figure(name, "png"), caption=caption(name), category="Figures"),
            [P.figure(name, suffix) for suffix in need.suffixes if suffix != "png"],
            manifest=manifest(P.figure(name, "png")),
        log:
            P.log("figures", name),
        benchmark:
            P.benchmark("figures", name)
        localrule: True
        conda:
            ENVIRONMENT
        params:
            *DRAW[name],
            name=name,
            spec=DRAW[name].spec,
            tables=str(P.table("measures").parent),
            out=str(P.figure(name, "png").with_suffix("")),
            published="--published" if "published" in need.tables else "",
        message:
            f"Drawing {name}"
        shell:
            "toporepro figure {params.name} --log {log:q} --spec {params.spec:q}"
            " --tables {params.tables:q} {params.published} {input.published:q}"
            " --out {params.out:q} --units {input.units:q}"
