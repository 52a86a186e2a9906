"""Entry point for `snakemake` in the project's folder; the workflow is in workflow/Snakefile, where the catalog looks."""


include: "workflow/Snakefile"


rule study:
    default_target: True
    input:
        rules.all.input,
