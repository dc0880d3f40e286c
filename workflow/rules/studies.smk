# The studies of section 3 and appendix B: what memorizing atypical samples does.

STUDY_FIGURES = {
    "fig1": ("pgd-at", False),
    "fig8": ("erm", False),
    "fig2": ("pgd-at", True),
    "fig14": ("erm", True),
}  # method, and whether it varies the share of atypical samples
SAME_FIGURES = {
    "fig1": [11, 12, 13],
    "fig8": [9, 10],
    "fig2": [17, 18, 19],
    "fig14": [15, 16],
}  # the paper's figures of the same kind for its other data sets and architectures


for _figure, (_method, _by_share) in STUDY_FIGURES.items():

    rule:
        name:
            f"draw_{_figure}"
        input:
            study_histories(_method, _by_share),
            "<results>/{dataset}/groups/train.parquet",
            "<results>/{dataset}/groups/test.parquet",
            spec="<results>/{dataset}/specs/comparison-{architecture}.json",
            figures="<results>/{dataset}/specs/figures.json",
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
            figure=_figure,
            dataset=subpath(input.data, ancestor=2),
            out=subpath(output[0], strip_suffix=".pdf"),
        message:
            f"Drawing {_figure} of {{wildcards.dataset}} with {{wildcards.architecture}}"
        shell:
            "{params.bat} report {params.figure} --dataset {params.dataset}"
            " --arch {wildcards.architecture} --out {params.out} --log {log}"

    for _name in [_figure, *(f"fig{number}" for number in SAME_FIGURES[_figure])]:

        rule:
            name:
                _name
            input:
                comparison_files(
                    *(f"figures/{_figure}.{suffix}" for suffix in ("pdf", "png", "csv"))
                ),


rule typical_table:
    input:
        study_histories("erm", True),
        study_histories("pgd-at", True),
        "<results>/{dataset}/groups/train.parquet",
        "<results>/{dataset}/groups/test.parquet",
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        multiext("<results>/{dataset}/{architecture}/tables/typical", ".csv", ".md", ".tex"),
    log:
        "<logs>/{dataset}/{architecture}/typical.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Comparing shares of atypical samples on {wildcards.dataset}, {wildcards.architecture}"
    shell:
        "{params.bat} report typical --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule substitution_table:
    input:
        substitution_inputs,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        multiext("<results>/{dataset}/{architecture}/tables/substitution", ".csv", ".md", ".tex"),
    log:
        "<logs>/{dataset}/{architecture}/substitution.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Comparing the scores behind BAT on {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} report substitution --dataset {params.dataset}"
        " --arch {wildcards.architecture} --out {params.out} --log {log}"


rule section3:
    input:
        comparison_files(
            *(
                f"figures/{figure}.{suffix}"
                for figure in STUDY_FIGURES
                for suffix in ("pdf", "png")
            ),
            *("tables/typical.csv", "tables/substitution.csv"),
        ),
