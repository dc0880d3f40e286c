# What each stage depends on, as small files named by their content: none is ever overwritten.


rule write_specification:
    output:
        "<results>/{dataset}/specs/{specification}.json",
    log:
        "<logs>/{dataset}/specs/{specification}.log",
    wildcard_constraints:
        specification=r"[^/]+-[0-9a-f]{12}",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        content=specification_content,
    message:
        "Writing the specification {wildcards.specification} of {wildcards.dataset}"
    shell:
        "(printf '%s\\n' {params.content:q} > {output:q}.tmp && mv -f {output:q}.tmp {output:q})"
        " 2> {log:q}"
