"""Where the command ``evaluate`` takes the code of a network from."""

import json

import torch

from bat.__main__ import main


def test_code_comes_from_a_configuration_that_is_named(tmp_path, monkeypatch, few_digits, capsys):
    """And not from one that lies in a results folder, which may be anyone's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text("def net(n_classes): ...\nraise RuntimeError('it was run')")
    digits = {"data": {"source": "digits"}, "networks": {"mine": {"network": "nets.py:net"}}}
    kept = tmp_path / "results" / "specs" / "configuration-of-a-colleague.json"
    for folder in (kept.parent, tmp_path / "results" / "digits"):
        folder.mkdir(parents=True)
    (tmp_path / "results" / "digits" / "data").symlink_to(few_digits.folder)
    for path in (kept, tmp_path / "mine.yaml"):
        path.write_text(json.dumps({"datasets": {"digits": digits}}))
    torch.save({"weight": torch.ones(1)}, tmp_path / "model.pt")
    command = ["evaluate", "--checkpoint", "model.pt", "--arch", "mine", "--dataset", "digits"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "no network of that name is configured" in said
    assert "it was run" not in said
    assert main([*command, "--configfile", "mine.yaml"]) == 2
    said = capsys.readouterr().err
    assert "mine is nets.py:net (sha256" in said
    assert "it was run" in said
