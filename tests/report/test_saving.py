"""What a figure leaves on disk."""

import numpy as np
import pandas as pd
from PIL import Image

from bat.figures import fig6
from bat.report.saving import save_figure


def test_save_figure(tmp_path):
    memorization = pd.DataFrame({"memorization": np.repeat([-0.03, 0.5, 0.97], 10)})
    memorization["memorization_se"] = 0.05
    table = fig6.memorization_histogram(memorization)
    ax = fig6.plot_memorization_histogram(table)
    caption = "Thirty samples ± √2 %, seed 0. " * 6
    written = save_figure(
        ax.figure, tmp_path / "new" / "eps0.1", table, caption, more_tables={"raw": memorization}
    )
    names = ["eps0.1.pdf", "eps0.1.png", "eps0.1.csv", "eps0.1_raw.csv"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(names)
    pd.testing.assert_frame_equal(pd.read_csv(written[2]), table)
    pdf = written[0].read_bytes()
    assert b"Date" not in pdf
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf  # TrueType, embedded
    with Image.open(written[1]) as image:
        assert image.info["Description"] == caption
        with_caption = image.height
    assert ax.figure.texts == []
    save_figure(ax.figure, tmp_path / "plain", table, "Short.")
    with Image.open(tmp_path / "plain.png") as image:
        assert image.height < with_caption  # the caption is on the picture, line by line
