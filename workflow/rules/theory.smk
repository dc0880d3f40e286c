# The theorems of the paper on a Gaussian mixture: no data set and no configuration.


rule fig20:
    output:
        *outputs(CATALOGUE["fig20"]),
        *outputs(CATALOGUE["theorems"]),
    log:
        "<logs>/theory/fig20.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        about=about(CATALOGUE["fig20"]),
        out=subpath(output[0], ancestor=2),
    message:
        "Checking theorems 1 and 2"
    shell:
        "{params.bat} theory --out {params.out:q} --log {log:q}"
