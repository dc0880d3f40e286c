"""What the table says of each printed statement."""

import pytest

from bat.tables import theorems


@pytest.fixture(scope="module")
def table():
    return theorems.theorem_table()


def test_searches_find_what_was_derived(table):
    rows = table[table["derived"] != "the same"]
    rows = rows[rows["place"] != "Theorem 2"]  # an inequality, in the test below
    found = rows["found_value"].to_numpy(float)
    assert found == pytest.approx(rows["derived_value"].to_numpy(float), rel=1e-6)


def test_verdicts(table):
    holds = dict(zip(table["place"] + ": " + table["statement"], table["holds"], strict=True))

    def verdict(place, start):
        (found,) = [text for name, text in holds.items() if name.startswith(f"{place}: {start}")]
        return found

    assert verdict("Theorem 1", "if d") == "for η/σ ≥ 3.923"
    assert verdict("Theorem 1", "the distance") == "yes, not sharp"
    assert verdict("Theorem 1, appendix C", "the constraint") == "no"
    for factor in ("the number", "τ", "l in the proof", "distance of S₂"):
        assert verdict("Step 1", factor) == "no"
    assert verdict("Step 1", "distance of S₁") == "yes"
    assert verdict("Step 2", "the larger") == "for η/σ ≥ 2.326"
    assert verdict("Theorem 2", "if d") == "for every η/σ"
    assert verdict("Theorem 2, equation 5", "the radius") == "yes, not sharp"
