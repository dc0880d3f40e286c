"""The annotation study: what the sheet shows and hides, in a real browser too, and its table."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from chromium import Browser, downloaded
from sklearn.metrics import cohen_kappa_score

from bat.errors import ArtifactError, BatError
from bat.files import SCHEMAS, read_json, write_json, write_table
from bat.plan.inputs import ANNOTATED_RUN
from bat.report.annotation_page import Item, page
from bat.report.paper import ANSWERS
from bat.studies import annotation
from bat.tables import annotation as answers_table

N_ATYPICAL = 11


def scores_of(n=40, seed=0):
    """Poisoning scores of n samples; y_2 is the class after the label."""
    labels = np.arange(n) % 10
    return pd.DataFrame(
        {
            "index": np.arange(n),
            "label": labels,
            "predicted": (labels + 2) % 10,
            "predicted_clean": (labels + 1) % 10,
            "score": np.random.default_rng(seed).random(n),
        }
    )


@pytest.fixture(scope="module")
def study(few_digits, tmp_path_factory):
    """A sheet of 10 images, of the 11 atypical ones of 200, with its inputs on disk."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(1)
    n = few_digits.info["n_train"]
    scores = scores_of(n).assign(label=np.asarray(few_digits.train_labels))
    scores["predicted_clean"] = (scores["label"] + 1) % 10
    scores["predicted"] = (scores["label"] + 2) % 10
    atypical = np.zeros(n, bool)
    atypical[rng.permutation(n)[:N_ATYPICAL]] = True
    facts = {"fingerprint": few_digits.fingerprint, "command": "test"}
    spec = {
        "dataset": "digits",
        "architecture": "small_cnn",
        "run": ANNOTATED_RUN,
        "seed": 0,
    }
    write_table(
        folder / "scores.parquet",
        "poisoning",
        {name: scores[name].to_numpy() for name in SCHEMAS["poisoning"].names},
        recipe=spec,
        checkpoint_sha256="0" * 64,
        **facts,
    )
    write_table(
        folder / "groups.parquet",
        "groups",
        {"index": np.arange(n), "typical": ~atypical, "atypical": atypical},
        recipe={},
        **facts,
    )
    inputs = (folder / "scores.parquet", folder / "groups.parquet", few_digits.folder)
    key = annotation.write_sheet(*inputs, folder / "annotation")
    return {"key": key, "inputs": inputs, "out": folder / "annotation", "scores": scores}


def answer_file(path, key, answers, annotator="A", sheet=None):
    """A file as the page saves it; answers by item number."""
    rows = [[sheet or key["sheet"], item, annotator, answer] for item, answer in answers.items()]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([annotation.COLUMNS, *rows])
    return path


def choices(key, meaning):
    """What to click for each item so that it means this."""
    side = {"y1": ("first", "second"), "y2": ("second", "first")}
    found = {}
    for item in key["items"]:
        answer = meaning(item)
        if answer in side:
            answer = side[answer][item["first"] != "label"]
        found[item["item"]] = answer
    return found


# -- the sheet ------------------------------------------------------------------------------


def test_items_are_the_atypical_samples_of_highest_and_lowest_score():
    scores = scores_of()
    atypical = np.arange(40) < 25
    items = annotation.choose_items(scores, atypical, per_group=8)
    ranked = scores[:25].sort_values("score")["index"]
    assert set(items.loc[items["group"] == "low", "index"]) == set(ranked[:8])
    assert set(items.loc[items["group"] == "high", "index"]) == set(ranked[-8:])
    assert list(items["item"]) == list(range(1, 17))
    assert (items["predicted"] == (items["label"] + 1) % 10).all()  # y_2 without attack


def test_the_order_tells_nothing_and_follows_the_seed():
    scores, atypical = scores_of(400), np.ones(400, bool)
    items = annotation.choose_items(scores, atypical)
    assert list(items["group"].value_counts()) == [100, 100]
    assert (items.groupby("group")["first"].value_counts() == 50).all()
    # 200 random places: |r| < 5 / sqrt(200) in all but 1 of 10^6 draws
    for column in (items["score"], items["first"] == "label"):
        assert abs(np.corrcoef(items["item"], column)[0, 1]) < 5 / np.sqrt(200)
    pd.testing.assert_frame_equal(items, annotation.choose_items(scores, atypical))
    other = annotation.choose_items(scores, atypical, seed=1)
    assert set(other["index"]) == set(items["index"])
    assert list(other["index"]) != list(items["index"])


