# Attacks on the trained models, and what compares them.


rule evaluate:
    input:
        checkpoint=checkpoint,
        spec=evaluation_spec,
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/evaluations/{run}/seed{seed}.parquet",
    log:
        "<logs>/{dataset}/{architecture}/evaluations/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/evaluations/{run}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        normalize=normalization,
        device=DEVICE,
    message:
        "Attacking {wildcards.run} ({wildcards.architecture}) on {wildcards.dataset}, "
        "seed {wildcards.seed}"
    shell:
        "{params.bat} evaluate --checkpoint {input.checkpoint} --arch {wildcards.architecture}"
        " {params.normalize} --dataset {params.dataset} --spec {input.spec} --out {output}"
        " --threads {threads} {params.device} --log {log}"


rule methods_table:
    input:
        methods_inputs,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        multiext("<results>/{dataset}/{architecture}/tables/methods", ".csv", ".md", ".tex"),
    log:
        "<logs>/{dataset}/{architecture}/methods.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Comparing the methods on {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} report methods --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule draw_fig4:
    input:
        ablation_inputs,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/figures/fig4.pdf",
        report(
            "<results>/{dataset}/{architecture}/figures/fig4.png",
            caption="../report/fig4.rst",
            category="{dataset}",
            labels={"figure": "fig4", "architecture": "{architecture}"},
        ),
        "<results>/{dataset}/{architecture}/figures/fig4.csv",
    log:
        "<logs>/{dataset}/{architecture}/fig4.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".pdf"),
    message:
        "Drawing the ablation of BAT on {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} report fig4 --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule history_table:
    input:
        history_inputs,
        "<results>/{dataset}/groups/train.parquet",
        "<results>/{dataset}/groups/test.parquet",
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/tables/history.csv",
    log:
        "<logs>/{dataset}/{architecture}/history.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Following the groups of {wildcards.dataset} along training, {wildcards.architecture}"
    shell:
        "{params.bat} report history --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule comparisons:
    input:
        comparison_files(
            *("tables/methods.csv", "tables/history.csv"),
            *("figures/fig4.pdf", "figures/fig4.png"),
        ),


rule fig4:
    input:
        comparison_files("figures/fig4.pdf", "figures/fig4.png", "figures/fig4.csv"),


for _number, _pair in studies.PAPER_TABLES.items():

    rule:
        name:
            f"table{_number}"
        input:
            table_files(*_pair),
