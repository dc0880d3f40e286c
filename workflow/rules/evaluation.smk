# Attacks on the trained models, and what compares them.


def checkpoint(wildcards):
    """The model that is judged: a run's best epoch, or the file of an external model."""
    external = CONFIG.datasets[wildcards.dataset].external.get(wildcards.run)
    if external is not None:
        return str(external.checkpoint)
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.architecture}/runs/{wildcards.run}"
    return f"{folder}/seed{wildcards.seed}/best.pt"


def evaluation_spec(wildcards):
    """All attacks for the runs of the tables, PGD for those of the ablation alone."""
    dataset = CONFIG.datasets[wildcards.dataset]
    tables = [*dataset.runs, *dataset.external, *studies.substitution_runs(dataset)]
    listed = wildcards.run in tables
    return f"{RESULTS}/{wildcards.dataset}/specs/evaluation{'' if listed else '-ablation'}.json"


def normalization(wildcards):
    """Whether the judged model expects normalized images, as ours do."""
    external = CONFIG.datasets[wildcards.dataset].external.get(wildcards.run)
    return "--normalize" if external is None or external.normalize else "--no-normalize"


def compared(name, architecture, runs):
    """Evaluations of the named runs at every seed."""
    dataset = CONFIG.datasets[name]
    return [
        f"{RESULTS}/{name}/{architecture}/evaluations/{run}/seed{seed}.parquet"
        for run in runs
        for seed in ([0] if run in dataset.external else dataset.seeds)
    ]


def methods_inputs(wildcards):
    """Evaluations of every configured run and external model."""
    dataset = CONFIG.datasets[wildcards.dataset]
    runs = [*dataset.runs, *dataset.external]
    return compared(wildcards.dataset, wildcards.architecture, runs)


def ablation_inputs(wildcards):
    """Evaluations of every cell of the ablation."""
    grid = CONFIG.datasets[wildcards.dataset].ablation
    cells = [studies.ablation_name(alpha, beta) for alpha in grid.alpha for beta in grid.beta]
    return compared(wildcards.dataset, wildcards.architecture, dict.fromkeys(cells))


def histories(wildcards, runs):
    """Histories of the named runs at every seed."""
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.architecture}/runs"
    return [
        f"{folder}/{run}/seed{seed}/history.parquet"
        for run in runs
        for seed in CONFIG.datasets[wildcards.dataset].seeds
    ]


def history_inputs(wildcards):
    """Histories of every configured run."""
    return histories(wildcards, CONFIG.datasets[wildcards.dataset].runs)


def comparison_files(*files):
    """Files of every configured data set and architecture."""
    return [
        f"{RESULTS}/{name}/{architecture}/{file}"
        for name, dataset in CONFIG.datasets.items()
        for architecture in dataset.architectures
        for file in files
    ]


def table_files(name, architecture):
    """The table of a pair that the paper has; of every configured pair where it is not."""
    pairs = [(n, a) for n, dataset in CONFIG.datasets.items() for a in dataset.architectures]
    wanted = [(name, architecture)] if (name, architecture) in pairs else pairs
    return [f"{RESULTS}/{n}/{a}/tables/methods.csv" for n, a in wanted]


rule evaluate:
    input:
        checkpoint=checkpoint,
        spec=evaluation_spec,
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/evaluations/{run}/seed{seed}.parquet",
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
        data=subpath(input.data, parent=True),
        normalize=normalization,
        device=DEVICE,
    message:
        "Attacking {wildcards.run} ({wildcards.architecture}) on {wildcards.dataset}, "
        "seed {wildcards.seed}"
    shell:
        "{params.bat} evaluate --checkpoint {input.checkpoint} --arch {wildcards.architecture}"
        " {params.normalize} --spec {input.spec} --data {params.data} --out {output}"
        " --threads {threads} {params.device} --log {log}"


rule methods_table:
    input:
        methods_inputs,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        multiext("<results>/{dataset}/{architecture}/tables/methods", ".csv", ".md", ".tex"),
    log:
        "<logs>/{dataset}/{architecture}/methods.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Comparing the methods on {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} report methods --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule draw_fig4:
    input:
        ablation_inputs,
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/figures/fig4.pdf",
        report(
            "<results>/{dataset}/{architecture}/figures/fig4.png",
            caption="../report/fig4.rst",
            category="{dataset}",
            labels={"figure": "fig4", "architecture": "{architecture}"},
        ),
        "<results>/{dataset}/{architecture}/figures/fig4.csv",
    log:
        "<logs>/{dataset}/{architecture}/fig4.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".pdf"),
    message:
        "Drawing the ablation of BAT on {wildcards.dataset} with {wildcards.architecture}"
    shell:
        "{params.bat} report fig4 --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule history_table:
    input:
        history_inputs,
        "<results>/{dataset}/groups/train.parquet",
        "<results>/{dataset}/groups/test.parquet",
        spec="<results>/{dataset}/specs/comparison-{architecture}.json",
        figures="<results>/{dataset}/specs/figures.json",
        data="<results>/{dataset}/data/dataset.json",
    output:
        "<results>/{dataset}/{architecture}/tables/history.csv",
    log:
        "<logs>/{dataset}/{architecture}/history.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        dataset=subpath(input.data, ancestor=2),
        out=subpath(output[0], strip_suffix=".csv"),
    message:
        "Following the groups of {wildcards.dataset} along training, {wildcards.architecture}"
    shell:
        "{params.bat} report history --dataset {params.dataset} --arch {wildcards.architecture}"
        " --out {params.out} --log {log}"


rule comparisons:
    input:
        comparison_files(
            *("tables/methods.csv", "tables/history.csv"),
            *("figures/fig4.pdf", "figures/fig4.png"),
        ),


rule fig4:
    input:
        comparison_files("figures/fig4.pdf", "figures/fig4.png", "figures/fig4.csv"),


for _number, _pair in studies.PAPER_TABLES.items():

    rule:
        name:
            f"table{_number}"
        input:
            table_files(*_pair),
