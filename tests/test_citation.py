"""``CITATION.cff`` says what the package is, and which version."""

import tomllib

import yaml

import bat

REQUIRED = {"cff-version", "message", "title", "authors"}
KNOWN = REQUIRED | {"type", "version", "license", "keywords"}


def test_the_citation_is_of_this_package_and_version(repository):
    cited = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited.keys() >= REQUIRED and cited.keys() <= KNOWN
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert cited["version"] == project["version"] == bat.__version__
    assert cited["license"] == project["license"]
    assert all(author.keys() == {"name"} for author in cited["authors"])
