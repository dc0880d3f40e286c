"""The page beside the paper: every printed number is there, and ours come from files."""

import re

import numpy as np
import pandas as pd
import pytest
from evaluated import judgements

from bat import files
from bat.errors import ArtifactError, BatError
from bat.files.bits import pack
from bat.report import paper
from bat.report.seeds import compared as compare
from bat.report.words import LABELS
from bat.report.writing import csv_text, write_table_files
from bat.studies.representation import MEASURES
from bat.tables import paper_page
from bat.tables.methods import methods_table

SECTIONS = (
    *(paper.SCORES, paper.WHOLE, paper.ATYPICAL, paper.TYPICAL),
    *(paper.DISCRIMINATION, paper.ANNOTATION),
)
WRN = ("cifar100", "wrn-28-10")


def rows(text, heading):
    """Rows of the table below a heading, as dictionaries."""
    lines = text.split(f"# {heading}", 1)[1].split("\n#", 1)[0].splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def quantity(found, name, label):
    """The one row of a data set and a quantity."""
    (row,) = [row for row in found if (row["Data set"], row["Quantity"]) == (name, label)]
    return row


def write_csv(results, pair, name, content):
    path = results.joinpath(*pair, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(pd.DataFrame(content)))


def write_methods(results, pair, **right):
    """A table of methods as the workflow writes it, from accuracies by run over seeds."""
    table = methods_table(judgements("clean", **right), paper=paper.TABLES.get(pair))
    out = results.joinpath(*pair, "tables", "methods")
    write_table_files(table, out, "Seven epochs, two seeds.", formats=("csv", "md"))


def compared(what, kinds):
    """A table of the studies by share, from `bat.report.seeds.compared`."""
    by_share = {"0 %": [0.9, 0.8], "20 %": [0.7, 0.7], "100 %": [0.6, 0.7]}
    values = {f"erm-{label}": pd.Series(of_share) for label, of_share in by_share.items()}
    found = compare(values, "erm-0 %")
    return [
        {"method": "erm", "label": row["run"].removeprefix("erm-"), what: kind} | row
        for kind in kinds
        for row in found
    ]


def write_info(results, name, **said):
    """What `prepare` says of four training and two test samples, as of version 0.1.0."""
    info = {"settings": {}, "fingerprint_parts": {}, "subsample": {}, "label_noise": {}}
    info |= {"arrays": {}, "files": [], "notes": [], "fingerprint": "f" * 64}
    info |= {"format_version": 1, "source": "digits", "class_names": ["a", "b"], "resize": None}
    info |= {"n_train": 4, "n_test": 2, "shape": [1, 8, 8], "mean": [0.5], "std": [0.2]}
    files.write_json(results / name / "data" / "dataset.json", info | said)


def write_history(results, pair, correct):
    """Two seeds of PGD-AT on four training and two test samples."""
    recipe = {
        "training": {"epochs": 2},
        "history": {"max_samples": None, "steps": 5},
        "adversary": {"eps": 8 / 255},
        "objective": {"method": "pgd-at"},
    }
    folder = results.joinpath(*pair, "runs", "pgd-at-all")
    write_info(results, pair[0])
    schema = files.SCHEMAS["history"]
    for seed, flags in enumerate(correct):
        columns = {name: [None, None] for name in schema.names}
        columns |= {"epoch": [1, 2], "loss": [0.5, 0.25]}
        columns |= {name: [None, pack(np.array(bits, bool))] for name, bits in flags.items()}
        path = folder / f"seed{seed}" / "history.parquet"
        facts = {"fingerprint": "f" * 64, "recipe": recipe, "command": "a test"}
        left = {"last": "a" * 64, "best": "b" * 64}
        files.write_table(path, "history", columns, **facts, checkpoints=left)


# -- the paper's numbers ---------------------------------------------------------------------


def test_claims_are_of_known_quantities_and_stated_once():
    labels = [name for section in SECTIONS for name in section]
    assert len(labels) == len(set(labels))
    assert {claim.quantity for claim in paper.CLAIMS} <= set(labels)
    keys = [claim[:3] for claim in paper.CLAIMS]
    assert len(keys) == len(set(keys))


