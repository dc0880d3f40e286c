# The theorems of the paper on a Gaussian mixture: no data set and no configuration.


rule fig20:
    output:
        "<results>/theory/figures/fig20.pdf",
        report(
            "<results>/theory/figures/fig20.png",
            caption="../report/fig20.rst",
            category="theory",
            labels={"figure": "fig20"},
        ),
        "<results>/theory/figures/fig20.csv",
        multiext("<results>/theory/tables/theorems", ".csv", ".md"),
    log:
        "<logs>/theory/fig20.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        out=subpath(output[0], ancestor=2),
    message:
        "Checking theorems 1 and 2"
    shell:
        "{params.bat} theory --out {params.out:q} --log {log:q}"
