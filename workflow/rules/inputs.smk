# What the rules of training, evaluation and the studies are made from.


def run_inputs(wildcards):
    """Groups and scores, where the run uses them."""
    dataset = CONFIG.datasets[wildcards.dataset]
    run = studies.runs(dataset)[wildcards.run]
    inputs = {}
    if run.train_on.atypical is not None:
        inputs["groups"] = f"{RESULTS}/{wildcards.dataset}/groups/train.parquet"
    if run.method == "bat":
        inputs["scores"] = f"{RESULTS}/{wildcards.dataset}/scores/{run.score}.parquet"
    return inputs


def checkpoint(wildcards):
    """The model that is judged: a run's best epoch, or the file of an external model."""
    dataset = CONFIG.datasets[wildcards.dataset]
    external = dataset.external.get(wildcards.run)
    if external is not None:
        of = external.architecture or dataset.architectures[0]
        if of != wildcards.architecture:
            raise WorkflowError(
                f"the external model {wildcards.run} of {wildcards.dataset} is of {of}, and asked "
                f"for as {wildcards.architecture}; set its architecture if that is what it is"
            )
        return str(external.checkpoint)
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.architecture}/runs/{wildcards.run}"
    return f"{folder}/seed{wildcards.seed}/best.pt"


def evaluation_spec(wildcards):
    """All attacks for the runs of the tables, PGD for those of the ablation alone."""
    dataset = CONFIG.datasets[wildcards.dataset]
    tables = [*dataset.runs, *dataset.external, *studies.substitution_runs(dataset)]
    listed = wildcards.run in tables
    return spec_file(wildcards.dataset, "evaluation" if listed else "evaluation-ablation")


def network_specification(wildcards):
    """The code of a network of one's own."""
    if wildcards.architecture not in CONFIG.datasets[wildcards.dataset].networks:
        return {}
    return {"network": spec_file(wildcards.dataset, f"network-{wildcards.architecture}")}


def checkpoint_options(wildcards, input):
    """What the judged model's file may not say: normalization (ours have it), place of weights,
    and what it may not choose, code of one's own."""
    options = model_options(wildcards)
    network = input.get("network")
    return options if network is None else f"{options} --network {shlex.quote(network)}"


def model_options(wildcards):
    """Of the normalization, and where the weights are."""
    external = CONFIG.datasets[wildcards.dataset].external.get(wildcards.run)
    if external is None:
        return "--normalize"
    options = {True: "--normalize", False: "--no-normalize", None: ""}[external.normalize]
    return options if external.key is None else f"{options} --key '{external.key}'"


# -- runs that are compared, and files of theirs -------------------------------------------


def table_runs(dataset, architecture):
    """Every configured run, and the external models of the architecture."""
    return [*dataset.runs, *studies.external_models(dataset, architecture)]


def configured_runs(dataset, architecture):
    """Every configured run."""
    return list(dataset.runs)


def ablation_runs(dataset, architecture):
    """Every cell of the ablation."""
    grid = dataset.ablation
    return [studies.ablation_name(alpha, beta) for alpha in grid.alpha for beta in grid.beta]


def substitution_runs(dataset, architecture):
    """BAT with each score."""
    return list(studies.substitution_runs(dataset))


def study_runs(methods, by_share):
    """Runs that a figure or table of the studies shows."""

    def runs(dataset, architecture):
        shares = dataset.studies.atypical if by_share else [None]
        return [studies.study_name(method, share) for method in methods for share in shares]

    return runs


def of_runs(runs, files):
    """Files of some runs, of the data set and architecture in the wildcards."""

    def inputs(wildcards):
        dataset = CONFIG.datasets[wildcards.dataset]
        chosen = list(dict.fromkeys(runs(dataset, wildcards.architecture)))
        return files(wildcards.dataset, wildcards.architecture, dataset, chosen)

    return inputs


def evaluations(name, architecture, dataset, runs):
    """Evaluations at every seed, one of an external model, and the scores that BAT goes by."""
    known = studies.runs(dataset)
    by_memorization = any(getattr(known.get(run), "score", None) == "memorization" for run in runs)
    return [
        *(
            f"{RESULTS}/{name}/{architecture}/evaluations/{run}/seed{seed}.parquet"
            for run in runs
            for seed in ([0] if run in dataset.external else dataset.seeds)
        ),
        *([f"{RESULTS}/{name}/scores/memorization.parquet"] if by_memorization else []),
    ]


def histories(name, architecture, dataset, runs):
    """Histories at every seed."""
    folder = f"{RESULTS}/{name}/{architecture}/runs"
    return [f"{folder}/{run}/seed{seed}/history.parquet" for run in runs for seed in dataset.seeds]


def representations(name, architecture, dataset, runs):
    """Measures of the features at every seed."""
    folder = f"{RESULTS}/{name}/{architecture}/representation"
    return [f"{folder}/{run}/seed{seed}.json" for run in runs for seed in dataset.seeds]


def run_specs(name, architecture, dataset, runs):
    """Specifications of those that are trained here."""
    return [
        spec_file(name, f"{architecture}-run-{run}") for run in runs if run not in dataset.external
    ]


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


def poisoning_scores(run, seeds):
    """Scores under one run for the given number of seeds, or all."""

    def inputs(wildcards):
        dataset = CONFIG.datasets[wildcards.dataset]
        if run not in studies.runs(dataset):
            raise WorkflowError(
                f"poisoning scores of {wildcards.dataset} need the run {run}, which is not "
                "configured; add it to runs, or 0 to studies.atypical"
            )
        folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.architecture}/poisoning/{run}"
        return [f"{folder}/seed{seed}.parquet" for seed in dataset.seeds[:seeds]]

    return inputs


def answer_files(dataset, architecture):
    """What annotators have saved so far."""
    folder = f"{RESULTS}/{dataset}/{architecture}/annotation"
    return [str(path) for path in annotation.answer_files(Path(folder))]


def annotation_answers(wildcards):
    """Answers of the annotators; without any there is nothing to make a table of."""
    files = answer_files(wildcards.dataset, wildcards.architecture)
    if not files:
        folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.architecture}/annotation"
        raise WorkflowError(
            f"the annotation table waits for {folder}/answers/*.csv: open {folder}/sheet.html "
            "(target annotation_sheet) in a browser, answer, and put the saved file there"
        )
    return files


def annotation_tables():
    """Tables of the data sets and architectures with answers."""
    pairs = [(n, a) for n, dataset in CONFIG.datasets.items() for a in dataset.architectures]
    return [
        f"{RESULTS}/{name}/{architecture}/tables/annotation.csv"
        for name, architecture in pairs
        if answer_files(name, architecture)
    ]
