# Figures and tables: a rule for each file of bat/figures/ and bat/tables/, from its entry, and the
# targets that ask for them.

from bat.report import paper


def place(entry):
    """The folder of a figure or table, as rules write it."""
    return {
        "dataset": "<results>/{dataset}",
        "architecture": "<results>/{dataset}/{architecture}",
        "all": "<results>",
    }[entry.scope]


def outputs(entry):
    """The files of a figure or table and the folder beside them; what the report shows is marked."""
    labels = {entry.folder.removesuffix("s"): entry.name}
    if entry.scope == "architecture":
        labels["architecture"] = "{architecture}"
    category = "{dataset}" if entry.scope != "all" else entry.at.partition("/")[0]
    files = [f"{place(entry)}/{file}" for file in entry.outputs]
    if entry.about:
        suffix = next((suffix for suffix in ("png", "html") if suffix in entry.files), "md")
        shown = f"{place(entry)}/{entry.at}.{suffix}"
        about = {"caption": "../report/figure.rst", "category": category, "labels": labels}
        files = [file if file != shown else report(file, **about) for file in files]
    if entry.beside:
        files.append(directory(f"{place(entry)}/{entry.at}{entry.beside}"))
    return files


def about(entry):
    """What the report says of a figure or table."""
    return lambda wildcards: entry.about.format(**dict(wildcards.items()))


for _entry in (CATALOGUE[name] for name in FIGURES + COMPARED):
    _compares = _entry.scope == "architecture"

    rule:
        name:
            f"draw_{_entry.name}" if _entry.folder == "figures" else f"{_entry.name}_table"
        input:
            made_from(_entry),
            runs=compared_specs(_entry) if _compares else [],
            spec=specification("comparison-{architecture}" if _compares else "figures"),
            data="<results>/{dataset}/data/dataset.json",
        output:
            *outputs(_entry),
        log:
            f"<logs>/{{dataset}}/{'{architecture}/' if _compares else 'figures/'}{_entry.name}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            bat=BAT,
            name=_entry.name,
            about=about(_entry),
            runs="--runs" if _compares else "",
            dataset=subpath(input.data, ancestor=2),
            out=subpath(output[0], strip_suffix=f".{_entry.files[0]}"),
        message:
            f"Making {_entry.folder.removesuffix('s')} {_entry.name} of {{wildcards.dataset}}"
            + (", {wildcards.architecture}" if _compares else "")
        shell:
            "{params.bat} report {params.name} --spec {input.spec:q} {params.runs} {input.runs:q}"
            " --dataset {params.dataset:q} --out {params.out:q} --log {log:q}"


# -- their short names ----------------------------------------------------------------------


def asked_for(entry, target):
    """Files of a figure or table for every data set and architecture that it can be made for."""
    if entry.scope == "dataset":
        return lambda wildcards: figure_asked_for(entry.name)
    if target in PAPER_TABLES:
        return table_files(*PAPER_TABLES[target])
    return lambda wildcards: comparison_asked_for(entry)


PAPER_TABLES = {
    f"table{number}": pair for pair, printed in paper.TABLES.items() for number in printed.tables
}

for _target in dict.fromkeys(t for name in FIGURES + COMPARED for t in CATALOGUE[name].targets):
    _entries = [CATALOGUE[name] for name in FIGURES + COMPARED]

    rule:
        name:
            _target
        input:
            *(asked_for(entry, _target) for entry in _entries if _target in entry.targets),


for _target in sorted({entry.part_of for entry in CATALOGUE.values()} - {""}):

    rule:
        name:
            _target
        input:
            comparison_files(
                *(entry.name for entry in CATALOGUE.values() if entry.part_of == _target)
            ),
