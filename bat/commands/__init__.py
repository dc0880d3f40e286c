"""The verbs of the command line, one file each: what they are asked with, and what they call."""

VERBS = (
    "prepare",
    "trials",
    "enough",
    "memorization",
    "convergence",
    "ensembles",
    "proxies",
    "groups",
    "privacy",
    "train",
    "evaluate",
    "masking",
    "represent",
    "report",
    "poisoning",
    "annotate",
    "scores",
    "theory",
    "paper",
    "browse",
    "summary",
    "plan",
    "schema",
    "check",
)
"""Files of this folder, in the order in which help lists them.

Each has ``add_parser(subparsers)``, which adds the verb and its options, and ``run(arguments)`` for
what is parsed, or a function for each of its actions. They import what they work with when they
run, so that asking for help takes no time. What is wrong is a `bat.errors.BatError`.
"""