def test_few_atypical_samples_are_halved_and_none_is_an_error():
    scores = scores_of()
    assert len(annotation.choose_items(scores, np.arange(40) < 7)) == 6
    with pytest.raises(BatError, match="found 1 atypical"):
        annotation.choose_items(scores, np.arange(40) < 1)


def test_the_page_holds_what_is_shown_and_nothing_else(study):
    text = (study["out"] / "sheet.html").read_text()
    assert not re.search(r"https?:|//[a-z]|poison|atypical|score|predicted|@[A-Z]+@", text)
    content = json.loads(re.search(r'id="sheet">(.*?)</script>', text, re.S)[1])
    assert content.keys() == {"sheet", "items"}
    for shown, item in zip(content["items"], study["key"]["items"], strict=True):
        assert shown.keys() == {"item", "image", "names"}
        named = [str(item["label"]), str(item["predicted"])]
        assert shown["names"] == (named if item["first"] == "label" else named[::-1])


def test_the_key_says_what_every_item_is(study):
    key, scores = study["key"], study["scores"].set_index("index")
    assert read_json(study["out"] / "key.json") == key
    assert len(key["items"]) == 2 * (N_ATYPICAL // 2)
    for item in key["items"]:
        row = scores.loc[item["index"]]
        assert (item["label"], item["score"]) == (row["label"], row["score"])


def test_class_names_cannot_break_the_page():
    name = '</script><script>alert("1")</script> & 猫'
    text = page("s", "a<b", [Item(1, np.zeros((3, 2, 2), np.uint8), name, "dog")])
    assert text.count("</script>") == 2
    assert "a<b" not in text
    assert json.loads(re.search(r'id="sheet">(.*?)</script>', text, re.S)[1])["items"][0][
        "names"
    ] == [name, "dog"]


def test_a_sheet_with_answers_is_not_replaced_by_another(study, tmp_path):
    out = tmp_path / "annotation"
    key = annotation.write_sheet(*study["inputs"], out)
    before = (out / "key.json").read_bytes()
    (out / "answers").mkdir()
    answer_file(out / "answers" / "a.csv", key, {1: "both"})
    annotation.write_sheet(*study["inputs"], out)  # the same sheet
    with pytest.raises(BatError, match="1 answer files lie beside the sheet"):
        annotation.write_sheet(*study["inputs"], out, seed=1)
    assert (out / "key.json").read_bytes() == before


# -- the answers ----------------------------------------------------------------------------


def test_answers_mean_the_label_whatever_the_side(study, tmp_path):
    key = study["key"]
    for meaning in ANSWERS:
        file = answer_file(tmp_path / "a.csv", key, choices(key, lambda item, m=meaning: m))
        found = annotation.read_answers([file], key)
        assert list(found["answer"]) == [meaning] * len(key["items"])
    assert list(found["group"]) == [item["group"] for item in key["items"]]


def test_a_file_that_a_spreadsheet_saved_is_read(study, tmp_path):
    path = answer_file(tmp_path / "a.csv", study["key"], {1: "both"}, annotator="Ann, B.")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = annotation.read_answers([path], study["key"])
    assert list(found["annotator"]) == ["Ann, B."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv: has the columns none, expected sheet, item"),
        ("sheet;item;annotator;answer\n", "has the columns sheet;item;annotator;answer, expected"),
        ("sheet,item,annotator,answer\n", "holds no answer"),
        ("{head}other,1,A,both\n", "line 2: answers the sheet 'other', expected"),
        ("{head}{sheet},11,A,both\n", "item '11', expected 1 to 10"),
        ("{head}{sheet},1,A,y1\n", "answer 'y1', expected one of first, second"),
        ("{head}{sheet},1, ,both\n", "no annotator"),
        ("{head}{sheet},1,A\n", "answer '', expected one of"),
        ("{head}{sheet},1,A,both\n{sheet},1,A,both\n", "line 3: 'A' answers item 1 for the second"),
        (b"\xff\xfe\x00", "not a readable CSV file in UTF-8"),
    ],
)
def test_wrong_files_are_refused(study, tmp_path, text, message):
    path = tmp_path / "a.csv"
    if isinstance(text, str):
        head = ",".join(annotation.COLUMNS) + "\n"
        text = text.format(head=head, sheet=study["key"]["sheet"]).encode()
    path.write_bytes(text)
    with pytest.raises(BatError, match=message):
        annotation.read_answers([path], study["key"])