def test_without_results_every_number_of_the_paper_is_there(tmp_path):
    text = paper_page.page(tmp_path / "nothing")
    found = [
        (row["Data set"], row["Quantity"], row["Paper"], row["Ours"])
        for heading in re.findall(r"^## (.*)", text, re.M)
        for row in rows(text, heading)
        if "Quantity" in row
    ]
    labels = {name: label for section in SECTIONS for name, label in section.items()}
    assert sorted(found) == sorted(
        (claim.dataset, labels[claim.quantity], claim.printed, "not run") for claim in paper.CLAIMS
    )
    for (dataset, architecture), printed in paper.TABLES.items():
        shown = {row["Method"]: row for row in rows(text, f"{dataset}, {architecture}")}
        for run, accuracies in printed.accuracies.items():
            row = shown[LABELS[run]]
            for attack, value in accuracies.items():
                title = paper_page.TITLES[attack]
                assert row[f"{title}, paper"].split()[0] == f"{value:.1f}"
                assert row[title] == "not run"


# -- ours ------------------------------------------------------------------------------------


def test_methods_stand_beside_the_paper(tmp_path):
    write_methods(tmp_path, WRN, **{"pgd-at": (0.5, 0.6), "bat-1-0.2": (0.7, 0.7), "own": (0.1,)})
    text = paper_page.page(tmp_path)
    shown = {row["Method"]: row for row in rows(text, "cifar100, wrn-28-10")}
    assert shown["PGD-AT"]["Clean"] == "55.0 ± 7.1 (−15.0)"
    assert shown["PGD-AT"]["Clean, paper"] == "59.7 (−2.3)"
    assert (shown["PGD-AT"]["AA"], shown["MART"]["Clean"]) == ("not run", "not run")
    assert (shown["own"]["Clean"], shown["own"]["Clean, paper"]) == ("10.0 (−60.0)", "–")
    assert "Ours: Seven epochs, two seeds." in text


def test_last_epochs_and_other_references_are_not_beside_the_paper(tmp_path):
    ours = [judgements("clean", **{"pgd-at": (a,), "bat-1-0.2": (0.7,)}) for a in (0.5, 0.1)]
    out = tmp_path.joinpath(*WRN, "tables", "methods")
    table = methods_table(ours[0], last=ours[1])
    write_table_files(table, out, "C.", formats=("csv", "md"))
    shown = {row["Method"]: row for row in rows(paper_page.page(tmp_path), ", ".join(WRN))}
    assert shown["PGD-AT"]["Clean"] == "50.0 (−20.0)"
    write_table_files(methods_table(ours[0], baseline="pgd-at"), out, "C.", formats=("csv", "md"))
    shown = {row["Method"]: row for row in rows(paper_page.page(tmp_path), ", ".join(WRN))}
    assert shown["BAT(1, 0.2)"]["Clean"] == "70.0"


def test_other_data_sets_have_ours_only(tmp_path):
    write_methods(tmp_path, ("digits", "small_cnn"), trades=(0.25,))
    (row,) = rows(paper_page.page(tmp_path), "digits, small_cnn")
    assert row == {"Method": "TRADES", "Clean": "25.0"} | dict.fromkeys(
        ("FGSM", "PGD", "CW", "AA"), "not run"
    )


def test_share_of_atypical_samples(tmp_path):
    values = np.array([0.0, 0.15, 0.16, 0.9])
    errors = np.array([0.01, 0.1, 0.1, 0.1])
    n = len(values)
    columns = {"memorization": values, "memorization_se": errors}
    unknown = ("accuracy_included", "accuracy_excluded", "n_included", "n_excluded")
    columns |= dict.fromkeys(unknown, [None] * n)
    columns |= {name: np.arange(n) for name in ("index", "label")}
    recipe = {"trials": 33, "architecture": "resnet9"}
    for name in ("cifar10", "digits"):
        write_info(tmp_path, name)
        files.write_table(
            tmp_path / name / "scores" / "memorization.parquet",
            "memorization",
            columns,
            fingerprint="f" * 64,
            recipe=recipe,
            command="a test",
        )
    found = rows(paper_page.page(tmp_path), "Atypical training samples (section 2.1, figure 6)")
    by_name = {row["Data set"]: row for row in found}
    assert list(by_name) == ["cifar10", "cifar100", "tiny_imagenet", "digits"]
    assert (
        by_name["cifar10"]["Ours"]
        == by_name["digits"]["Ours"]
        == ("50.0 % (25.0 % to 75.0 %), 5.0 % by chance")
    )
    assert by_name["cifar10"]["Paper"].startswith("> 11 %")
    assert (by_name["digits"]["Paper"], by_name["cifar100"]["Ours"]) == ("–", "not run")
    assert "33 resnet9 models" in by_name["digits"]["Made with"]
    write_info(tmp_path, "cifar10", fingerprint="e" * 64)
    with pytest.raises(ArtifactError, match=r"cifar10.*memorization\.parquet: speaks of the data"):
        paper_page.page(tmp_path)


