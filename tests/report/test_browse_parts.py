"""What the page of all images is put together from: neighbours, sheets, pairs, scripts."""

import base64
import io
import re
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from samples import pixels

from bat.report import browse_neighbours, browse_page
from bat.report.browse_columns import packed, pairs_of
from bat.report.browse_sheets import EDGE, layout, sheets


def images(n, shape, seed=0):
    return pixels(seed, (n, *shape))


def nearest_slowly(every, n_kept):
    """Each with each, in all pixels."""
    flat = every.reshape(len(every), -1) / 255
    apart = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(axis=2))
    np.fill_diagonal(apart, np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(len(every)), apart.shape), apart), axis=1)
    return order[:, :n_kept], np.sort(apart, axis=1)[:, :n_kept]


@pytest.mark.parametrize(("shape", "n"), [((1, 8, 8), 60), ((1, 5, 3), 9), ((1, 8, 8), 4)])
def test_neighbours_are_those_of_every_pair(monkeypatch, shape, n):
    """In the small all pixels are there, so that no candidate is missed."""
    monkeypatch.setattr(browse_neighbours, "_BLOCK", 7)
    every = images(n, shape)
    every[2] = every[-1]
    prepared = SimpleNamespace(train_images=every[: n - 2], test_images=every[n - 2 :])
    index, distance = browse_neighbours.nearest(prepared)
    expected = nearest_slowly(every, min(browse_neighbours.KEPT, n - 1))
    np.testing.assert_array_equal(index, expected[0])
    np.testing.assert_allclose(distance, expected[1], rtol=1e-6)
    assert index[2, 0] == n - 1 and distance[2, 0] == 0


def test_large_colour_images_find_their_changed_copy():
    every = images(80, (3, 20, 30))
    every = (every // 4 + 150 * (np.arange(80) % 5)[:, None, None, None] // 5).astype(np.uint8)
    every[70] = every[3]
    every[70, :, 2, 3] ^= 7
    prepared = SimpleNamespace(train_images=every[:60], test_images=every[60:])
    index, distance = browse_neighbours.nearest(prepared)
    assert index[70, 0] == 3 and index[3, 0] == 70
    assert distance[3, 0] == pytest.approx(
        np.sqrt(np.mean((every[3] / 255 - every[70] / 255) ** 2))
    )


def test_too_many_images_have_no_neighbours(monkeypatch):
    monkeypatch.setattr(browse_neighbours, "LARGEST", 10)
    prepared = SimpleNamespace(train_images=images(8, (1, 4, 4)), test_images=images(3, (1, 4, 4)))
    assert [part.shape for part in browse_neighbours.nearest(prepared)] == [(11, 0), (11, 0)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 25), (3, 90, 160)])
def test_sheets_hold_every_image_in_its_place(monkeypatch, shape):
    monkeypatch.setattr("bat.report.browse_sheets.SIDE", 200)
    every, place = images(70, shape), layout(shape)
    order = np.random.default_rng(1).permutation(70)
    made = [np.asarray(Image.open(io.BytesIO(png))) for png in sheets(every, order)]
    assert max(place["width"], place["height"]) <= EDGE
    assert len(made) == -(-70 // place["each"])
    for rank, i in enumerate(order):
        sheet, at = made[rank // place["each"]], rank % place["each"]
        across = sheet.shape[1] // place["width"]
        top, left = at // across * place["height"], at % across * place["width"]
        found = sheet[top : top + place["height"], left : left + place["width"]]
        wanted = every[i].transpose(1, 2, 0).squeeze()
        if max(shape) <= EDGE:
            np.testing.assert_array_equal(found, wanted)
        else:
            assert found.mean() == pytest.approx(wanted.mean(), abs=1)


def unpacked(value):
    kinds = {"f4": np.float32, "i4": np.int32, "u1": np.uint8}
    return np.frombuffer(base64.b64decode(value["data"]), kinds[value["kind"]])


def test_pairs_lie_by_training_sample_the_largest_first():
    table = pd.DataFrame(
        {
            "train_index": [3, 0, 3, 3],
            "test_index": [7, 1, 2, 5],
            "influence": [0.1, 0.3, 0.4, 0.4],
            "influence_se": [0.01, 0.03, 0.04, np.nan],
        }
    )
    found = {name: unpacked(value) for name, value in pairs_of(table, 5).items()}
    assert found["start"].tolist() == [0, 1, 1, 1, 4, 4]
    assert found["test"].tolist() == [1, 2, 5, 7]
    assert found["influence"].tolist() == pytest.approx([0.3, 0.4, 0.4, 0.1])
    assert np.isnan(found["se"][2])


def test_packed_arrays_are_little_endian():
    assert base64.b64decode(packed(np.array([1], ">i4"), "i4")["data"]) == b"\1\0\0\0"


def test_no_name_ends_the_script_or_is_filled_in():
    content = {"dataset": "@STYLE@<b>", "note": "@CONTENT@", "classes": ["</script>@NOTE@"]}
    text = browse_page.html(content)
    assert text.count("</script>") == 2
    assert "<b>" not in text
    assert "<h1>@STYLE@&lt;b&gt;</h1>" in text


def test_every_script_is_in_the_page_after_what_it_imports(repository):
    folder = repository / "bat" / "report" / "browse"
    assert {path.stem for path in folder.glob("*.js")} == set(browse_page.SCRIPTS)
    text = browse_page.script()
    assert "import " not in text.replace("import bat", "") and "\nexport " not in text
    for name in browse_page.SCRIPTS:
        before = text[: text.index(f"modules.{name} = ")]
        used = (folder / f"{name}.js").read_text(encoding="utf-8")
        for other in re.findall(r'^import .* from "\./(\w+)\.js";$', used, re.MULTILINE):
            assert f"modules.{other} = " in before, f"{name} imports {other}"


def test_the_scripts_are_modules_as_they_lie_there(repository):
    if shutil.which("node") is None:
        pytest.skip("needs node")
    for path in (repository / "bat" / "report" / "browse").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        done = subprocess.run(
            ["node", "--input-type=module", "--check", "-"],
            input=text,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_a_page_is_written_to_a_folder_that_is_not_there_yet(tmp_path):
    every = images(3, (1, 4, 4))
    info = {"n_train": 2, "n_test": 1}
    prepared = SimpleNamespace(
        info=info, class_names=["a"], shape=(1, 4, 4), train_images=every[:2], test_images=every[2:]
    )
    content = {"dataset": "d", "note": "", "splits": {"train": {}, "test": {}}}
    orders = {"train": np.arange(2), "test": np.arange(1)}
    path = tmp_path / "new" / "folder" / "browse.html"
    assert browse_page.write_page(path, content, prepared, orders) == [path]
    assert list(path.with_name("browse_files").iterdir()) == []
