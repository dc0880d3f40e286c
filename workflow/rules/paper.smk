# Every number of the paper beside ours.


rule paper_page:
    input:
        [f"{RESULTS}/{name}/{inputs.score_file('memorization')}" for name in CONFIG.datasets],
        [
            file
            for file in comparison_files("methods", "typical", "representation", "fig1")
            if file.endswith(".csv")
        ],
        annotation_tables(),
    output:
        outputs(CATALOGUE["paper_page"]),
    log:
        "<logs>/paper-page.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        about=about(CATALOGUE["paper_page"]),
        results=subpath(output[0], parent=True),
    message:
        "Writing the paper's numbers beside ours"
    shell:
        "{params.bat} paper --results {params.results:q} --out {output:q} --log {log:q}"


# has no output, so that it runs whenever it is asked for, on whatever is on disk
rule paper_comparison:
    log:
        "<logs>/paper-comparison.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        bat=BAT,
        results=RESULTS,
    message:
        "Writing docs/paper-comparison.md from the results on disk"
    shell:
        "{params.bat} paper --results {params.results:q} --out docs/paper-comparison.md --log {log:q}"
