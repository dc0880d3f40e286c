# Appendix B.2 (iii): how well the features of the studies' models tell classes apart.


rule represent:
    input:
        "<results>/{dataset}/groups/test.parquet",
        groups="<results>/{dataset}/groups/train.parquet",
        checkpoint="<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/last.pt",
        spec="<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/spec.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/representation/{run}/seed{seed}.json",
    log:
        "<logs>/{dataset}/{architecture}/representation/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/representation/{run}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        groups=subpath(input.groups, parent=True),
        device=DEVICE,
    message:
        "Measuring the features of {wildcards.run} ({wildcards.architecture}) on "
        "{wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "{params.bat} represent --checkpoint {input.checkpoint} --spec {input.spec}"
        " --data {params.data} --groups {params.groups} --out {output} --threads {threads}"
        " {params.device} --log {log}"


rule representation_table:
    input:
        representations,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        multiext("<results>/{dataset}/{architecture}/tables/representation", ".csv", ".md", ".tex"),
    log:
        "<logs>/{dataset}/{architecture}/representation.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Comparing the features of {wildcards.architecture} on {wildcards.dataset}"
    shell:
        "{params.bat} report representation --dataset {params.dataset}"
        " --arch {wildcards.architecture} --out {params.out} --log {log}"


rule representation:
    input:
        comparison_files("tables/representation.csv"),
