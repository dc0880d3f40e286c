"""What must hold in every table, checked value by value, ours and anybody's alike."""

from bat.validation.checks import (
    CONVERGENCE_COLUMNS,
    DRAWN_COLUMNS,
    GROUPS_MADE_OF,
    ROUNDING,
    check_all,
    check_convergence,
    check_files,
    check_metadata,
    check_model,
    check_table,
    check_together,
    groups_inputs,
    kind_of,
    made_already,
    read_checked,
)

__all__ = [
    "CONVERGENCE_COLUMNS",
    "DRAWN_COLUMNS",
    "GROUPS_MADE_OF",
    "ROUNDING",
    "check_all",
    "check_convergence",
    "check_files",
    "check_metadata",
    "check_model",
    "check_table",
    "check_together",
    "groups_inputs",
    "kind_of",
    "made_already",
    "read_checked",
]
