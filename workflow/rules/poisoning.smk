# Scores of poisoning atypical samples, and the annotation study (appendix B.3).

from bat.studies import annotation


rule poisoning_scores:
    input:
        checkpoint="<results>/{dataset}/{architecture}/runs/{run}/seed{seed}/best.pt",
        spec=specification("{architecture}-run-{run}"),
        stage=specification("poisoning"),
        data="<results>/{dataset}/data/dataset.json",
    output:
        update("<results>/{dataset}/{architecture}/poisoning/{run}/seed{seed}.parquet"),
    log:
        "<logs>/{dataset}/{architecture}/poisoning/{run}-seed{seed}.log",
    benchmark:
        "<logs>/{dataset}/{architecture}/poisoning/{run}-seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        **RESOURCES["training"],
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        device=DEVICE,
    message:
        "Scoring how poisonous the training samples of {wildcards.dataset} are to {wildcards.run} "
        "({wildcards.architecture}), seed {wildcards.seed}"
    shell:
        "{params.bat} poisoning score --checkpoint {input.checkpoint:q} --spec {input.spec:q}"
        " --seed {wildcards.seed} --data {params.data:q} --out {output:q} --threads {threads}"
        " {params.device} --log {log:q}"


rule write_annotation_sheet:
    input:
        scores=annotated_scores,
        groups="<results>/{dataset}/groups/train.parquet",
        data="<results>/{dataset}/data/dataset.json",
    output:
        # kept until the new ones are whole: answers mean nothing without their key
        update("<results>/{dataset}/{architecture}/annotation/sheet.html"),
        update("<results>/{dataset}/{architecture}/annotation/key.json"),
    log:
        "<logs>/{dataset}/{architecture}/annotation-sheet.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        data=subpath(input.data, parent=True),
        out=subpath(output[0], parent=True),
    message:
        "Making the annotation sheet of {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} annotate sheet --scores {input.scores:q} --groups {input.groups:q}"
        " --data {params.data:q} --out {params.out:q} --log {log:q}"


rule write_annotation_table:
    input:
        answers=annotation_answers,
        key="<results>/{dataset}/{architecture}/annotation/key.json",
    output:
        [
            f"<results>/{{dataset}}/{{architecture}}/{file}"
            for file in CATALOGUE["annotation"].outputs
        ],
    log:
        "<logs>/{dataset}/{architecture}/annotation-table.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Counting what annotators said of {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} annotate table --key {input.key:q} --out {params.out:q} --log {log:q}"
        " {input.answers:q}"


rule annotation_sheet:
    input:
        comparison_files("annotation", files=["annotation/sheet.html"]),


rule annotation_table:
    input:
        # without any answers the tables are asked for all the same, and say what they wait for
        annotation_tables() or comparison_files("annotation", files=["tables/annotation.csv"]),
