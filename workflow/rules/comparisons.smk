# What compares the runs of one architecture on one data set: tables and figures, by their names.

GROUP_TABLES = [f"<results>/{{dataset}}/groups/{split}.parquet" for split in ("train", "test")]
# by name: the runs that are compared, what is read of each, and of the data set
COMPARED_TABLES = {
    "methods": (table_runs, evaluations, []),
    "substitution": (substitution_runs, evaluations, []),
    "typical": (study_runs(["erm", "pgd-at"], True), histories, GROUP_TABLES),
    "representation": (study_runs(["erm", "pgd-at"], True), representations, GROUP_TABLES),
    "history": (configured_runs, histories, GROUP_TABLES),
}
FOR_PROGRAMS = {"history"}  # tables without a form for readers
COMPARED_FIGURES = {
    "fig4": (ablation_runs, evaluations, []),
    "fig1": (study_runs(["pgd-at"], False), histories, GROUP_TABLES),
    "fig2": (study_runs(["pgd-at"], True), histories, GROUP_TABLES),
    "fig8": (study_runs(["erm"], False), histories, GROUP_TABLES),
    "fig14": (study_runs(["erm"], True), histories, GROUP_TABLES),
}
REPORT = (
    "{params.bat} report {params.name} --spec {input.spec:q} --runs {input.runs:q}"
    " --dataset {params.dataset:q} --out {params.out:q} --log {log:q}"
)


for _table, (_runs, _files, _shared) in COMPARED_TABLES.items():

    rule:
        name:
            f"{_table}_table"
        input:
            of_runs(_runs, _files),
            *_shared,
            runs=of_runs(_runs, run_specs),
            spec=specification("comparison-{architecture}"),
            data="<results>/{dataset}/data/dataset.json",
        output:
            multiext(
                f"<results>/{{dataset}}/{{architecture}}/tables/{_table}",
                *([".csv"] if _table in FOR_PROGRAMS else [".csv", ".md", ".tex"]),
            ),
        log:
            f"<logs>/{{dataset}}/{{architecture}}/{_table}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            bat=BAT,
            name=_table,
            dataset=subpath(input.data, ancestor=2),
            out=subpath(output[0], strip_suffix=".csv"),
        message:
            f"Writing the table {_table} of {{wildcards.dataset}}, {{wildcards.architecture}}"
        shell:
            REPORT


for _figure, (_runs, _files, _shared) in COMPARED_FIGURES.items():

    rule:
        name:
            f"draw_{_figure}"
        input:
            of_runs(_runs, _files),
            *_shared,
            runs=of_runs(_runs, run_specs),
            spec=specification("comparison-{architecture}"),
            data="<results>/{dataset}/data/dataset.json",
        output:
            f"<results>/{{dataset}}/{{architecture}}/figures/{_figure}.pdf",
            report(
                f"<results>/{{dataset}}/{{architecture}}/figures/{_figure}.png",
                caption=f"../report/{_figure}.rst",
                category="{dataset}",
                labels={"figure": _figure, "architecture": "{architecture}"},
            ),
            f"<results>/{{dataset}}/{{architecture}}/figures/{_figure}.csv",
        log:
            f"<logs>/{{dataset}}/{{architecture}}/{_figure}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            bat=BAT,
            name=_figure,
            dataset=subpath(input.data, ancestor=2),
            out=subpath(output[0], strip_suffix=".pdf"),
        message:
            f"Drawing {_figure} of {{wildcards.dataset}} with {{wildcards.architecture}}"
        shell:
            REPORT


# -- their short names ----------------------------------------------------------------------

SAME_FIGURES = {
    "fig1": [11, 12, 13],
    "fig8": [9, 10],
    "fig2": [17, 18, 19],
    "fig14": [15, 16],
}  # the paper's figures of the same kind for its other data sets and architectures


for _figure in COMPARED_FIGURES:
    for _name in [_figure, *(f"fig{number}" for number in SAME_FIGURES.get(_figure, []))]:

        rule:
            name:
                _name
            input:
                comparison_files(
                    *(f"figures/{_figure}.{suffix}" for suffix in ("pdf", "png", "csv"))
                ),


for _number, _pair in studies.PAPER_TABLES.items():

    rule:
        name:
            f"table{_number}"
        input:
            table_files(*_pair),


rule comparisons:
    input:
        comparison_files(
            *("tables/methods.csv", "tables/history.csv"),
            *("figures/fig4.pdf", "figures/fig4.png"),
        ),


rule section3:
    input:
        comparison_files(
            *(
                f"figures/{figure}.{suffix}"
                for figure in SAME_FIGURES
                for suffix in ("pdf", "png")
            ),
            *("tables/typical.csv", "tables/substitution.csv"),
        ),


rule representation:
    input:
        comparison_files("tables/representation.csv"),
