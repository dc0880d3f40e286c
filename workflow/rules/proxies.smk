# Scores of single trainings on the whole training set, where they are configured.

PROXIED = [name for name, dataset in CONFIG.datasets.items() if dataset.proxies is not None]


rule watched_training:
    input:
        spec=specification("courses"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again: what holds all that is wanted is not trained again
        update("<results>/{dataset}/proxies/{architecture}-seed{seed}.parquet"),
    log:
        "<logs>/{dataset}/proxies/{architecture}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/proxies/{architecture}-seed{seed}.tsv"
    wildcard_constraints:
        dataset=one_of(PROXIED),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        device=f"{DEVICE} {COMPILE}",
    message:
        "Watching a training of {wildcards.architecture} on {wildcards.dataset}, "
        "seed {wildcards.seed}"
    shell:
        "{params.bat} proxies train --spec {input.spec:q} --data {params.data:q} --out {output:q}"
        " --seed {wildcards.seed} --threads {threads} {params.device} --log {log:q}"


rule proxy_scores:
    input:
        spec=specification("proxies"),
        data="<results>/{dataset}/data/dataset.json",
        courses=of_dataset(inputs.course_files),
    output:
        update("<results>/{dataset}/scores/proxies.parquet"),
        update("<results>/{dataset}/proxies/by_seed.parquet"),
    log:
        "<logs>/{dataset}/proxies.log",
    wildcard_constraints:
        dataset=one_of(PROXIED),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        out=subpath(input.data, ancestor=2),
    message:
        "Scoring the samples of {wildcards.dataset} by single trainings"
    shell:
        "{params.bat} proxies table --spec {input.spec:q} --data {params.data:q}"
        " --courses {input.courses:q} --out {params.out:q} --log {log:q}"