def test_missing_files_and_no_files_are_refused(study, tmp_path):
    with pytest.raises(BatError, match="does not exist"):
        annotation.read_answers([tmp_path / "none.csv"], study["key"])
    with pytest.raises(BatError, match=r"waits for CSV files in .*answers.*sheet\.html"):
        answers_table.write_answer_tables(study["out"] / "key.json", [], tmp_path / "annotation")


@pytest.mark.parametrize(
    "change",
    [
        lambda key: {},
        lambda key: [],
        lambda key: None,
        lambda key: key | {"items": "text"},
        lambda key: key | {"items": key["items"][1:]},
        lambda key: key | {"dataset": "another"},
        lambda key: {name: value for name, value in key.items() if name != "run"},
    ],
)
def test_a_key_that_is_none_or_was_edited_is_refused(study, tmp_path, change):
    key = tmp_path / "key.json"
    write_json(key, study["key"])
    (tmp_path / "answers").mkdir()
    file = answer_file(tmp_path / "answers" / "a.csv", study["key"], {1: "both"})
    answers_table.write_answer_tables(key, [file], tmp_path / "right")
    write_json(key, change(study["key"]))
    with pytest.raises(ArtifactError, match=r"key\.json: is no key of a sheet, or was edited"):
        answers_table.write_answer_tables(key, [file], tmp_path / "wrong")
    with pytest.raises(ArtifactError, match=r"key\.json: is no key of a sheet"):
        annotation.write_sheet(*study["inputs"], tmp_path)
    assert read_json(key) == change(study["key"])  # not written over


# -- tables ---------------------------------------------------------------------------------


def frame(**answers):
    """Answers by annotator, to items 1, 2, ...: the first half of high score, the other of low."""
    rows = [
        (annotator, i + 1, "high" if 2 * i < len(given) else "low", answer)
        for annotator, given in answers.items()
        for i, answer in enumerate(given)
        if answer
    ]
    return pd.DataFrame(rows, columns=["annotator", "item", "group", "answer"])


def test_shares_and_their_intervals():
    answers = frame(
        a=["y1", "y1", "y2", "both", "y1", "y1", "y1", "y1"],
        b=["y1", "y2", "y2", "neither", "y1", "y1", "y1", ""],
    )
    table = answers_table.answer_shares(answers).set_index(["group", "answer"])
    assert list(table["count"]) == [3, 3, 1, 1, 7, 0, 0, 0]
    assert list(table.loc["high", "share"]) == [3 / 8, 3 / 8, 1 / 8, 1 / 8]
    assert list(table.loc["low", "share"]) == [1, 0, 0, 0]
    assert list(table["n_images"].unique()) == [4]
    assert (
        answers_table.presentation(answers_table.answer_shares(frame(a=["y1"])))["Both"][2] == "–"
    )
    # Wilson's interval of 0 in 4: 0 to z^2 / (4 + z^2)
    z2 = 1.959964**2
    cell = table.loc["low", "y2"]
    assert cell["low"] == 0
    assert cell["high"] == pytest.approx(z2 / (4 + z2), abs=1e-6)
    assert table["paper"].groupby("group").sum().round(9).to_dict() == {"high": 1.01, "low": 1.0}


def test_fleiss_kappa_of_the_published_example():
    """Fleiss (1971), table 1 as the usual worked example has it: 10 subjects, 14 raters."""
    counts = np.array(
        [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ]
    )
    observed, kappa = annotation.fleiss_kappa(counts)
    assert observed == pytest.approx(0.378, abs=5e-4)
    assert kappa == pytest.approx(0.210, abs=5e-4)


