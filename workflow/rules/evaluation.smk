# Attacks on the trained models, and whether these are robust or hide their gradient.


rule evaluate:
    input:
        unpack(network_specification),
        checkpoint=checkpoint,
        spec=evaluation_spec,
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again; one of the same model and attacks is left as it is
        update("<results>/{dataset}/{architecture}/evaluations/{run}/seed{seed}.parquet"),
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
        normalize=checkpoint_options,
        device=DEVICE,
    message:
        "Attacking {wildcards.run} ({wildcards.architecture}) on {wildcards.dataset}, "
        "seed {wildcards.seed}"
    shell:
        "{params.bat} evaluate --checkpoint={input.checkpoint:q} --arch {wildcards.architecture:q}"
        " {params.normalize} --dataset {params.dataset:q} --spec {input.spec:q} --out {output:q}"
        " --threads {threads} {params.device} --log {log:q}"


use rule evaluate as evaluate_last with:
    input:
        unpack(network_specification),
        checkpoint="<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/last.pt",
        spec=specification("evaluation"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        update("<results>/{dataset}/{architecture}/evaluations/{run}/seed{seed}-last.parquet"),
    log:
        "<logs>/{dataset}/{architecture}/evaluations-last/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/evaluations-last/{run}-seed{seed}.tsv"
    message:
        "Attacking the last epoch of {wildcards.run} ({wildcards.architecture}) on "
        "{wildcards.dataset}, seed {wildcards.seed}"


rule check_masking:
    input:
        unpack(network_specification),
        unpack(other_checkpoint),
        checkpoint=checkpoint,
        spec=specification("masking"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again; one of the same models and attacks is left as it is
        update("<results>/{dataset}/{architecture}/masking/{run}/seed{seed}.parquet"),
    log:
        "<logs>/{dataset}/{architecture}/masking/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/masking/{run}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        normalize=checkpoint_options,
        source=source_option,
        device=DEVICE,
    message:
        "Checking {wildcards.run} ({wildcards.architecture}) on {wildcards.dataset}, "
        "seed {wildcards.seed}, for a masked gradient"
    shell:
        "{params.bat} masking --checkpoint={input.checkpoint:q} --arch {wildcards.architecture:q}"
        " {params.normalize} {params.source} --dataset {params.dataset:q} --spec {input.spec:q}"
        " --out {output:q} --threads {threads} {params.device} --log {log:q}"
