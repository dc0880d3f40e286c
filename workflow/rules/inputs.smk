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


def checkpoint_options(wildcards):
    """What the judged model's file may not say: normalization (ours have it), place of weights."""
    external = CONFIG.datasets[wildcards.dataset].external.get(wildcards.run)
    if external is None:
        return "--normalize"
    options = {True: "--normalize", False: "--no-normalize", None: ""}[external.normalize]
    return options if external.key is None else f"{options} --key '{external.key}'"


# -- figures and tables ---------------------------------------------------------------------


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
