"""Names in any script are drawn: by a font that has their letters, else by their numbers."""

import logging

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager

from bat.progress import log
from bat.report import fonts, style
from bat.report.curves import plot_accuracy_by_epoch
from bat.report.images import short_name
from bat.report.saving import save_figure


@pytest.fixture(autouse=True)
def told(caplog, monkeypatch):
    """What was logged, once for each test."""
    fonts._say_missing.cache_clear()
    monkeypatch.setattr(log, "propagate", True)
    caplog.set_level(logging.INFO, "bat")
    yield caplog
    fonts._say_missing.cache_clear()


@pytest.fixture
def alone(monkeypatch):
    """A machine with the fonts of Matplotlib alone."""
    monkeypatch.setattr(fonts, "families", lambda: [fonts.OWN])
    monkeypatch.setitem(style.STYLE, "font.family", [fonts.OWN])


def saved(folder, name: str) -> bytes:
    table = pd.DataFrame({"series": name, "epoch": [1, 2], "mean": [0.1, 0.2], "sd": np.nan})
    ax = plot_accuracy_by_epoch(table)
    save_figure(ax.figure, folder / "fig", table, f"accuracy of {name}")
    return (folder / "fig.pdf").read_bytes()


def test_letters_that_no_font_has_are_numbers_and_are_said_once(alone, tmp_path, told):
    name = "猫 cat 中, \U0001f9a6"
    assert fonts.drawable(name) == "U+732B cat U+4E2D, U+1F9A6"
    assert short_name(name, 10, 6) == fonts.drawable(name)
    saved(tmp_path, name)  # and Matplotlib does not warn, which would be an error here
    assert [record.message.split(":")[0] for record in told.records] == ["figures"]
    assert short_name("猫" * 30, 0.6, 6) in ("U+732B…", "U+732BU+732B…")


def test_what_the_own_font_has_is_left_as_it_is(alone, told):
    name = "Größe, Ελλάδα, Москва, ± 2 μm, line\nbreak"
    assert fonts.drawable(name) == name and fonts.is_own(name)
    assert not told.records


def test_a_font_of_the_machine_is_taken_for_what_the_own_one_lacks(tmp_path, monkeypatch, told):
    sign = next(
        chr(code)
        for code in sorted(fonts._signs("STIXGeneral") - fonts._signs(fonts.OWN))
        if chr(code).isprintable()
    )
    monkeypatch.setattr(fonts, "OTHERS", ("No Such Font", "STIXGeneral"))
    fonts.families.cache_clear()
    try:
        assert fonts.families() == [fonts.OWN, "STIXGeneral"]
        monkeypatch.setitem(style.STYLE, "font.family", fonts.families())
        assert fonts.drawable(f"{sign} $") == f"{sign} \\$" and not fonts.is_own(sign)
        content = saved(tmp_path, f"class {sign}")
        assert b"/Type3" in content and b"/FontFile2" not in content
    finally:
        fonts.families.cache_clear()
    assert not told.records


def test_figures_in_own_letters_do_not_depend_on_the_fonts_of_a_machine(tmp_path, monkeypatch):
    here = []
    for names in ([fonts.OWN], [fonts.OWN, "STIXGeneral", "cmr10"]):
        monkeypatch.setitem(style.STYLE, "font.family", names)
        here.append((saved(tmp_path, "typical ±"), (tmp_path / "fig.png").read_bytes()))
    assert here[0] == here[1]
    assert b"/FontFile2" in here[0][0]


def test_the_fonts_that_are_asked_for_are_found_by_name():
    assert fonts.families()[0] == fonts.OWN
    assert set(fonts.families()) <= set(font_manager.get_font_names())
    assert matplotlib.rcParams["font.family"] == ["sans-serif"]  # nothing global is changed
