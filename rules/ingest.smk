"""Ingest: images and labels of any format become one manifest.

Needs the source files: a digest of their content is a parameter, so that an edit of one of them is noticed.
Makes manifest.parquet, issues.csv and ingest_notes.csv, and from these the dataset card, card.md with its pictures,
and audit.csv.
"""

# No image is an input or an output: there may be thousands, each of which Snakemake would compare with each. See
# defectbench.sources for how a change of them is noticed.
GENERATED = []
if STUDY.dataset.generator is not None:
    record = STUDY.dataset.root / RECORD
    GENERATED = [*map(str, STUDY.dataset.label_files()), str(record)]
    if workflow.is_main_process:
        withdraw_incomplete(SOURCES_MEMO, record)

if GENERATED:

    rule synthesize:
        """Generate steel strips with defects, in Severstal's file layout."""
        input:
            script=script("synthesize"),
            settings=f"runs/{DS}/settings/synthesize.yaml",
            prior=project_file("resources/severstal_prior.yaml"),
        output:
            GENERATED,
        params:
            code=code("synthesize"),
            folder=STUDY.dataset.root,
        log:
            f"runs/{DS}/logs/synthesize.log",
        benchmark:
            f"runs/{DS}/benchmarks/synthesize.tsv"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=minutes(30),
        conda:
            ENV
        shell:
            "python -m defectbench.job {input.script:q} --settings {input.settings:q} --prior {input.prior:q} --out-dir {params.folder:q}"
            " 2>&1 | tee {log:q}"


rule ingest:
    """Read, check and digest every image and label."""
    input:
        script=script("ingest"),
        settings="runs/<ds>/settings/ingest.yaml",
        generated=GENERATED,
    output:
        manifest="runs/<ds>/manifest.parquet",
        issues="runs/<ds>/issues.csv",
        notes="runs/<ds>/ingest_notes.csv",
    params:
        code=code("ingest"),
        sources=lambda wildcards: sources().digest,
    log:
        "runs/<ds>/logs/ingest.log",
    benchmark:
        "runs/<ds>/benchmarks/ingest.tsv"
    threads: 4
    resources:
        mem_mb=memory(lambda: 4000 + sources().megabytes, 1),
        runtime=minutes(lambda: 30 + 0.06 * sources().megabytes, 60),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --threads {threads} --notes {output.notes:q}"
        " --manifest {output.manifest:q} --issues {output.issues:q} 2>&1 | tee {log:q}"


rule card:
    """Audit the images and labels, and describe the dataset on a page."""
    input:
        script=script("card"),
        settings="runs/<ds>/settings/ingest.yaml",
        manifest="runs/<ds>/manifest.parquet",
        issues="runs/<ds>/issues.csv",
        notes="runs/<ds>/ingest_notes.csv",
    output:
        card="runs/<ds>/card.md",
        audit="runs/<ds>/audit.csv",
        pictures=directory("runs/<ds>/card"),
    params:
        code=code("card"),
    log:
        "runs/<ds>/logs/card.log",
    benchmark:
        "runs/<ds>/benchmarks/card.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000, 1, 8),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --manifest {input.manifest:q} --issues {input.issues:q}"
        " --notes {input.notes:q} --audit {output.audit:q} --card {output.card:q} 2>&1 | tee {log:q}"
