"""The comparison of cheap scores, from the tables of a results folder."""

import numpy as np
import pandas as pd
import pytest

from bat.figures import proxies
from bat.files import write_table
from bat.report.folder import Folder
from bat.scores.standing_in import standing_in

ABOUT = {"command": "a test", "recipe": {"trials": 100, "subset_ratio": 0.7, "seed": 0}}


@pytest.fixture
def folder(few_digits, tmp_path):
    """Memorization, two scores of two seeds, and an ensemble's, all of one made-up truth."""
    import shutil

    place = tmp_path / "digits"
    shutil.copytree(few_digits.folder, place / "data")
    rng, n = np.random.default_rng(0), 200
    truth = rng.random(n) ** 3
    index = {"index": np.arange(n), "label": few_digits.train_labels}
    about = ABOUT | {"fingerprint": few_digits.fingerprint}
    nothing = dict.fromkeys(("n_included", "n_excluded"), [None] * n)
    nothing |= dict.fromkeys(("accuracy_included", "accuracy_excluded"), [None] * n)
    columns = index | {"memorization": truth, "memorization_se": np.full(n, 0.05)} | nothing
    write_table(place / "scores" / "memorization.parquet", "memorization", columns, **about)
    of_two = {"architecture": {"trials": 20, "subset_ratio": 0.5}}
    ensemble = about | {"recipe": {f"{name}": of_two["architecture"] for name in ("a", "b")}}
    for kind, values in (("disagreement", 0.5 * truth), ("confidence", 1 - truth)):
        path = place / "scores" / f"{kind}.parquet"
        write_table(path, kind, index | {kind: values}, **ensemble)
    seeds = {"csl": truth + 0.1 * rng.normal(size=(2, n)), "aum": -truth * np.ones((2, 1))}
    watched = about | {"recipe": {"seeds": [3, 5]}, "cost": {"csl": 1.25, "aum": 1.1}}
    columns = index | {name: values.mean(axis=0) for name, values in seeds.items()}
    write_table(place / "scores" / "proxies.parquet", "proxies", columns, **watched)
    columns = {"seed": np.repeat([3, 5], n), "index": np.tile(np.arange(n), 2)}
    columns |= {name: values.ravel() for name, values in seeds.items()}
    path = place / "proxies" / "by_seed.parquet"
    write_table(path, "proxies_by_seed", columns, **watched)
    columns = {"n_trials": 100, "repeats": 20, "se_mean": 0.04, "se_p95": 0.08, "undefined": 0.0}
    columns |= {"split_half_correlation": 0.5, "split_half_correlation_sd": 0.01}
    columns |= {"split_half_spearman": 0.6, "split_half_spearman_sd": 0.01}
    pd.DataFrame([columns]).to_csv(place / "scores" / "convergence.csv", index=False)
    return Folder(place, {"atypical_above": 0.15})


def test_rows_have_scores_turned_to_atypical_with_their_cost(folder):
    table, _ = proxies.proxy_rows(folder)
    rows = table.set_index("score")
    assert rows.loc["aum", "spearman"] == pytest.approx(1)  # low is atypical there
    assert 0.5 < rows.loc["csl", "spearman"] < 1
    assert rows.loc["csl", "cost"] == 2.5 and rows.loc["aum", "cost"] == pytest.approx(2.2)
    assert rows.loc["1 − confidence", "cost"] == 20  # 2 x 20 trainings on half of the samples
    assert rows.loc["memorization", "cost"] == pytest.approx(70)
    of_wholes = 2 * 0.6 / 1.6
    expected = min(rows.loc["csl", "spearman"] / np.sqrt(of_wholes), 1)
    assert rows.loc["csl", "spearman_true"] == pytest.approx(expected)
    assert table["auc_wrong"].isna().all()  # no label was planted wrong


def test_it_is_written_for_readers(folder, tmp_path):
    written = proxies.write(folder, tmp_path / "proxies")
    assert {path.suffix for path in written} >= {".pdf", ".png", ".csv", ".md"}
    text = (tmp_path / "proxies.md").read_text()
    assert "| Cumulative sample loss | 2.5 |" in text and "wrong labels" not in text


def test_a_reference_without_any_difference_is_drawn(folder):
    table, _ = proxies.proxy_rows(folder)
    rows = standing_in(np.zeros(50), {"csl": np.arange(50.0)}, draws=2)
    flat = table.head(1).assign(**{k: v for k, v in rows[0].items() if k in table})
    assert len(proxies.draw_proxies(flat).axes) == 1  # the cost alone
    assert "Spearman" not in proxies.words(flat)
