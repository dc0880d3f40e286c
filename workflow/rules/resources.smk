# What the jobs that go through Slurm ask for; the other rules are small and run where snakemake
# runs. A cluster's own file or --set-resources RULE:NAME=VALUE changes single values.

RESOURCES = {
    "trials": {
        "gpu": 0 if CONFIG.compute.device == "cpu" else 1,
        "mem_mb": lambda wildcards, attempt: 8000 * attempt,
        # trials per job are counted to fill half of it
        "runtime": lambda wildcards, attempt: (
            2 * CONFIG.datasets[wildcards.dataset].scores.job_minutes * attempt
        ),
    },
    "training": {
        "gpu": 0 if CONFIG.compute.device == "cpu" else 1,
        "mem_mb": lambda wildcards, attempt: 16000 * attempt,
        # a training that runs out of time goes on from its checkpoint
        "runtime": lambda wildcards, attempt: 720 * attempt,
    },
    "tables": {
        "mem_mb": lambda wildcards, attempt: 8000 * attempt,
        "runtime": lambda wildcards, attempt: 60 * attempt,
    },
}
