"""Ingest: images and labels of any format become one manifest.

Needs the source files, each declared, so that an edit of one of them is noticed.
Makes manifest.parquet and issues.csv, and from these the dataset card, card.md with its pictures, and audit.csv.
"""

if STUDY.dataset.generator is not None:

    rule synthesize:
        """Generate steel strips with defects, in Severstal's file layout."""
        input:
            script=script("synthesize"),
            settings=f"runs/{DS}/settings/synthesize.yaml",
            prior=project_file("resources/severstal_prior.yaml"),
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
            mem_mb=memory(2000),
            runtime=minutes(30),
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
    params:
        code=code("ingest"),
    log:
        "runs/{ds}/logs/ingest.log",
    benchmark:
        "runs/{ds}/benchmarks/ingest.tsv"
    threads: 4
    resources:
        mem_mb=memory(4000, 1),
        runtime=minutes(30, 60),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --threads {threads}"
        " --manifest {output.manifest} --issues {output.issues} 2>&1 | tee {log}"


rule card:
    """Audit the images and labels, and describe the dataset on a page."""
    input:
        script=script("card"),
        settings="runs/{ds}/settings/ingest.yaml",
        manifest="runs/{ds}/manifest.parquet",
        issues="runs/{ds}/issues.csv",
    output:
        card="runs/{ds}/card.md",
        audit="runs/{ds}/audit.csv",
        pictures=directory("runs/{ds}/card"),
    params:
        code=code("card"),
    log:
        "runs/{ds}/logs/card.log",
    benchmark:
        "runs/{ds}/benchmarks/card.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000, 1),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --manifest {input.manifest} --issues {input.issues}"
        " --audit {output.audit} --card {output.card} 2>&1 | tee {log}"