def test_cohen_kappa_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    names = np.array(list(ANSWERS))
    a = names[rng.integers(4, size=60)]
    b = np.where(rng.random(60) < 0.5, a, names[rng.integers(4, size=60)])
    assert annotation.cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))


def test_agreement_uses_the_images_that_two_have_answered():
    table = annotation.agreement(
        frame(a=["y1", "y2", "y1", "y1"], b=["y1", "y2", "y1", ""], c=["", "", "both", ""])
    ).set_index("group")
    assert list(table.loc["high", ["n_images", "n_annotators"]]) == [2, 2]
    assert table.loc["high", "agreement"] == 1
    assert table.loc["high", "fleiss_kappa"] == table.loc["high", "cohen_kappa"] == 1
    # y1, y1, both on the one image: one pair of three agrees
    assert table.loc["low", "n_images"] == 1
    assert table.loc["low", "agreement"] == pytest.approx(1 / 3)
    assert table.loc["all", "agreement"] == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_agreement_is_undefined_for_one_annotator_and_for_equal_answers():
    alone = annotation.agreement(frame(a=["y1", "y2"])).set_index("group").loc["all"]
    assert alone["n_images"] == 0
    assert annotation.agreement(frame(a=["y1"]))["n_images"].sum() == 0  # none of low score
    assert np.isnan(alone["agreement"])
    same = annotation.agreement(frame(a=["y1", "y1"], b=["y1", "y1"])).set_index("group").loc["all"]
    assert same["agreement"] == 1
    assert np.isnan(same["fleiss_kappa"])
    assert np.isnan(same["cohen_kappa"])


def test_the_tables_on_disk(study, tmp_path, run_bat):
    key = study["key"]
    files = [
        answer_file(tmp_path / f"{name}.csv", key, choices(key, meaning), annotator=name)
        for name, meaning in (
            ("a", lambda item: "y1"),
            ("b", lambda item: "y2" if item["group"] == "high" else "y1"),
        )
    ]
    out = tmp_path / "tables" / "annotation"
    place = ["--key", study["out"] / "key.json", "--out", out]
    run_bat("annotate", "table", *files, *place)
    text = out.with_suffix(".md").read_text()
    assert "| High poisoning score | 50.0 (" in text
    assert "| High poisoning score (paper) | 59.0 | 12.0 | 26.0 | 4.0 | 100 |" in text
    assert "20 answers of 2 annotators. In parentheses" in text
    assert "On 10 images with two answers or more, two annotators agree in 50.0" in text
    agreed = pd.read_csv(tmp_path / "tables" / "annotation_agreement.csv").set_index("group")
    assert list(agreed["agreement"]) == [0, 1, 0.5]
    refused = run_bat("annotate", "table", *place, check=False)
    assert refused.returncode == 2
    assert "no answers yet; this waits for CSV files in" in refused.stderr


# -- in a browser ---------------------------------------------------------------------------

BACKSPACE, ENTER = "\ue003", "\ue007"


@pytest.fixture
def browser(driver, tmp_path):
    """A function that opens a browser, always with the same profile and downloads."""
    opened = []

    def start():
        opened.append(Browser(driver, tmp_path / "profile", tmp_path))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def window(driver, tmp_path_factory):
    """A browser that several tests use one after the other, each under a name of its own."""
    folder = tmp_path_factory.mktemp("window")
    window = Browser(driver, folder / "profile", folder)
    yield window
    window.close()


def begin(window, sheet, name):
    window.open(sheet)
    window.js("document.getElementById('name').value = ''")
    window.type(name + ENTER)


def shown(window):
    """Whether each screen is in sight, and the item on it."""
    hidden = "(id) => document.getElementById(id).hidden"
    screens = window.js(f"['start', 'question', 'done'].map({hidden})")
    names = ("start", "question", "done")
    return [name for name, gone in zip(names, screens, strict=True) if not gone]


