# What `bat.plan.inputs` says that jobs are made from, as files of the data set and architecture in
# the wildcards; what only the workflow knows is added here.


def comparison_of(wildcards):
    """The specification of what compares the runs."""
    return spec_of(wildcards.dataset, f"comparison-{wildcards.architecture}")


def run_inputs(wildcards):
    """Groups, scores and the run that it starts from, where the run uses them."""
    spec = spec_of(wildcards.dataset, f"{wildcards.architecture}-run-{wildcards.run}")
    return {
        name: f"{RESULTS}/{wildcards.dataset}/{file}"
        for name, file in inputs.run_inputs(spec, wildcards.seed).items()
    }


def start_option(wildcards, input):
    """The model of the run that another starts from."""
    start = input.get("start")
    return "" if start is None else f"--start {shlex.quote(start)}"


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
    file = inputs.checkpoint_file(wildcards.architecture, wildcards.run, wildcards.seed)
    return f"{RESULTS}/{wildcards.dataset}/{file}"


def other_checkpoint(wildcards):
    """The model of another seed that the transfer attack is made on, where there is one."""
    comparison = comparison_of(wildcards)
    other = inputs.other_seed(int(wildcards.seed), wildcards.run, comparison)
    if other is None:
        return {}
    file = inputs.checkpoint_file(wildcards.architecture, wildcards.run, other)
    return {"source": f"{RESULTS}/{wildcards.dataset}/{file}"}


def source_option(wildcards, input):
    """The same model for the command line."""
    source = input.get("source")
    return "" if source is None else f"--source={shlex.quote(source)}"


def evaluation_spec(wildcards):
    """The attacks on the model: all of them, or PGD alone."""
    stage = inputs.evaluation_stage(wildcards.run, comparison_of(wildcards))
    return spec_file(wildcards.dataset, stage)


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


def made_from(entry):
    """All files of the data set and its runs that a figure or table is made from."""

    def files(wildcards):
        without = ["privacy"] if wildcards.dataset in WITHOUT_MARGINS else []
        used = inputs.used_files(CONFIG.datasets[wildcards.dataset], entry, without)
        if entry.scope == "dataset":
            return below(wildcards.dataset, [*inputs.inputs_of(entry), *used])
        comparison = comparison_of(wildcards)
        specs = [
            spec_of(wildcards.dataset, f"{wildcards.architecture}-run-{run}")
            for run in inputs.trained_runs(entry, comparison)
        ]
        needed = inputs.inputs_of(entry, comparison, specs)
        return below(wildcards.dataset, [*dict.fromkeys(needed), *used])

    return files


def compared_specs(entry):
    """Specifications of the compared runs that are trained here."""
    return lambda wildcards: [
        spec_file(wildcards.dataset, f"{wildcards.architecture}-run-{run}")
        for run in inputs.trained_runs(entry, comparison_of(wildcards))
    ]


def annotated_scores(wildcards):
    """Poisoning scores that the annotation study shows."""
    job = inputs.annotation_job(comparison_of(wildcards))
    file = inputs.result_file("poisoning", wildcards.architecture, *job)
    return below(wildcards.dataset, [file])


def pairs_of(entry):
    """Data sets and architectures that a figure or table of runs is made of."""
    return [
        (name, architecture)
        for name, dataset in CONFIG.datasets.items()
        for architecture in dataset.architectures
        if inputs.is_made(entry, SPECS[name, f"comparison-{architecture}"])
    ]


def comparison_files(*names, files=None):
    """Files of figures and tables of runs, all of each by default, wherever they are made."""
    return [
        f"{RESULTS}/{name}/{architecture}/{file}"
        for entry in map(CATALOGUE.get, names)
        for name, architecture in pairs_of(entry)
        for file in files or entry.outputs
    ]


def comparison_asked_for(entry):
    """Files of one figure or table of runs; refused where it is made of no architecture."""
    if files := comparison_files(entry.name):
        return files
    if "masking" in entry.needs:
        raise WorkflowError(
            f"{entry.name} shows checks that no configured data set makes; add masking: {{}} to "
            "its evaluation"
        )
    raise WorkflowError(
        f"{entry.name} is made of no architecture: every `only` in the configuration leaves it "
        "out; add it there, or ask for its file"
    )


def table_files(name, architecture):
    """The table of a pair that the paper has; of every configured pair where it is not."""
    pairs = pairs_of(CATALOGUE["methods"])
    wanted = [(name, architecture)] if (name, architecture) in pairs else pairs
    return [f"{RESULTS}/{n}/{a}/tables/methods.csv" for n, a in wanted]


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
