"""The blocks of docs/python.md run one after the other, as they stand there."""

import re

from small_scores import write_results

import bat


def test_its_blocks_run(repository, few_digits, tmp_path, monkeypatch, capsys):
    text = (repository / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == text.count("```") // 2 > 8
    write_results(tmp_path / "results" / "digits", few_digits)
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "Trials(40 of own on 500 training and 300 test samples; accuracy: included 1.000" in said
    assert len(names["trials"]) == 50
    assert len(names["joined"]) == 200
    assert (tmp_path / "models" / "pgd-at.pt").exists()
    loaded = bat.load_model("models/pgd-at.pt", names["data"], device="cpu")
    images, labels = names["data"].test_images[:60], names["data"].test_labels[:60]
    again = bat.evaluate(loaded, images, labels, {"pgd": names["attacks"]["pgd"]})
    assert (again["pgd"] == names["verdicts"]["pgd-at"]["pgd"]).all()


def test_every_public_name_that_it_speaks_of_is_there(repository):
    text = (repository / "docs" / "python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bbat\.(\w+)", text))
    assert named <= {*bat.__all__, "scores"}  # the room of all estimators
