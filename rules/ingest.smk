"""Images and labels of any format -> one manifest.

Needs the source files, each declared, so that an edit of one of them is noticed.
Makes manifest.parquet, issues.csv and card.md.
"""

if getattr(STUDY.dataset, "synthetic", None) is not None:

    rule synthesize:
        """Generate steel strips with defects, in Severstal's file layout."""
        input:
            script=script("synthesize"),
            settings=f"runs/{DS}/settings/synthesize.yaml",
            prior=f"{workflow.basedir}/resources/severstal_prior.yaml",
        output:
            [str(path) for path in STUDY.dataset.source_files()],
        params:
            code=code("synthesize"),
            folder=STUDY.dataset.root,
        log:
            f"runs/{DS}/logs/synthesize.log",
        benchmark:
            f"runs/{DS}/benchmarks/synthesize.tsv"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        conda:
            ENV
        shell:
            "python {input.script} --settings {input.settings} --prior {input.prior} --out-dir {params.folder}"
            " 2>&1 | tee {log}"


rule ingest:
    """Read, check and digest every image and label."""
    input:
        script=script("ingest"),
        settings="runs/{ds}/settings/ingest.yaml",
        sources=[str(path) for path in STUDY.dataset.source_files()],
    output:
        manifest="runs/{ds}/manifest.parquet",
        issues="runs/{ds}/issues.csv",
        card="runs/{ds}/card.md",
    params:
        code=code("ingest"),
    log:
        "runs/{ds}/logs/ingest.log",
    benchmark:
        "runs/{ds}/benchmarks/ingest.tsv"
    threads: 4
    resources:
        mem_mb=4000,
        runtime=120,
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --threads {threads}"
        " --manifest {output.manifest} --issues {output.issues} --card {output.card} 2>&1 | tee {log}"
