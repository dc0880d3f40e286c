# One job for each run of adversarial training and each seed.


rule train:
    input:
        unpack(run_inputs),
        spec=specification("{architecture}-run-{run}"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again; a run that is complete is left as it is
        update("<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/history.parquet"),
        update("<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/last.pt"),
        update("<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/best.pt"),
        update("<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/spec.json"),
    log:
        "<logs>/{dataset}/{architecture}/runs/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/runs/{run}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], parent=True),
        start=start_option,
        device=f"{DEVICE} {COMPILE}",
    message:
        "Training {wildcards.architecture} with {wildcards.run} on {wildcards.dataset}, "
        "seed {wildcards.seed}"
    shell:
        "{params.bat} train --spec {input.spec:q} --seed {wildcards.seed} --data {params.data:q}"
        " --out {params.out:q} --groups {params.dataset:q}/groups"
        " --scores {params.dataset:q}/scores {params.start} --threads {threads} {params.device} --log {log:q}"
