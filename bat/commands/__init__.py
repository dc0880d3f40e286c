"""The verbs of the command line, one file each: what they are asked with, and what they call."""

VERBS = (
    "prepare",
    "trials",
    "memorization",
    "convergence",
    "ensembles",
    "groups",
    "train",
    "evaluate",
    "represent",
    "report",
    "poisoning",
    "annotate",
    "scores",
    "theory",
    "paper",
    "summary",
    "plan",
    "schema",
    "check",
)
"""Files of this folder that have ``add_parser(subparsers)``, in the order in which help lists them.

Each imports what it works with when it runs: asking for help takes no time.
"""
