rule prepare:
    input:
        spec=specification("data"),
    output:
        "<results>/{dataset}/data/dataset.json",
    log:
        "<logs>/{dataset}/prepare.log",
    benchmark:
        "<logs>/{dataset}/prepare.tsv"
    localrule: True  # downloads, and nodes of a cluster often have no way out
    conda:
        "../../environment.yml"
    threads: 2
    params:
        bat=BAT,
        folder=subpath(output[0], parent=True),
    message:
        "Reading the images of {wildcards.dataset}"
    shell:
        "{params.bat} prepare --spec {input.spec:q} --out {params.folder:q} --threads {threads} --log {log:q}"
