"""Splits: roles of the images, folds and subsets.

Needs the manifest. Makes split.csv, the contents of each role, folds for cross-validation, and nested subsets of the
training images.
"""


rule split:
    """Split the images into train, val and test; the same picture is never in two of them."""
    input:
        script=script("split"),
        settings="runs/<ds>/settings/split.yaml",
        dataset="runs/<ds>/settings/ingest.yaml",
        manifest="runs/<ds>/manifest.parquet",
    output:
        split="runs/<ds>/split.csv",
        table="runs/<ds>/split_table.csv",
        leaks="runs/<ds>/leaks.csv",
    params:
        code=code("split"),
        file=split_file,
    log:
        "runs/<ds>/logs/split.log",
    benchmark:
        "runs/<ds>/benchmarks/split.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --settings {input.settings:q} --dataset {input.dataset:q} --manifest {input.manifest:q}"
        " --split {output.split:q} --table {output.table:q} --leaks {output.leaks:q} 2>&1 | tee {log:q}"


rule folds:
    """Split the train and val images into folds for cross-validation; a group is never divided."""
    input:
        script=script("folds"),
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/split.csv",
    output:
        "runs/<ds>/folds.csv",
    params:
        code=code("folds"),
        k=STUDY.split.n_folds,
        seed=STUDY.split.seed,
    log:
        "runs/<ds>/logs/folds.log",
    benchmark:
        "runs/<ds>/benchmarks/folds.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --manifest {input.manifest:q} --split {input.split:q} --k {params.k:q} --seed {params.seed:q}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule subset:
    """Draw n training images; smaller subsets are inside larger ones of the same seed."""
    input:
        script=script("subset"),
        manifest="runs/<ds>/manifest.parquet",
        split="runs/<ds>/split.csv",
    output:
        "runs/<ds>/subsets/{n}_s{seed}.csv",
    params:
        code=code("subset"),
    log:
        "runs/<ds>/logs/subset.{n}_s{seed}.log",
    benchmark:
        "runs/<ds>/benchmarks/subset.{n}_s{seed}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --manifest {input.manifest:q} --split {input.split:q} --n {wildcards.n:q}"
        " --seed {wildcards.seed:q} --out {output:q} 2>&1 | tee {log:q}"
