"""Numbers that options take: finite, and no less than what makes sense."""

import argparse

import pytest

from bat.__main__ import main
from bat.commands.options import at_least


def test_numbers_from_the_least_on_are_read():
    assert [at_least(1)("1"), at_least(0)("7"), at_least(0, float)("0.5")] == [1, 7, 0.5]
    for kind, text in ((int, "0"), (int, "-3"), (float, "nan"), (float, "inf")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text} was given, expected 1 or"):
            at_least(1, kind)(text)


@pytest.mark.parametrize(
    "words",
    [
        ["scores", "show", "x", "--top", "-1"],
        ["plan", "x", "--seconds", "nan"],
        ["train", "--threads", "0"],
        ["train", "--checkpoint-every", "nan"],
        ["evaluate", "--jobs-per-gpu", "0"],
        ["trials", "--n-trials", "-1"],
    ],
)
def test_others_are_refused_by_the_name_of_their_option(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    found = capsys.readouterr().err
    assert f"argument {words[-2]}: {words[-1]} was given, expected" in found


def test_code_that_ends_the_process_ends_no_command_unheard(monkeypatch, capsys):
    def ends(arguments):
        raise SystemExit(0)  # as code of somebody's own may, wherever it is called

    monkeypatch.setattr("bat.commands.schema.run", ends)
    assert main(["schema"]) == 2
    assert "code that the command runs ended it (SystemExit: 0)" in capsys.readouterr().err
