"""What captions say of scores."""

from drawn import METADATA

from bat.report.captions import provenance


def test_provenance_names_what_is_known():
    text = provenance(METADATA)
    for part in ("200 small_cnn models", "70\u00a0%", "seed 3", "99.8\u00a0%", "95.0\u00a0%"):
        assert part in text
    assert "understated" not in text
    assert "understated" in provenance(METADATA | {"converged": False})
    assert provenance({}) == ""
