"""What captions say of scores."""

from drawn import METADATA

from bat.report.captions import provenance, ranked_text


def test_provenance_names_what_is_known():
    text = provenance(METADATA)
    for part in ("200 small_cnn models", "70\u00a0%", "seed 3", "99.8\u00a0%", "95.0\u00a0%"):
        assert part in text
    assert "understated" not in text
    assert "understated" in provenance(METADATA | {"converged": False})
    assert provenance({}) == ""


def test_a_sentence_says_what_groups_go_by():
    text = ranked_text({"score": "csl", "top": 0.1, "bottom": 0.25})
    assert "by csl" in text and "10\u00a0% of highest" in text and "25\u00a0% of lowest" in text
    assert ranked_text({"atypical_above": 0.15}) == ""
