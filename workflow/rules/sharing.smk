# Score tables from elsewhere in place of trials, and score tables for others.

for _dataset, _absent in SOURCED.items():

    rule:
        name:
            f"fetch_{_dataset}"
        input:
            spec=spec_file(_dataset, "source"),
            data=f"<results>/{_dataset}/data/dataset.json",
        output:
            score_files(_dataset, inputs.fetched_tables),
            report(
                f"<results>/{_dataset}/scores/source.md",
                caption="../report/source.rst",
                category=_dataset,
                labels={"figure": "source of the scores"},
            ),
        log:
            f"<logs>/{_dataset}/fetch.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            bat=BAT,
            data=subpath(input.data, parent=True),
            out=subpath(output[0], parent=True),
        message:
            f"Fetching the score tables of {_dataset}"
        shell:
            "{params.bat} scores fetch --spec {input.spec:q} --data {params.data:q}"
            " --out {params.out:q} --log {log:q}"

    if _absent:

        rule:
            name:
                f"absent_{_dataset}"
            input:
                lambda wildcards, name=_dataset: absent(name),
            output:
                [
                    f"<results>/{_dataset}/{file}"
                    for table in sorted(_absent)
                    for file in catalogue.OF_DATASET[table]
                ],


rule export:
    input:
        lambda wildcards: score_files(wildcards.dataset, inputs.shared_tables),
        "<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/scores-{dataset}.zip",
    log:
        "<logs>/{dataset}/export.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(output[0], parent=True),
    message:
        "Packing the score tables of {wildcards.dataset}"
    shell:
        "{params.bat} scores export --dataset {params.dataset:q} --out {output:q} --log {log:q}"


rule exports:
    input:
        expand("<results>/{dataset}/scores-{dataset}.zip", dataset=CONFIG.datasets),