FOLLOWED = [  # by two seeds
    {
        **{"train_clean": [1, 1, 1, 1], "train_pgd": [1, 1, 1, 0]},
        **{"test_clean": [1, 0], "test_pgd": [0, 0]},
    },
    {
        **{"train_clean": [1, 1, 0, 0], "train_pgd": [1, 0, 0, 0]},
        **{"test_clean": [1, 1], "test_pgd": [0, 0]},
    },
]


def test_whole_sets_come_from_the_last_epoch_of_all_seeds(tmp_path):
    write_history(tmp_path, WRN, FOLLOWED)
    found = rows(paper_page.page(tmp_path), "Fitting the whole training set (section 2.2)")
    row = quantity(found, "cifar100", "training set, clean")
    assert (row["Paper"], row["Ours"]) == ("100 %", "75.0 ± 35.4 %")
    assert row["Made with"] == "2 epochs, 2 seeds, PGD-5 at eps 8/255"
    assert quantity(found, "cifar100", "test set, adversarial")["Ours"] == "0.0 ± 0.0 %"
    assert len(found) == 4


def test_atypical_groups_come_from_the_last_epoch_of_figure_1(tmp_path):
    row = {"attack": "pgd", "series": "test atypical", "n_seeds": 1, "sd": np.nan, "n": 1234}
    content = [row | {"epoch": 3, "mean": 0.3}, row | {"epoch": 6, "mean": 0.125}]
    write_csv(tmp_path, ("digits", "small_cnn"), "figures/fig1.csv", content)
    heading = "Atypical samples in adversarial training (section 3.1, figure 1)"
    found = rows(paper_page.page(tmp_path), heading)
    row = quantity(found, "digits", "test atypical group, adversarial")
    assert (row["Paper"], row["Ours"]) == ("–", "12.5 %")
    assert row["Made with"] == "1 seed; 1,234 samples"
    assert quantity(found, "cifar100", "test atypical group, adversarial")["Ours"] == "not run"


def test_shares_of_atypical_samples_and_their_change(tmp_path):
    write_csv(tmp_path, WRN, "tables/typical.csv", compared("attack", ["clean", "pgd"]))
    write_csv(tmp_path, WRN, "tables/representation.csv", compared("measure", MEASURES))
    text = paper_page.page(tmp_path)
    found = rows(text, "Typical samples by share of atypical ones (section 3.2, figure 2, B.2)")
    assert quantity(found, "cifar100", "ERM, 0 % atypical, clean")["Ours"] == "85.0 ± 7.1 %"
    change = quantity(found, "cifar100", "ERM, change from 0 % to 100 %, clean")
    assert change["Paper"] == "equal"
    assert change["Ours"].startswith("−20.0 [−147.1, +107.1] points")
    assert change["Made with"] == "2 seeds"
    found = rows(text, "Discrimination between classes (B.2 iii)")
    label = "ERM, change from 0 % to 100 %, similarity within − between classes"
    assert quantity(found, "cifar100", label)["Ours"].startswith("−0.200 [−1.471, +1.071]")
    label = "ERM, 100 % atypical, linear probe"
    assert quantity(found, "cifar100", label)["Ours"] == "65.0 ± 7.1 %"


