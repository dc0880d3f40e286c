"""The page of all images in a real browser: what it shows, how it is used, what it never does."""

import base64
import csv
import io
import json
import time

import numpy as np
import pytest
import scipy.stats
from chromium import Browser, downloaded
from small_page import (
    CLASSES,
    N_TEST,
    N_TRAIN,
    RUNS,
    verdicts,
    write_methods_page,
    write_page,
    write_small_page,
)

from bat import data
from bat.data.dropping import read_dropped
from bat.files import read_table

LEFT, RIGHT, DOWN, END = "\ue012", "\ue014", "\ue015", "\ue010"
ENTER, ESCAPE, TAB = "\ue007", "\ue00c", "\ue004"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_page(tmp_path_factory.mktemp("browse"))


@pytest.fixture(scope="module")
def scores(folder):
    return read_table(folder / "scores" / "memorization.parquet", "memorization")[0].to_pandas()


@pytest.fixture(scope="module")
def pairs(folder):
    return read_table(folder / "scores" / "influence.parquet", "influence")[0].to_pandas()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chromium(driver, downloads):
    chromium = Browser(driver, downloads / "profile", downloads)
    yield chromium
    chromium.close()


@pytest.fixture
def page(chromium, folder):
    """A function that opens the page anew; afterwards nothing went wrong and nothing was asked."""

    def open_page(view="", path=folder / "browse.html"):
        chromium.call("POST", "/url", url="about:blank")
        chromium.open(path, view)
        return chromium

    chromium.errors(), chromium.requested()
    yield open_page
    assert chromium.errors() == []
    assert chromium.requested() <= {"file", "data", "blob"}


def until(page, script, value):
    """Wait until a script gives a value."""
    deadline = time.monotonic() + 60
    while (found := page.js(script)) != value:
        assert time.monotonic() < deadline, f"{script} gives {found!r}, expected {value!r}"
        time.sleep(0.05)


def shown(page):
    """Indices in the grid, in their order."""
    cells = "[...document.querySelectorAll('.cell:not([hidden])')]"
    found = page.js(f"{cells}.map((cell) => [+cell.dataset.at, +cell.dataset.index])")
    return [index for _, index in sorted(found)]


def choose(page, name, value):
    """Choose or type something as its control's event says."""
    text = json.dumps(str(value))
    page.js(
        f"(() => {{ const control = document.getElementById('{name}'); control.value = {text}; "
        "for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind)); })()"
    )


def heading(page):
    return page.js("document.querySelector('#shown h2')?.textContent")


def test_the_grid_is_sorted_by_any_score_either_way(page, scores):
    window = page()
    values = scores["memorization"].to_numpy()
    assert shown(window) == sorted(range(N_TRAIN), key=lambda i: (-values[i], -i))
    assert window.text("count") == f"{N_TRAIN} of {N_TRAIN} images"
    window.click("order")
    assert shown(window) == sorted(range(N_TRAIN), key=lambda i: (values[i], i))
    choose(window, "sort", "index")
    assert shown(window) == list(range(N_TRAIN))
    titles = window.js("[...document.querySelectorAll('#sort option')].map((o) => o.value)")
    assert {"memorization", "disagreement", "confidence", "n_pairs", "index"} <= set(titles)


def test_filters_by_class_group_index_and_range_work_together(page, folder, scores):
    window = page()
    labels = np.asarray(data.load(folder / "data").train_labels)
    values = scores["memorization"].to_numpy().astype(np.float32)
    wanted = labels == 2
    choose(window, "label", 2)
    assert set(shown(window)) == set(np.flatnonzero(wanted))
    wanted &= np.arange(N_TRAIN) % 3 == 1
    choose(window, "group", "atypical")
    assert set(shown(window)) == set(np.flatnonzero(wanted))
    choose(window, "find", "49-60, 67")
    wanted &= np.isin(np.arange(N_TRAIN), [*range(49, 61), 67])
    assert set(shown(window)) == set(np.flatnonzero(wanted))
    window.click("reset")
    choose(window, "from", 100)
    middle = (values.min() + values.max()) / 2
    left = np.flatnonzero(values >= float(f"{middle:.4g}"))
    assert set(shown(window)) == set(left)
    assert window.text("count") == f"{len(left)} of {N_TRAIN} images"
    assert window.js("document.querySelectorAll('.chip').length") == 1
    window.js("document.querySelector('.chip').click()")
    assert len(shown(window)) == N_TRAIN
    choose(window, "find", "1000")
    assert shown(window) == []
    assert window.js("document.getElementById('nothing').hidden") is False


