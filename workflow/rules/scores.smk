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
    conda:
        "../../environment.yml"
    threads: 1
    params:
        data=subpath(input.data, parent=True),
        coverage=coverage,
        device=DEVICE,
    message:
        "Training {wildcards.architecture} on random subsets of {wildcards.dataset}, "
        "trials {wildcards.first} to {wildcards.last}"
    shell:
        BAT + " trials --spec {input.spec} --data {params.data} --out {output}"
        " {params.coverage} --threads {threads} {params.device} --log {log}"


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
    conda:
        "../../environment.yml"
    threads: 2
    params:
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Estimating memorization and influence on {wildcards.dataset}"
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
    conda:
        "../../environment.yml"
    params:
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Measuring disagreement and confidence on {wildcards.dataset}"
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
    conda:
        "../../environment.yml"
    params:
        data=subpath(input.data, parent=True),
    message:
        "Checking how far the scores of {wildcards.dataset} have converged"
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
    localrule: True
    conda:
        "../../environment.yml"
    params:
        data=subpath(input.data, parent=True),
        scores=subpath(input[0], parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Splitting {wildcards.dataset} into typical and atypical samples"
    shell:
        BAT + " groups --spec {input.spec} --data {params.data} --scores {params.scores}"
        " --out {params.out} --log {log}"


for _figure, _inputs in FIGURES.items():

    rule:
        name:
            f"draw_{_figure}"
        input:
            [RESULTS + "/{dataset}/" + file for file in _inputs],
            spec=RESULTS + "/{dataset}/specs/figures.json",
            data=RESULTS + "/{dataset}/data/dataset.json",
        output:
            RESULTS + f"/{{dataset}}/figures/{_figure}.pdf",
            report(
                RESULTS + f"/{{dataset}}/figures/{_figure}.png",
                caption=f"../report/{_figure}.rst",
                category="{dataset}",
                labels={"figure": _figure},
            ),
            RESULTS + f"/{{dataset}}/figures/{_figure}.csv",
        log:
            f"logs/{{dataset}}/figures/{_figure}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            figure=_figure,
            dataset=subpath(input.data, ancestor=2),
            out=lambda wildcards, output: output[0].removesuffix(".pdf"),
        message:
            f"Drawing {_figure} of {{wildcards.dataset}}"
        shell:
            BAT + " figure {params.figure} --dataset {params.dataset} --out {params.out}"
            " --log {log}"

    rule:
        name:
            _figure
        input:
            figure_files([_figure]),


rule scores:
    input:
        expand(
            RESULTS + "/{dataset}/scores/{table}.parquet",
            dataset=CONFIG.datasets,
            table=SCORE_TABLES,
        ),
