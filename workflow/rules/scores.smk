rule trials:
    input:
        spec=lambda wildcards: trial_specification(wildcards.dataset, wildcards.architecture),
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again: its trials are taken over where the recipe is the same
        update("<results>/{dataset}/trials/{architecture}-{first}-{last}.parquet"),
    log:
        "<logs>/{dataset}/trials/{architecture}-{first}-{last}.log",
    benchmark:
        "<logs>/{dataset}/trials/{architecture}-{first}-{last}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["trials"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        coverage=coverage,
        device=f"{DEVICE} {COMPILE}",
    message:
        "Training {wildcards.architecture} on random subsets of {wildcards.dataset}, "
        "trials {wildcards.first} to {wildcards.last}"
    shell:
        "{params.bat} trials --spec {input.spec:q} --data {params.data:q} --out {output:q}"
        " {params.coverage} --threads {threads} {params.device} --log {log:q}"


# `trials: auto`: a round, whose end says whether there is another; no rule of it without, since
# with a checkpoint each job of a cluster looks at all jobs again
if UNTIL_ENOUGH:

    checkpoint enough:
        input:
            spec=specification("enough"),
            data="<results>/{dataset}/data/dataset.json",
            shards=of_trials(lambda wildcards: int(wildcards.trials)),
        output:
            update("<results>/{dataset}/trials/enough-{trials}.json"),
        log:
            "<logs>/{dataset}/trials/enough-{trials}.log",
        wildcard_constraints:
            dataset=one_of(UNTIL_ENOUGH),
            trials=r"\d{6}",
        localrule: True  # seconds, and each level of a cluster costs a polling interval
        conda:
            "../../environment.yml"
        params:
            bat=BAT,
            data=subpath(input.data, parent=True),
        message:
            "Looking whether {wildcards.trials} trials of {wildcards.dataset} are enough"
        shell:
            "{params.bat} enough --spec {input.spec:q} --data {params.data:q} --out {output:q}"
            " --shards {input.shards:q} --log {log:q}"


# outputs are kept until the new ones are whole: what was made of equal values is not made again
rule memorization:
    input:
        spec=specification("scores"),
        data="<results>/{dataset}/data/dataset.json",
        shards=score_trials,
        decisions=decisions,
    output:
        update("<results>/{dataset}/scores/memorization.parquet"),
        update("<results>/{dataset}/scores/influence.parquet"),
        update("<results>/{dataset}/scores/test.parquet"),
    log:
        "<logs>/{dataset}/memorization.log",
    benchmark:
        "<logs>/{dataset}/memorization.tsv"
    wildcard_constraints:
        dataset=one_of(TRAINED),
    # what does not need the scores is done first, since models that did not fit end the run here
    priority: -1
    conda:
        "../../environment.yml"
    threads: 2
    resources:
        **RESOURCES["tables"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Estimating memorization and influence on {wildcards.dataset}"
    shell:
        "{params.bat} memorization --spec {input.spec:q} --data {params.data:q} --out {params.out:q}"
        " --shards {input.shards:q} --log {log:q}"


rule ensembles:
    input:
        spec=specification("ensembles"),
        data="<results>/{dataset}/data/dataset.json",
        shards=of_dataset(shards.ensemble_shards),
    output:
        update("<results>/{dataset}/scores/disagreement.parquet"),
        update("<results>/{dataset}/scores/confidence.parquet"),
    log:
        "<logs>/{dataset}/ensembles.log",
    benchmark:
        "<logs>/{dataset}/ensembles.tsv"
    wildcard_constraints:
        dataset=one_of(TRAINED),
    conda:
        "../../environment.yml"
    resources:
        **RESOURCES["tables"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Measuring disagreement and confidence on {wildcards.dataset}"
    shell:
        "{params.bat} ensembles --spec {input.spec:q} --data {params.data:q} --out {params.out:q}"
        " --shards {input.shards:q} --log {log:q}"


rule convergence_table:
    input:
        spec=specification("convergence"),
        data="<results>/{dataset}/data/dataset.json",
        shards=score_trials,
        decisions=decisions,
    output:
        "<results>/{dataset}/scores/convergence.csv",
    log:
        "<logs>/{dataset}/convergence.log",
    wildcard_constraints:
        dataset=one_of(TRAINED),
    conda:
        "../../environment.yml"
    resources:
        **RESOURCES["tables"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
    message:
        "Checking how far the scores of {wildcards.dataset} have converged"
    shell:
        "{params.bat} convergence --spec {input.spec:q} --data {params.data:q} --out {output:q}"
        " --shards {input.shards:q} --log {log:q}"


rule membership_inference:
    input:
        spec=specification("privacy"),
        data="<results>/{dataset}/data/dataset.json",
        groups="<results>/{dataset}/groups/train.parquet",
        shards=score_trials,
        decisions=decisions,
    output:
        update("<results>/{dataset}/scores/privacy.parquet"),
        "<results>/{dataset}/scores/privacy.csv",
    log:
        "<logs>/{dataset}/privacy.log",
    benchmark:
        "<logs>/{dataset}/privacy.tsv"
    wildcard_constraints:
        dataset=one_of(TRAINED),
    conda:
        "../../environment.yml"
    resources:
        **RESOURCES["tables"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Attacking the trials of {wildcards.dataset}: who was trained on?"
    shell:
        "{params.bat} privacy --spec {input.spec:q} --data {params.data:q} --groups {input.groups:q}"
        " --out {params.out:q} --shards {input.shards:q} --log {log:q}"


rule group_tables:
    input:
        of_dataset(inputs.group_files),
        spec=specification("groups"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        update("<results>/{dataset}/groups/train.parquet"),
        update("<results>/{dataset}/groups/test.parquet"),
    log:
        "<logs>/{dataset}/groups.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        scores=subpath(input[0], parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Splitting {wildcards.dataset} into typical and atypical samples"
    shell:
        "{params.bat} groups --spec {input.spec:q} --data {params.data:q} --scores {params.scores:q}"
        " --out {params.out:q} --log {log:q}"


rule scores:
    input:
        [file for name in CONFIG.datasets for file in score_files(name)],