def test_images_are_found_by_a_part_of_their_file_name(page, folder):
    window = page()
    names = data.read_names(data.load(folder / "data"))
    assert window.text("findable") == "Index or file name"
    choose(window, "find", "DOCUMENT.TITLE='hit'>7.png")
    wanted = [i for i, name in enumerate(names["train"]) if name.endswith(">7.png")]
    assert len(wanted) == 3 and sorted(shown(window)) == wanted
    window = page(f"#find=%3E7.png&show=train-{wanted[0]}")
    assert sorted(shown(window)) == wanted
    assert (
        window.js("document.querySelector('#detail .file').textContent")
        == (names["train"][wanted[0]])
    )
    assert window.js("document.title") != "hit"
    window = page("#split=test&find=%3E7.PNG")
    assert len(shown(window)) == sum(">7.png" in name for name in names["test"])
    choose(window, "find", "no such file")
    assert shown(window) == []


def test_the_histogram_follows_the_filters(page):
    window = page()
    drawn = "histogram.toDataURL()"
    whole = window.js(drawn)
    choose(window, "label", 1)
    part = window.js(drawn)
    assert part != whole
    choose(window, "label", "")
    assert window.js(drawn) == whole


def test_detail_shows_the_pairs_and_leads_on_and_back(page, folder, scores, pairs):
    window = page()
    train = int(pairs.loc[pairs["influence"].idxmax(), "train_index"])
    own = pairs[pairs["train_index"] == train].sort_values("influence", ascending=False)
    window.js(f"document.querySelector('.cell[data-index=\"{train}\"]').click()")
    assert heading(window) == f"Training image {train}"
    rows = "[...document.querySelectorAll('.scores tbody tr')].map((r) => r.innerText)"
    row = next(row for row in window.js(rows) if row.startswith("Memorization"))
    at = scores.loc[train]
    value, error = row.split("\t")[1].replace("−", "-").split(" ± ")
    assert float(value) == pytest.approx(at["memorization"], abs=5e-4)
    assert float(error) == pytest.approx(at["memorization_se"], abs=5e-4)
    links = "[...document.querySelector('.linked').querySelectorAll('a')].map((a) => a.hash)"
    found = [int(link.rpartition("test-")[2]) for link in window.js(links)]
    assert set(found) == set(own["test_index"])
    window.js("document.querySelector('.linked a').click()")
    until(window, "document.querySelector('#shown h2').textContent", f"Test image {found[0]}")
    carriers = pairs[pairs["test_index"] == found[0]].sort_values("influence", ascending=False)
    assert int(window.js(links)[0].rpartition("train-")[2]) == carriers["train_index"].iloc[0]
    window.call("POST", "/back")
    until(window, "document.querySelector('#shown h2').textContent", f"Training image {train}")
    window.call("POST", "/back")
    until(window, "document.getElementById('detail').hidden", True)


def test_an_image_is_that_of_its_index(page, folder):
    """The part of the sheet that a cell shows has the pixels of the prepared image."""
    window = page("#show=train-5")
    images = data.load(folder / "data").train_images
    pixels = (
        "const done = arguments[0]; const style = document.querySelector('#shown .image').style;"
        "const [width, height] = [parseInt(style.width), parseInt(style.height)];"
        "const [x, y] = style.backgroundPosition.split(' ').map(parseFloat);"
        "const [all, tall] = style.backgroundSize.split(' ').map(parseFloat);"
        "const sheet = new Image(); sheet.onload = () => { const scale = all / sheet.width;"
        "const canvas = document.createElement('canvas'); canvas.width = width / scale;"
        "canvas.height = height / scale; const place = canvas.getContext('2d');"
        "place.drawImage(sheet, x / scale, y / scale);"
        "done([canvas.width, canvas.height, tall / scale, sheet.height,"
        " ...place.getImageData(0, 0, canvas.width, canvas.height).data]); };"
        "sheet.src = style.backgroundImage.slice(5, -2);"
    )
    width, height, tall, sheet, *rest = window.call(
        "POST", "/execute/async", script=pixels, args=[]
    )
    assert (width, height, tall) == (10, 8, sheet)
    found = np.reshape(rest, (8, 10, 4))[:, :, :3]
    np.testing.assert_array_equal(found.transpose(2, 0, 1), images[5])


