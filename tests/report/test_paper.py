"""The paper's numbers against each other."""

from bat.config import RUNS
from bat.report import paper

PRINTED_DIFFERENCES = {
    ("cifar100", "wrn-28-10"): [
        [-2.3, -3.7, -3.8, -2.3, -2.3],
        [-4.7, -4.1, -3.6, -1.9, -1.9],
        [-5.5, -2.5, -1.7, -1.2, -1.0],
        [-1.8, -3.8, -4.1, -1.5, -1.9],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.6, 0.3, -0.3, -0.2, 0.0],
    ],
    ("tiny_imagenet", "wrn-28-10"): [
        [-3.4, -5.9, -4.1, -3.7, -4.3],
        [-2.6, -4.2, -3.8, -1.9, -2.3],
        [-4.1, -0.6, -0.2, 0.2, -0.2],
        [-1.8, -2.5, -2.7, -1.8, -2.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.1, 1.5, 1.6, 1.6, 0.7],
    ],
    ("cifar100", "resnet18"): [
        [-2.6, -1.3, 0.1, -1.2, -0.7],
        [-2.9, -0.8, -0.4, -1.3, -0.4],
        [-7.7, -1.2, 3.1, -0.8, 0.1],
        [-1.3, -1.2, 0.5, -0.7, -0.2],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.2, -0.2, 0.1, -0.1, 0.7],
    ],
    ("tiny_imagenet", "resnet32"): [
        [-3.1, -2.9, 0.3, -1.7, -2.2],
        [-4.0, -5.2, -3.2, -4.5, -5.0],
        [-3.2, -2.3, 2.5, 0.3, 0.0],
        [-1.0, -3.1, -1.6, -2.6, -3.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.9, 0.9, 0.3, 0.4],
    ],
}
"""Differences from BAT(1, 0.2) as the paper prints them, in points; rows as in its tables."""


def test_paper_has_every_table_once_and_every_cell():
    assert sorted(n for table in paper.TABLES.values() for n in table.tables) == [1, 2, 3, 4, 5, 6]
    for table in paper.TABLES.values():
        assert list(table.accuracies) == list(RUNS)
        for row in table.accuracies.values():
            assert list(row) == ["clean", "fgsm", "pgd", "cw", "aa"]


def test_paper_agrees_with_the_differences_that_it_prints():
    wrong = []
    for key, rows in PRINTED_DIFFERENCES.items():
        accuracies = paper.TABLES[key].accuracies
        for (run, row), printed in zip(accuracies.items(), rows, strict=True):
            for attack, difference in zip(row, printed, strict=True):
                found = round(row[attack] - accuracies["bat-1-0.2"][attack], 1)
                if found != difference:
                    wrong.append((*key, run, attack, difference, found))
    assert wrong == [  # the paper's own slips, as `paper.TABLES` names them
        ("cifar100", "wrn-28-10", "gairat", "cw", -1.5, -1.7),
        ("tiny_imagenet", "wrn-28-10", "bat-2-0.2", "aa", 0.7, 1.3),
        ("cifar100", "resnet18", "gairat", "fgsm", -1.2, -0.8),
        ("cifar100", "resnet18", "gairat", "aa", -0.2, -0.5),
        ("cifar100", "resnet18", "bat-2-0.2", "aa", 0.7, -0.3),
    ]
