"""Oracle and fixed prompts of promptable models: from the labels, or from the size of an image.

Needs the manifest. Makes a file of prompts for each source and kind, shared by all models.
"""


rule prompts:
    """Prompts of one source and kind for all images."""
    input:
        script=script("prompts"),
        settings="runs/<ds>/settings/prompts.yaml",
        manifest="runs/<ds>/manifest.parquet",
    output:
        "runs/<ds>/prompts/{source}/{kind}{noise}.parquet",
    params:
        code=code("prompts"),
        noise=lambda wildcards: (
            wildcards.noise.replace("_noise-", "--noise ") if wildcards.noise else ""
        ),
    wildcard_constraints:
        source="oracle|fixed",
        kind="box|points|box_points|mask|full_box",
        noise=r"(_noise-[0-9.e-]+)?",
    log:
        "runs/<ds>/logs/prompts.{source}_{kind}{noise}.log",
    benchmark:
        "runs/<ds>/benchmarks/prompts.{source}_{kind}{noise}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --manifest {input.manifest:q} --kind {wildcards.kind:q}"
        " {params.noise} --out {output:q} 2>&1 | tee {log:q}"
