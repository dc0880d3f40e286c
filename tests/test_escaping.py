"""One hostile name through everything that people are shown: it is read, and never acts."""

import csv
import io
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_doctree
from jinja2 import Template
from markdown_it import MarkdownIt
from matplotlib.mathtext import MathTextParser
from samples import encode, pets, pixels
from sharing.test_sharing import MERGE, N_TRIALS, RECIPE, rewrite, specification, write_shard

from bat import data, scoring, sharing
from bat.__main__ import main
from bat.config import load_config
from bat.escaping import for_csv, for_figure, for_html, for_latex, for_markdown, for_terminal, plain
from bat.figures import fig3, fig5
from bat.files import read_json, read_metadata, write_json, write_table
from bat.plan.catalogue import read_catalogue, writer
from bat.plan.specifications import all_specifications
from bat.progress import log, start_logging
from bat.report.annotation_page import Item, page
from bat.report.curves import plot_accuracy_by_epoch
from bat.report.folder import Folder
from bat.report.saving import save_figure
from bat.report.writing import write_table_files
from bat.tables import paper_page

HOSTILE = (
    "=1+1 <img src=x onerror=alert(1)>|$\\frac$ \x1b[31m\u202e [red]r[/red] "
    "[link=http://x]y[/link] [z](http://x) **b** `c` &amp; %_&#{}~^\\ \n\t\udcff"
)
NAME = HOSTILE.replace("/", "!")  # a folder may be called so
SHOWN = plain(HOSTILE)


def is_visible(text: str) -> bool:
    return all(c == "\n" or c == "\u00a0" or c.isprintable() for c in text)


