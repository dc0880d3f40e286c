# Appendix B.2 (iii): how well the features of the studies' models tell classes apart.


rule represent:
    input:
        "<results>/{dataset}/groups/test.parquet",
        groups="<results>/{dataset}/groups/train.parquet",
        checkpoint="<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/last.pt",
        spec=specification("{architecture}-run-{run}"),
        stage=specification("representation"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        update("<results>/{dataset}/{architecture}/representation/{run}/seed{seed}.json"),
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
        "{params.bat} represent --checkpoint {input.checkpoint:q} --spec {input.spec:q}"
        " --seed {wildcards.seed} --data {params.data:q} --groups {params.groups:q} --out {output:q} --threads {threads}"
        " {params.device} --log {log:q}"
