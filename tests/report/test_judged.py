"""Verdicts of evaluations as accuracies."""

import subprocess
import sys

import numpy as np
import pytest
from evaluated import ATTACKS, evaluation

from bat.errors import BatError
from bat.report import judged as judging


def test_accuracies_are_shares_of_the_samples():
    table = judging.accuracies(
        {("pgd-at", 0): evaluation(), ("trades", 1): evaluation(aa=4, clean=9)}
    )
    found = list(table.itertuples(index=False, name=None))
    assert found == [
        ("pgd-at", 0, "clean", 1.0, 10),
        ("pgd-at", 0, "fgsm", 0.8, 10),
        ("pgd-at", 0, "pgd", 0.6, 10),
        ("pgd-at", 0, "cw", 0.5, 10),
        ("trades", 1, "clean", 0.9, 10),
        ("trades", 1, "fgsm", 0.8, 10),
        ("trades", 1, "pgd", 0.6, 10),
        ("trades", 1, "cw", 0.5, 10),
        ("trades", 1, "aa", 0.4, 10),
    ]


def test_accuracies_read_what_evaluation_files_hold():
    import pyarrow as pa

    flags = pa.array([True, False, True, True])
    columns = {"index": pa.array([0, 1, 2, 3], pa.int32()), "aa": pa.nulls(4, pa.bool_())}
    table = pa.table(columns | dict.fromkeys(("clean", "fgsm", "pgd", "cw"), flags))
    found = judging.accuracies({("mart", 0): table.to_pandas()})
    assert found["attack"].tolist() == ["clean", "fgsm", "pgd", "cw"]
    assert (found["accuracy"] == 0.75).all()


def test_accuracies_refuse_other_samples_and_gaps():
    other = evaluation().assign(index=np.arange(10))
    with pytest.raises(BatError, match=r"trades, seed 1, judged 10 .* of pgd-at, seed 0"):
        judging.accuracies({("pgd-at", 0): evaluation(), ("trades", 1): other})
    with pytest.raises(BatError, match="judged 9 test samples"):
        judging.accuracies({("pgd-at", 0): evaluation(), ("pgd-at", 1): evaluation()[1:]})
    gap = evaluation().astype({"cw": object})
    gap.loc[[2, 5], "cw"] = None
    with pytest.raises(BatError, match="under cw for 2 of 10"):
        judging.accuracies({("pgd-at", 0): gap})
    with pytest.raises(BatError, match="evaluate at least one"):
        judging.accuracies({})


def test_labels_name_the_quick_autoattack():
    attacks = ATTACKS | {"aa": {"eps": 0.1, "version": "aa-fast"}}
    assert judging.attack_labels(attacks)["aa"] == "AA-fast"
    assert judging.attack_labels(ATTACKS)["aa"] == "AA"


def test_comparing_needs_no_heavy_imports():
    code = (
        "import sys, bat.report.comparison, bat.report.judged\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'snakemake', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