def rendered(text: str) -> tuple[str, list[str]]:
    """What a reader of Markdown sees, and the tags of its HTML."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = re.findall(r"<(/?\w+)", html)
    seen = re.sub(r"<[^>]*>", "", html)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        seen = seen.replace(entity, sign)
    return seen, tags


def is_plain_markdown(text: str, ours: tuple[str, ...] = ()) -> str:
    seen, tags = rendered(text)
    assert not {"img", "a", "em", "strong", "code", "span", "script"} - {*ours} & set(tags), tags
    assert is_visible(text)
    return seen


def no_formula(text: str) -> None:
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            if re.match(r"\s*[=+@\-\t]", cell):
                float(cell)
    assert is_visible(text)


# -- each target ----------------------------------------------------------------------------


def test_what_cannot_be_seen_is_written_out():
    assert is_visible(SHOWN)
    assert SHOWN.endswith("\\n\\t\\xff")
    assert plain("Straße 学习 👩\u200d🔬 نمی\u200cخواهم\u00a0%") == (
        "Straße 学习 👩\u200d🔬 نمی\u200cخواهم\u00a0%"
    )
    assert for_terminal(HOSTILE) == SHOWN.replace("\\n\\t", "\n\\t")
    assert plain(SHOWN) == SHOWN


def test_markdown_renders_the_text_itself():
    for text in (
        HOSTILE,
        "\\|",
        "\\\\|",
        "a_b _c_ __d__",
        "&lt;",
        "<http://x>",
        "![x](y)",
        "~~x~~",
    ):
        table = f"| a |\n|---|\n| {for_markdown(text)} |\n"
        assert is_plain_markdown(table).strip().removeprefix("a").strip() == plain(text).strip()
        assert plain(text).strip() in is_plain_markdown(f"# of {for_markdown(text)}\n")
    assert for_markdown("http://x www.y.z").count("\\") == 2  # no address becomes a link


def test_html_holds_the_text_itself():
    assert not re.search(r"<|[\"']|&(?!\w+;|#x27;)", for_html(HOSTILE))


def test_latex_has_no_sign_that_acts():
    text = for_latex(HOSTILE)
    rest = re.sub(r"\\text\w+\{\}|\\[&%$#_{}]", "", text.removeprefix("{}"))
    assert not re.search(r"[&%$#_{}~^\\<>]", rest), rest
    assert for_latex("[x]") == "{}[x]"  # after \\ it would be an option


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝", "\n@"])
def test_no_cell_of_csv_begins_a_formula(start):
    no_formula(for_csv(f"{start}cmd|' /C calc'!A0"))


@pytest.mark.parametrize("number", ["-1", "+0.5", "-1e-5", "7", "-inf"])
def test_numbers_stay_numbers(number):
    assert for_csv(number) == number


def test_a_figure_draws_the_text_itself():
    from matplotlib.figure import Figure

    figure = Figure()
    drawn = figure.text(0, 0, for_figure("$\\frac$ a\\$ $x_1$"))
    assert drawn._preprocess_math(drawn.get_text()) == ("$\\frac$ a\\$ $x_1$", False)


# -- everything that is made ----------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of a data set whose name and classes are hostile."""
    root = tmp_path_factory.mktemp("hostile")
    for split, n in (("train", 24), ("test", 12)):
        for c, name in enumerate((NAME, "=2+2", "$\\frac$")):
            (
                root
                / "images"
                / split
                / name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            ).mkdir(parents=True)
            place = next(p for p in (root / "images" / split).iterdir() if not any(p.iterdir()))
            for i in range(n):
                (place / f"{i}.png").write_bytes(encode(pixels(1000 * c + i)))
    folder = root / "results" / "d"
    data.prepare(pets(root / "images"), folder / "data", workers=1)
    prepared = data.load(folder / "data")
    shard = write_shard(folder / "trials", prepared, range(N_TRIALS))
    spec = {"trials": N_TRIALS, "recipe": RECIPE} | MERGE | {"dataset": plain(HOSTILE)}
    scoring.write_scores([shard], prepared, spec, folder / "scores", command=plain(HOSTILE))
    scoring.write_convergence([shard], prepared, spec, folder / "scores" / "convergence.csv")
    labels = np.asarray(prepared.train_labels)
    for kind in ("disagreement", "confidence"):
        columns = {"index": np.arange(len(labels)), "label": labels, kind: labels / 4.0}
        provenance = {"fingerprint": prepared.fingerprint, "command": "a test"}
        recipe = {HOSTILE.encode("utf-8", "replace").decode(): {"trials": 3}}
        write_table(
            folder / "scores" / f"{kind}.parquet", kind, columns, recipe=recipe, **provenance
        )
    hostile = {"architecture": HOSTILE.encode("utf-8", "replace").decode()}
    for path in (folder / "scores").glob("*.parquet"):
        if path.stem in ("memorization", "influence", "test"):
            recipe = read_metadata(path, path.stem)["recipe"]
            rewrite(path, {"recipe": recipe | hostile, "dataset": hostile["architecture"]})
    raw = {"datasets": {"d": {"data": {"source": "digits"}}}}
    specs = all_specifications(load_config(raw))
    for name in ("groups", "figures"):
        write_json(folder / "specs" / f"{name}.json", specs["d", name])
    scoring.write_groups(
        folder / "scores",
        prepared,
        read_json(folder / "specs" / "groups.json"),
        folder / "groups",
        command="a test",
    )
    labels, hostile = np.asarray(prepared.train_labels), hostile["architecture"]
    about = read_metadata(folder / "scores" / "memorization.parquet", "memorization")
    made_of = {"trials": about["inputs"]["trials"], "margins": "m"}
    write_table(
        folder / "scores" / "privacy.parquet",
        "privacy",
        {"index": np.arange(len(labels)), "label": labels}
        | {name: np.full(len(labels), value) for name, value in (("auc", 0.6), ("auc_se", 0.1))},
        fingerprint=prepared.fingerprint,
        recipe=about["recipe"],
        dataset=hostile,
        command="a test",
        inputs=made_of,
    )
    rows = [
        f"{part},{len(labels)},0.6,0.5,0.7,{fpr},{10 * fpr},{fpr},{20 * fpr}"
        for part in ("all", "class 0", "class 1", "class 2")
        for fpr in (0.001, 0.01)
    ]
    header = "part,n_samples,auc,auc_low,auc_high,fpr,tpr,tpr_low,tpr_high"
    (folder / "scores" / "privacy.csv").write_text("\n".join([header, *rows, ""]))
    n = len(labels)
    write_table(
        folder / "proxies" / "by_seed.parquet",
        "proxies_by_seed",
        {"seed": np.zeros(n, int), "index": np.arange(n), "csl": np.linspace(0, 1, n)},
        fingerprint=prepared.fingerprint,
        recipe={"architecture": hostile, "seeds": [0]},
        dataset=hostile,
        cost={"csl": 1.1},
        command="a test",
    )
    return folder


