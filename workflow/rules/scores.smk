rule trials:
    input:
        spec=RESULTS + "/{dataset}/specs/trials-{architecture}.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
    output:
        # kept when the job starts again: its trials are taken over where the recipe is the same
        update(RESULTS + "/{dataset}/trials/{architecture}-{first}-{last}.parquet"),
    log:
        "logs/{dataset}/trials/{architecture}-{first}-{last}.log",
    benchmark:
        "logs/{dataset}/trials/{architecture}-{first}-{last}.tsv"
    threads: 1
    message:
        "Training {wildcards.architecture} on random subsets of {wildcards.dataset}, "
        "trials {wildcards.first} to {wildcards.last}"
    params:
        data=subpath(input.data, parent=True),
        device=DEVICE,
    shell:
        BAT + " trials --spec {input.spec} --data {params.data} --out {output}"
        " --threads {threads} {params.device} --log {log}"


rule memorization:
    input:
        spec=RESULTS + "/{dataset}/specs/scores.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
        shards=score_shards,
    output:
        RESULTS + "/{dataset}/scores/memorization.parquet",
        RESULTS + "/{dataset}/scores/influence.parquet",
        RESULTS + "/{dataset}/scores/test.parquet",
    log:
        "logs/{dataset}/memorization.log",
    benchmark:
        "logs/{dataset}/memorization.tsv"
    threads: 2
    message:
        "Estimating memorization and influence on {wildcards.dataset}"
    params:
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    shell:
        BAT + " scores --spec {input.spec} --data {params.data} --out {params.out}"
        " --shards {input.shards} --log {log}"


rule ensembles:
    input:
        spec=RESULTS + "/{dataset}/specs/ensembles.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
        shards=ensemble_shards,
    output:
        RESULTS + "/{dataset}/scores/disagreement.parquet",
        RESULTS + "/{dataset}/scores/confidence.parquet",
    log:
        "logs/{dataset}/ensembles.log",
    benchmark:
        "logs/{dataset}/ensembles.tsv"
    message:
        "Measuring disagreement and confidence on {wildcards.dataset}"
    params:
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    shell:
        BAT + " ensembles --spec {input.spec} --data {params.data} --out {params.out}"
        " --shards {input.shards} --log {log}"


rule convergence_table:
    input:
        spec=RESULTS + "/{dataset}/specs/convergence.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
        shards=score_shards,
    output:
        RESULTS + "/{dataset}/scores/convergence.csv",
    log:
        "logs/{dataset}/convergence.log",
    message:
        "Checking how far the scores of {wildcards.dataset} have converged"
    params:
        data=subpath(input.data, parent=True),
    shell:
        BAT + " convergence --spec {input.spec} --data {params.data} --out {output}"
        " --shards {input.shards} --log {log}"


rule group_tables:
    input:
        RESULTS + "/{dataset}/scores/memorization.parquet",
        RESULTS + "/{dataset}/scores/influence.parquet",
        RESULTS + "/{dataset}/scores/test.parquet",
        spec=RESULTS + "/{dataset}/specs/groups.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
    output:
        RESULTS + "/{dataset}/groups/train.parquet",
        RESULTS + "/{dataset}/groups/test.parquet",
    log:
        "logs/{dataset}/groups.log",
    message:
        "Splitting {wildcards.dataset} into typical and atypical samples"
    params:
        data=subpath(input.data, parent=True),
        scores=subpath(input[0], parent=True),
        out=subpath(output[0], parent=True),
    localrule: True
    shell:
        BAT + " groups --spec {input.spec} --data {params.data} --scores {params.scores}"
        " --out {params.out} --log {log}"


rule figure:
    input:
        figure_inputs,
        spec=RESULTS + "/{dataset}/specs/figures.json",
        data=RESULTS + "/{dataset}/data/dataset.json",
    output:
        RESULTS + "/{dataset}/figures/{figure}.pdf",
        report(
            RESULTS + "/{dataset}/figures/{figure}.png",
            caption="../report/figure.rst",
            category="{dataset}",
            labels={"figure": "{figure}"},
        ),
        RESULTS + "/{dataset}/figures/{figure}.csv",
    log:
        "logs/{dataset}/figures/{figure}.log",
    message:
        "Drawing {wildcards.figure} of {wildcards.dataset}"
    params:
        dataset=subpath(input.data, ancestor=2),
        out=lambda wildcards, output: output[0].removesuffix(".pdf"),
    localrule: True
    shell:
        BAT + " figure {wildcards.figure} --dataset {params.dataset} --out {params.out}"
        " --log {log}"


rule scores:
    input:
        expand(
            RESULTS + "/{dataset}/scores/{table}.parquet",
            dataset=CONFIG.datasets,
            table=SCORE_TABLES,
        ),


for _figure in FIGURES:

    rule:
        name:
            _figure
        input:
            figure_files([_figure]),
