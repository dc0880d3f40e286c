"""What must hold in every table, checked value by value, ours and anybody's alike.

A file is read as it would be for use, then against its contract: the order of
the rows, ranges, counts that sum to the trials, differences that are what they
say. A value that a table's maker did not know is null, for all rows of the
column; its checks are left out.
"""

from bat.validation.convergence import CONVERGENCE_COLUMNS, DRAWN_COLUMNS, check_convergence
from bat.validation.csv_tables import read_rows
from bat.validation.folders import check_all, check_files
from bat.validation.groups import GROUPS_MADE_OF, by_margins, groups_inputs
from bat.validation.kinds import kind_of
from bat.validation.metadata import check_metadata
from bat.validation.privacy import check_rates
from bat.validation.reading import check_table, made_already, read_checked
from bat.validation.rows import ROUNDING
from bat.validation.runs import check_model
from bat.validation.together import check_beside, check_together

__all__ = [
    "CONVERGENCE_COLUMNS",
    "DRAWN_COLUMNS",
    "GROUPS_MADE_OF",
    "ROUNDING",
    "by_margins",
    "check_all",
    "check_beside",
    "check_convergence",
    "check_files",
    "check_metadata",
    "check_model",
    "check_rates",
    "check_table",
    "check_together",
    "groups_inputs",
    "kind_of",
    "made_already",
    "read_checked",
    "read_rows",
]