def test_numbers_without_a_model_stand_in_the_rows_of_ours(tmp_path):
    answers = {"group": "high", "answer": "both", "share": 0.5, "low": 0.4, "high": 0.6}
    answers |= {"n_images": 10, "n_annotators": 3}
    empty = answers | {"group": "low", "share": np.nan, "low": np.nan, "high": np.nan}
    write_csv(tmp_path, ("cifar100", "resnet18"), "tables/annotation.csv", [answers, empty])
    heading = "Poisoning atypical samples, judged by people (B.3)"
    found = rows(paper_page.page(tmp_path), heading)
    assert {row["Model"] for row in found} == {"resnet18"}
    row = quantity(found, "cifar100", "high poisoning score: Both")
    assert (row["Paper"], row["Ours"]) == ("26 %", "50.0 % (40.0 to 60.0)")
    assert row["Made with"] == "10 images, 3 annotators"
    assert quantity(found, "cifar100", "low poisoning score: Both")["Ours"] == "not run"


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "words"), [("", "not a readable"), ("run,mean\n", "lacks")])
def test_damaged_tables_are_named(tmp_path, content, words):
    path = tmp_path / "digits" / "small_cnn" / "tables" / "methods.csv"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ArtifactError, match=rf"methods\.csv: {words}"):
        paper_page.page(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("mean", "text", r"mean is text in row 1, expected a number in \[0, 1\]"),
        ("mean", "99", "mean is 99 in row 1"),
        ("sd", "-1", r"sd is -1 in row 1, expected a number in \[0, 2\]"),
        ("difference", "inf", "difference is inf in row 1"),
        ("run", "", "run is nan in row 1, expected a text"),
    ],
)
def test_cells_that_no_table_of_ours_holds_are_named(tmp_path, name, value, found):
    path = tmp_path / "digits" / "small_cnn" / "tables" / "methods.csv"
    path.parent.mkdir(parents=True)
    row = {"run": "pgd-at", "attack": "pgd", "mean": "0.5", "sd": "", "difference": "0.1"}
    pd.DataFrame([row | {name: value}]).to_csv(path, index=False)
    with pytest.raises(ArtifactError, match=rf"methods\.csv: {found}"):
        paper_page.page(tmp_path)
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(ArtifactError, match=r"methods\.csv: is a link that leads to no file"):
        paper_page.page(tmp_path)


@pytest.mark.parametrize(
    ("lost", "found"),
    [(1, "ends within a line"), (3, "ends within a line"), (25, r"line \d+ has fewer")],
)
def test_a_table_that_ends_within_a_line_is_named(tmp_path, lost, found):
    write_csv(tmp_path, WRN, "tables/typical.csv", compared("attack", ["clean"]))
    path = tmp_path.joinpath(*WRN, "tables", "typical.csv")
    path.write_text(path.read_text()[:-lost])
    with pytest.raises(ArtifactError, match=rf"typical\.csv: {found}"):
        paper_page.page(tmp_path)


def test_a_row_that_lost_its_end_is_named(tmp_path):
    write_csv(tmp_path, WRN, "tables/typical.csv", compared("attack", ["clean"]))
    path = tmp_path.joinpath(*WRN, "tables", "typical.csv")
    head, first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([head, first.rpartition(",")[0] + "\n", *others]))
    with pytest.raises(ArtifactError, match=r"typical\.csv: line 2 has fewer or more cells"):
        paper_page.page(tmp_path)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"fingerprint": "e" * 64}, r"history\.parquet: speaks of the data set with fingerprint f"),
        ({"n_train": "4"}, r"dataset\.json: n_train: "),
        ({"checksum": "0"}, r"dataset\.json was changed or damaged"),
    ],
)
def test_other_data_than_those_of_a_result_are_named(tmp_path, said, found):
    write_history(tmp_path, WRN, FOLLOWED)
    write_info(tmp_path, WRN[0], **said)
    with pytest.raises(BatError, match=found):
        paper_page.page(tmp_path)


def test_command_writes_the_page(tmp_path, run_bat):
    write_methods(tmp_path, ("digits", "small_cnn"), trades=(0.25,))
    run_bat("paper", "--results", tmp_path, "--out", tmp_path / "docs" / "page.md")
    assert (tmp_path / "docs" / "page.md").read_text() == paper_page.page(tmp_path)