@pytest.fixture
def no_mathematics(monkeypatch):
    """Let nothing foreign reach the parser of mathematics."""
    parse = MathTextParser.parse

    def checked(self, text, *args, **kwargs):
        assert "frac" not in text and "img" not in text
        return parse(self, text, *args, **kwargs)

    monkeypatch.setattr(MathTextParser, "parse", checked)


@pytest.mark.parametrize(
    "name", [name for name, entry in read_catalogue().items() if entry.scope == "dataset"]
)
@pytest.mark.usefixtures("no_mathematics")
def test_figures_and_their_tables(made, tmp_path, name):
    spec = read_json(made / "specs" / "figures.json")
    for path in writer(read_catalogue()[name])(Folder(made, spec), tmp_path / name):
        assert path.stat().st_size
        if path.suffix == ".csv":
            no_formula(path.read_text(encoding="utf-8"))
        if path.suffix == ".md":
            is_plain_markdown(path.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("no_mathematics")
def test_figure_3_and_series(made, tmp_path):
    prepared = data.load(made / "data")
    n = len(prepared.train_labels)
    scores = pd.DataFrame({"index": range(n), "label": prepared.train_labels, "score": 0.9})
    scores["predicted"] = scores["predicted_clean"] = (scores["label"] + 1) % 3
    groups = pd.DataFrame({"typical": np.arange(n) % 2 == 0, "atypical": np.arange(n) % 2 == 1})
    chosen = fig3.examples(scores, groups, prepared.class_names)
    spread = fig3.distribution({0: scores, 1: scores}, groups)
    figure = fig3.draw(chosen, spread, prepared.train_images)
    save_figure(figure, tmp_path / "fig3", chosen, HOSTILE)
    no_formula((tmp_path / "fig3.csv").read_text(encoding="utf-8"))
    curve = pd.DataFrame({"series": "$\\frac$ \x1b[31m", "epoch": [1, 2], "mean": 0.5, "sd": 0.1})
    ax = plot_accuracy_by_epoch(curve)
    save_figure(ax.figure, tmp_path / "curve", curve, HOSTILE)


def test_tables(tmp_path):
    name = HOSTILE[:-1]  # pandas holds no surrogates
    frame = pd.DataFrame({name: [name, "=1+1", "a"], "x": [0.5, -1.0, np.nan]})
    files = write_table_files(frame, tmp_path / "t", HOSTILE, ("csv", "md", "tex"))
    no_formula(files[0].read_text(encoding="utf-8"))
    is_plain_markdown(files[1].read_text(encoding="utf-8"))
    assert "$\\frac$" not in files[2].read_text(encoding="utf-8")


def test_the_page_of_the_paper(made, tmp_path):
    pair = made.parent.parent / "copy" / "<img src=x>" / "[a](http:b)"
    (pair / "tables").mkdir(parents=True)
    (pair / "tables" / "methods.csv").write_text(
        "run,attack,mean,sd,difference\n<img src=x>,clean,0.5,0.1,0.0\n"
    )
    (pair / "tables" / "methods.md").write_text("<img src=x onerror=alert(1)>\n")
    is_plain_markdown(paper_page.page(made.parent.parent / "copy"), ("code",))
    is_plain_markdown(paper_page.page(made.parent), ("code",))


def test_cards_and_notes(made, tmp_path, capsys):
    prepared = data.load(made / "data")
    entry = sharing.export(made, tmp_path / "a.zip", licence=HOSTILE)
    assert "sha256" in entry
    shutil.unpack_archive(tmp_path / "a.zip", tmp_path / "a")
    text = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    is_plain_markdown(text, ("code", "span"))
    spec = {"dataset": "d"} | specification(tmp_path / "a.zip")
    note = sharing.fetch(spec, prepared, tmp_path / "d" / "scores", command="a test")
    is_plain_markdown(note)
    is_plain_markdown((tmp_path / "d" / "scores" / "source.md").read_text(encoding="utf-8"))


def test_what_is_printed(made, tmp_path, capsys):
    config = tmp_path / "c.yaml"
    text = {
        "d": {"data": {"source": "digits"}, "scores": {"source": plain(HOSTILE).replace("://", "")}}
    }
    raw = {"results": str(made.parent), "datasets": text}
    config.write_text(json.dumps(raw))
    for command in (
        ["scores", "show", str(made)],
        ["scores", "validate", str(made / "scores"), "--data", str(made / "data")],
        ["summary", str(config)],
        ["check", str(config)],
        ["check", str(tmp_path / "\x1b[31mnone")],
        ["scores", "show", str(tmp_path / "\x1b[31mnone")],
    ):
        code = main(command)
        out, err = capsys.readouterr()
        assert is_visible(out) and is_visible(err), command
        assert code == (2 if "none" in command[-1] else 0), err
        assert code or "[red]r[" in out or command[1] == "validate"


def test_messages_and_logs(tmp_path, capsys):
    start_logging(tmp_path / "x.log")
    try:
        log.info("read %s", HOSTILE)
    finally:
        log.handlers[1].close()
        start_logging()
    logged = (tmp_path / "x.log").read_text(encoding="utf-8")
    assert is_visible(logged) and is_visible(capsys.readouterr().err)
    assert "\\x1b[31m\\u202e" in logged


def test_the_annotators_page():
    image = pixels(0).transpose(2, 0, 1)
    text = page("s", "@SHEET@" + HOSTILE, [Item(1, image, HOSTILE, "</script>@COUNT@")])
    assert "<img src=x" not in text and text.count("</script>") == 2
    assert "\x1b" not in text and "\u202e" not in text
    sheet = re.search(r'<script type="application/json" id="sheet">(.*?)</script>', text)[1]
    assert json.loads(sheet)["items"][0]["names"] == [SHOWN, "</script>@COUNT@"]
    text.encode()


def test_captions_of_the_report_show_names_as_they_are(repository):
    """Names of data sets are restricted, and those that are let through mean nothing to RST."""
    name = "a_.b--1__"
    wildcards = SimpleNamespace(dataset=name, architecture="wrn-28-10")
    snakemake = SimpleNamespace(wildcards=wildcards, output=[f"r/{name}/scores/source.md"])
    paths = sorted((repository / "workflow" / "report").glob("*.rst"))
    assert paths
    texts = {
        path: Template(path.read_text(encoding="utf-8")).render(snakemake=snakemake)
        for path in paths
        if path.name != "figure.rst"
    }
    for entry in read_catalogue().values():
        texts[entry.name] = entry.about.format(dataset=name, architecture="wrn-28-10")
    for path, text in texts.items():
        shown = publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 5})
        assert (name in text) == (name in shown.astext()), path


def test_class_names_that_are_no_utf8_are_drawn(tmp_path):
    scores = pd.DataFrame({"index": [0, 1], "label": [0, 1], "memorization": 0.5})
    table = fig5.memorization_examples(scores.assign(memorization_se=0.1), [HOSTILE, "a\udcffb"])
    assert list(table["class_name"]) == [SHOWN, "a\\xffb"]
    ax = fig5.plot_memorization_examples(table, pixels(0, (2, 3, 6, 6)))
    save_figure(ax.figure, tmp_path / "fig5", table, HOSTILE)