def test_a_whole_sheet_is_answered_by_keys(study, browser, tmp_path):
    key, sheet = study["key"], study["out"] / "sheet.html"
    meaning = dict(enumerate(2 * [*ANSWERS, "y1"], start=1))
    wanted = choices(key, lambda item: meaning[item["item"]])
    window = browser()
    begin(window, sheet, 'Ann "A", B.')
    for number, answer in wanted.items():
        assert window.text("count") == f"{number - 1} of 10"
        item = key["items"][number - 1]
        names = [str(item["label"]), str(item["predicted"])]
        names = names if item["first"] == "label" else names[::-1]
        assert [window.text("first"), window.text("second")] == names
        window.type(str(annotation.CHOICES.index(answer) + 1))
    assert shown(window) == ["done"]
    window.type("2")  # after the last one, keys do nothing
    window.type(ENTER)  # the button to save has the focus
    file = downloaded(tmp_path)
    assert file.name == f"answers-{key['sheet']}-Ann-A-B.csv"
    found = annotation.read_answers([file], key)
    assert set(found["annotator"]) == {'Ann "A", B.'}
    assert dict(zip(found["item"], found["answer"], strict=True)) == meaning
    assert {"file"} < window.requested() <= {"file", "data", "blob"}


def test_undo_and_a_closed_browser_lose_nothing(study, browser, tmp_path):
    sheet = study["out"] / "sheet.html"
    window = browser()
    begin(window, sheet, "Bo")
    window.type("1234" + BACKSPACE + BACKSPACE + "x9" + "4")
    assert window.text("count") == "3 of 10"
    window.close()

    window = browser()
    window.open(sheet)
    assert window.js("document.getElementById('name').value") == "Bo"
    assert window.text("known") == "3 of 10 answered before in this browser."
    window.type(ENTER)
    assert shown(window) == ["question"]
    assert window.text("count") == "3 of 10"
    window.click("save")
    file = downloaded(tmp_path)
    rows = file.read_text().splitlines()[1:]
    assert [row.split(",")[3] for row in rows] == ["first", "second", "neither"]

    begin(window, sheet, "Cy")  # another person at the same computer begins anew
    assert window.text("count") == "0 of 10"
    window.click("choice3")
    window.click("save")
    _, row = downloaded(tmp_path, {file}).read_text().splitlines()
    assert row.endswith(",1,Cy,both")


def test_the_last_answer_can_be_taken_back(study, window):
    begin(window, study["out"] / "sheet.html", "Di")
    window.type(BACKSPACE + "1" * 10)
    assert shown(window) == ["done"]
    window.click("undolast")
    assert shown(window) == ["question"]
    assert window.text("count") == "9 of 10"


def test_images_are_sharp_and_in_full_sight(study, window, few_digits):
    begin(window, study["out"] / "sheet.html", "Ed")
    width, rendering, bottom, height = window.js(
        "[image.width, getComputedStyle(image).imageRendering, "
        "document.getElementById('undo').getBoundingClientRect().bottom, innerHeight]"
    )
    assert 256 <= width <= 384
    assert width % 8 == 0  # every pixel of the image takes as many on the screen
    assert rendering == "pixelated"
    assert bottom <= height
    pixels = window.js(
        "(() => { const canvas = document.createElement('canvas'); canvas.width = 8; "
        "canvas.height = 8; const place = canvas.getContext('2d'); place.drawImage(image, 0, 0, "
        "8, 8); return Array.from(place.getImageData(0, 0, 8, 8).data); })()"
    )
    expected = few_digits.train_images[study["key"]["items"][0]["index"]][0]
    np.testing.assert_array_equal(np.reshape(pixels, (8, 8, 4))[:, :, 0], expected)


def test_a_browser_that_keeps_nothing_says_so(study, window):
    window.open(study["out"] / "sheet.html")
    window.js("(() => { Storage.prototype.setItem = () => { throw new Error('full'); }; })()")
    window.js("document.getElementById('name').value = 'Flo'")
    window.type(ENTER)
    assert window.js("document.getElementById('warning').hidden") is False
    window.type("12")
    assert window.text("count") == "2 of 10"


def test_what_systems_leave_beside_answers_is_no_answer(tmp_path):
    (tmp_path / "answers").mkdir()
    for name in ("anna.csv", "._anna.csv", ".DS_Store"):
        (tmp_path / "answers" / name).write_bytes(b"\0")
    assert [path.name for path in annotation.answer_files(tmp_path)] == ["anna.csv"]