def test_images_beside_the_page_are_copied_along(page, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("bat.report.browse_page.IN_PAGE", N_TRAIN)
    (tmp_path / "here" / "browse_files").mkdir(parents=True)
    (tmp_path / "here" / "browse_files" / "train-001.png").write_text("of a larger page")
    files = [path.name for path in write_page(folder, tmp_path / "here" / "browse")]
    assert files == ["browse.html", "train-000.png", "test-000.png"]
    there = tmp_path / "copied to ü #1 %20?"
    (tmp_path / "here").rename(there)
    assert sorted(path.name for path in (there / "browse_files").iterdir()) == sorted(files[1:])
    window = page("#show=train-5", there / "browse.html")
    sheet = (
        "const sheet = new Image(); sheet.onload = () => arguments[0](sheet.width);"
        "sheet.src = document.querySelector('.image').style.backgroundImage.slice(5, -2);"
    )
    assert window.call("POST", "/execute/async", script=sheet, args=[]) == 10 * N_TRAIN
    assert window.js("lacking.hidden") is True
    (there / "browse_files" / "train-000.png").unlink()
    window = page("", there / "browse.html")
    until(window, "lacking.hidden", False)
    assert window.text("lacking").startswith("browse_files/train-000.png cannot be read")
    assert len(window.errors()) == 1  # of the browser


def test_the_address_reproduces_a_view(page):
    window = page()
    window.click("test")
    choose(window, "sort", "max_influence")
    choose(window, "label", 1)
    choose(window, "from", 20)
    choose(window, "find", "0-30")
    first = shown(window)
    window.js("document.querySelector('.cell').click()")
    view, title = window.js("location.hash"), heading(window)
    assert 0 < len(first) < 36
    again = page(view)
    assert shown(again) == first
    assert heading(again) == title
    assert again.js("document.getElementById('sort').value") == "max_influence"
    assert page("#show=train-99999&sort=none&range.x=a~b&class=<b>").text("count").startswith("72")
    many = ",".join(f"{start}-{start + 999_999}" for start in range(100, 10**8, 10**6))
    assert shown(page(f"#sort=index&order=up&find=5,70-1e9,{many}")) == []  # no numbers
    assert shown(page(f"#sort=index&order=up&find=5,{many}")) == [5]


def test_the_keyboard_alone_is_enough(page, scores):
    window = page()
    order = shown(window)
    window.js("document.getElementById('grid').focus()")
    window.type(RIGHT + RIGHT + LEFT + ENTER)
    assert heading(window) == f"Training image {order[1]}"
    window.type(ESCAPE)
    assert window.js("document.activeElement.id") == "grid"
    active = "document.getElementById(grid.getAttribute('aria-activedescendant')).dataset.index"
    assert int(window.js(active)) == order[1]
    window.type(END)
    assert int(window.js(active)) == order[-1]
    window.type("/")
    assert window.js("document.activeElement.id") == "find"
    window.type("7")
    assert shown(window) == [7]


def test_names_of_others_are_shown_and_never_act(page):
    window = page("#show=train-0")
    names = window.js("[...document.querySelectorAll('#label option')].map((o) => o.textContent)")
    assert sorted(names[1:]) == sorted(CLASSES)
    assert window.js("document.querySelector('h1').textContent") == "a <b>data set</b>"
    assert window.js("document.querySelectorAll('img, b').length") == 0
    assert window.js("document.title") == "a <b>data set</b>: what is memorized"


def test_an_image_says_what_models_without_it_take_it_for(page, folder):
    prepared = data.load(folder / "data")
    labels, names = np.asarray(prepared.train_labels), prepared.class_names
    taken = "[...document.querySelectorAll('.taken')].map((p) => p.textContent)"
    own, other, third = (names[(labels[0] + shift) % 3] for shift in (0, 1, 2))
    said = f"{other} (50 %), {own} (38 %, its label), {third} (13 %)"
    assert page("#show=train-0").js(taken) == [f"Models without it (8) take it for {said}."]
    marked = [", its label" if labels[1] == c else "" for c in (1, 0)]
    said = f"{names[1]} (75 %{marked[0]}), {names[0]} (13 %{marked[1]}), others (13 %)"
    sentence = f"Models without it (8) take it for {said}."
    window = page("#show=train-1")
    assert window.js(taken) == [sentence]
    assert window.js("document.querySelectorAll('img, b').length") == 0
    assert page("#view=review&sort=index&order=up&at=1").js(taken) == [sentence]
    for view in ("#show=train-2", "#split=test&show=test-0"):
        assert page(view).js(taken) == []


VIEWS = ("", "#split=test&find=1-9&show=test-3", "#find=5000", "#view=compare", "#view=review")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, node_tools, view, scheme):
    window = page(view)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
    window.call("POST", "/goog/cdp/execute", **command)
    axe = (node_tools / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    window.call("POST", "/execute/sync", script=axe, args=[])
    run = "axe.run().then(({violations, passes}) => arguments[0]([violations, passes.length]))"
    violations, passed = window.call("POST", "/execute/async", script=run, args=[])
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations] == []
    assert passed > 15


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_screen(page, width):
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    for view in ("", "#show=train-3", "#view=compare", "#view=review"):
        window = page(view)
        window.call(
            "POST", "/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size
        )
        assert window.js("document.documentElement.scrollWidth") <= width
        wide = "[...document.querySelectorAll('#detail *, header *, #reviewing *, #comparing *')]"
        assert window.js(f"{wide}.every((e) => e.getBoundingClientRect().right <= innerWidth)")
    window.call("POST", "/goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})


def test_on_a_low_screen_the_grid_is_still_there(page):
    emulate = {"cmd": "Emulation.setDeviceMetricsOverride"}
    size = {"width": 320, "height": 500, "deviceScaleFactor": 1, "mobile": False}
    page("").call("POST", "/goog/cdp/execute", **emulate, params=size)
    for view in ("", "#view=compare"):
        window = page(view)
        window.js("document.getElementById('grid').scrollIntoView()")
        box = "document.getElementById('grid').getBoundingClientRect()"
        top, bottom = window.js(f"[{box}.top, {box}.bottom]")
        assert bottom - top > 120 and top < 500 - 120
        assert window.js("document.documentElement.scrollWidth") <= 320
    window.call("POST", "/goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})


def columns_of(folder, split="train"):
    """Columns of the page as data frames have them."""
    names = ("memorization", "confidence") if split == "train" else ("test",)
    tables = [read_table(folder / "scores" / f"{n}.parquet", n)[0].to_pandas() for n in names]
    return tables[0].assign(**{n: t[n] for n, t in zip(names[1:], tables[1:], strict=True)})


def test_two_scores_are_compared_and_a_box_selects(page, folder):
    window = page("#view=compare&x=memorization&y=confidence")
    table = columns_of(folder)
    x, y = (table[name].to_numpy().astype(np.float32) for name in ("memorization", "confidence"))

    def said(chosen):
        rho = scipy.stats.spearmanr(x[chosen], y[chosen]).statistic
        tau = scipy.stats.kendalltau(x[chosen], y[chosen]).statistic
        text = f"Spearman {rho:.3f}, Kendall {tau:.3f} on {len(chosen)} images"
        return text.replace("-", "−")

    assert window.text("correlations") == said(np.arange(N_TRAIN))
    box = "document.getElementById('scatter').getBoundingClientRect()"
    left, top, width, height = window.js(f"[{box}.left, {box}.top, {box}.width, {box}.height]")
    points = [(left + 20, top + 15), (left + width / 2, top + height / 2)]
    drag(window, *points)
    chips = window.js("[...document.querySelectorAll('.chip')].map((chip) => chip.textContent)")
    assert [chip.split(" ")[0] for chip in chips] == ["Memorization", "Confidence"]
    given = "[...new URLSearchParams(location.hash.slice(1))]"
    ends = window.js(f"{given}.filter(([key]) => key.startsWith('range'))")
    (low, high), (bottom, up) = [map(float, text.split("~")) for _, text in ends]
    chosen = np.flatnonzero((x >= low) & (x <= high) & (y >= bottom) & (y <= up))
    assert 3 < len(chosen) < N_TRAIN
    assert set(shown(window)) <= set(chosen)
    assert window.text("count") == f"{len(chosen)} of {N_TRAIN} images"
    assert window.text("correlations") == said(chosen)
    middle = (x.min() + x.max()) / 2  # half of the plot is half of the score
    assert high == pytest.approx(middle, abs=0.02)


def drag(window, start, end):
    """Press the mouse at one point of the screen and let it go at another."""
    moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in (start, end)]
    down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
    actions = [moves[0], down, moves[1], up]
    mouse = {"type": "pointer", "id": "mouse", "actions": actions}
    window.call("POST", "/actions", actions=[mouse])


def test_a_click_on_a_point_opens_its_image(page, folder):
    window = page("#view=compare&x=memorization&y=memorization")
    box = "document.getElementById('scatter').getBoundingClientRect()"
    left, top = window.js(f"[{box}.right - 10, {box}.top + 10]")
    drag(window, (left, top), (left, top))
    values = columns_of(folder)["memorization"]
    assert values[int(heading(window).split()[-1])] == values.max()


def test_suspects_are_reviewed_by_keys_and_exported(page, folder, chromium, downloads):
    window = page()
    window.js("localStorage.clear()")
    window = page("#view=review")
    window.click("labels")
    judged = "document.querySelector('#judged .judged').textContent"
    order = [int(window.js(judged).split(",")[0].split()[1])]
    for key in "wku":
        window.type(key)
        order.append(int(window.js(judged).split(",")[0].split()[1]))
    assert len(set(order)) == 4
    window.type(LEFT + "\ue003")  # one back, and that before it loses its verdict
    assert window.text("verdicts") == "2 verdicts in this browser"
    window.type(RIGHT)
    window = page("#view=review&sort=suspicion")  # as if it was opened another day
    assert window.text("verdicts") == "2 verdicts in this browser"
    window.click("save")
    file = downloaded(downloads)
    text = file.read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    prepared = data.load(folder / "data")
    wanted = {order[0]: "wrong", order[2]: "unsure"}
    assert {int(row["index"]): row["verdict"] for row in rows} == wanted
    for row in rows:
        index = int(row["index"])
        assert int(row["source_index"]) == prepared.train_source_index[index]
        assert row["class"] == prepared.class_names[prepared.train_labels[index]]
        assert row["file"] == data.read_names(prepared)["train"][index]
    assert [int(row["index"]) for row in rows] == sorted(wanted)
    label = int(prepared.train_labels[order[0]])
    assert read_dropped(file) == {int(prepared.train_source_index[order[0]]): label}


def test_verdicts_of_two_tabs_are_exported_together(page, chromium, downloads):
    window = page("#view=review&sort=index&order=up")
    window.js("localStorage.clear()")
    window = page("#view=review&sort=index&order=up")
    window.type("w")
    first = window.call("GET", "/window")
    other = window.call("POST", "/window/new", type="tab")["handle"]
    window.call("POST", "/window", handle=other)
    page("#view=review&sort=index&order=up&at=7")
    said = "document.getElementById('verdicts').textContent"
    until(window, said, "1 verdicts in this browser")  # the browser tells its tabs in its own time
    window.type("u")
    until(window, said, "2 verdicts in this browser")
    window.call("DELETE", "/window")
    window.call("POST", "/window", handle=first)
    until(window, said, "2 verdicts in this browser")
    known = list(downloads.glob("*.csv"))
    window.click("save")
    rows = csv.DictReader(io.StringIO(downloaded(downloads, known).read_text(encoding="utf-8")))
    assert [(row["index"], row["verdict"]) for row in rows] == [("0", "wrong"), ("7", "unsure")]


def test_verdicts_last_as_long_as_the_page_where_the_browser_keeps_none(page, downloads):
    window = page("#view=review&sort=index&order=up")
    window.js(
        "['getItem', 'setItem'].map((name) => { Storage.prototype[name] = () => { throw 1; }; })"
    )
    window.type("wk")
    assert window.text("verdicts").startswith("This browser keeps no verdicts")
    known = list(downloads.glob("*.csv"))
    window.click("save")
    rows = csv.DictReader(io.StringIO(downloaded(downloads, known).read_text(encoding="utf-8")))
    assert [row["verdict"] for row in rows] == ["wrong", "keep"]


def test_images_are_printed_in_light_colours(page):
    window = page("#show=train-5")
    command = {"cmd": "Page.printToPDF", "params": {}}
    pdf = base64.b64decode(window.call("POST", "/goog/cdp/execute", **command)["data"])
    assert pdf.count(b"/Subtype /Image") > N_TRAIN
    window.js("document.documentElement.dataset.theme = 'dark'")
    ink = "getComputedStyle(document.body).color"
    dark = window.js(ink)
    media = {"cmd": "Emulation.setEmulatedMedia"}
    window.call("POST", "/goog/cdp/execute", **media, params={"media": "print"})
    assert window.js(ink) == "rgb(29, 29, 31)" != dark
    window.call("POST", "/goog/cdp/execute", **media, params={"media": ""})


def test_suspects_come_by_the_mean_of_their_ranks(page, folder):
    window = page("#sort=suspicion")
    table = columns_of(folder)
    parts = [table["memorization"].rank(pct=True), (-table["confidence"]).rank(pct=True)]
    mean = np.mean(parts, axis=0).astype(np.float32)
    assert list(mean[shown(window)]) == sorted(mean, reverse=True)


def test_what_is_shown_is_taken_along(page, folder):
    window = page("#find=3-6&sort=index&order=up")
    window.click("export")
    assert window.js("document.getElementById('list').value") == "[3, 4, 5, 6]"
    line = window.js("document.getElementById('python').value")
    place, names = '"results/a <b>data set</b>"', {}
    assert place in line
    exec(line.replace(place, repr(str(folder))), names)
    assert list(names["selected"].index) == [3, 4, 5, 6]
    window.type(ESCAPE)
    assert window.js("document.getElementById('exported').open") is False


def test_colours_are_chosen_and_kept(page):
    window = page()
    background = "getComputedStyle(document.body).backgroundColor"
    window.js("localStorage.clear()")
    found = []
    for _ in range(2):
        window.click("theme")
        found.append((window.text("theme"), window.js(background)))
    assert [text for text, _ in found] == ["Colours: light", "Colours: dark"]
    assert found[0][1] != found[1][1]
    window = page()
    assert window.js(background) == found[1][1]
    window.click("theme")
    assert window.text("theme") == "Colours: system"


def test_what_one_method_keeps_and_another_loses(page, folder):
    path = write_methods_page(folder)
    window = page("", path)
    assert window.js("document.querySelector('h1').textContent") == "d, net"
    names = window.js("[...document.querySelectorAll('#keeps option')].map((o) => o.textContent)")
    assert names == ["PGD-AT", RUNS[1]]
    choose(window, "keeps", RUNS[1])
    choose(window, "loses", "pgd-at")
    choose(window, "attack", "pgd")
    window.click("between")
    shares = [np.mean([verdicts(run, seed)["pgd"] for seed in range(3)], axis=0) for run in RUNS]
    wanted = np.arange(0, N_TEST, 2)[(shares[1] > 0.5) & (shares[0] < 0.5)]
    assert 0 < len(wanted) < N_TEST // 2
    assert set(shown(window)) == set(wanted)
    view = window.js("location.hash")
    assert set(shown(page(view, path))) == set(wanted)
    chosen = "[keeps.value, loses.value, attack.value]"
    assert window.js(chosen) == [RUNS[1], "pgd-at", "pgd"]
    choose(window, "loses", RUNS[1])
    window.click("between")
    assert shown(window) == []  # what a method keeps, it does not lose
    assert window.js("document.querySelectorAll('i').length") == 0


def test_the_page_of_a_data_set_offers_no_methods(page):
    assert page().js("document.getElementById('methods').hidden") is True
