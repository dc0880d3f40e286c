rule prepare:
    input:
        spec=RESULTS + "/{dataset}/specs/data.json",
    output:
        RESULTS + "/{dataset}/data/dataset.json",
    log:
        "logs/{dataset}/prepare.log",
    benchmark:
        "logs/{dataset}/prepare.tsv"
    conda:
        "../../environment.yml"
    threads: 2
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Reading the images of {wildcards.dataset}"
    shell:
        BAT + " prepare --spec {input.spec} --out {params.folder} --threads {threads} --log {log}"
