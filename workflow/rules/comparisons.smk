# What compares the runs of one architecture on one data set: tables and figures, by their names.

REPORT = (
    "{params.bat} report {params.name} --spec {input.spec:q} --runs {input.runs:q}"
    " --dataset {params.dataset:q} --out {params.out:q} --log {log:q}"
)


TABLES = [name for name, of in inputs.COMPARED.items() if of.suffixes != inputs.FIGURE]
COMPARED_FIGURES = [name for name in inputs.COMPARED if name not in TABLES]


for _table in TABLES:

    rule:
        name:
            f"{_table}_table"
        input:
            compared_files(_table),
            runs=compared_specs(_table),
            spec=specification("comparison-{architecture}"),
            data="<results>/{dataset}/data/dataset.json",
        output:
            multiext(
                f"<results>/{{dataset}}/{{architecture}}/tables/{_table}",
                *inputs.COMPARED[_table].suffixes,
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


for _figure in COMPARED_FIGURES:

    rule:
        name:
            f"draw_{_figure}"
        input:
            compared_files(_figure),
            runs=compared_specs(_figure),
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


for _number, _pair in inputs.PAPER_TABLES.items():

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
