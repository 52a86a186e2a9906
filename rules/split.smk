"""Splits: roles of the images, folds and subsets.

Needs the manifest. Makes split.csv, the contents of each role, folds for cross-validation, and nested subsets of the
training images.
"""


rule split:
    """Split the images into train, val and test; the same picture is never in two of them."""
    input:
        script=script("split"),
        settings="runs/{ds}/settings/split.yaml",
        dataset="runs/{ds}/settings/ingest.yaml",
        manifest="runs/{ds}/manifest.parquet",
        file=(
            [str(STUDY.dataset.root / STUDY.split.file.path)]
            if STUDY.split.file
            else []
        ),
    output:
        split="runs/{ds}/split.csv",
        table="runs/{ds}/split_table.csv",
        leaks="runs/{ds}/leaks.csv",
    params:
        code=code("split"),
    log:
        "runs/{ds}/logs/split.log",
    benchmark:
        "runs/{ds}/benchmarks/split.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --dataset {input.dataset} --manifest {input.manifest}"
        " --split {output.split} --table {output.table} --leaks {output.leaks} 2>&1 | tee {log}"


rule folds:
    """Split the train and val images into folds for cross-validation; a group is never divided."""
    input:
        script=script("folds"),
        manifest="runs/{ds}/manifest.parquet",
        split="runs/{ds}/split.csv",
    output:
        "runs/{ds}/folds.csv",
    params:
        code=code("folds"),
        k=STUDY.split.n_folds,
        seed=STUDY.split.seed,
    log:
        "runs/{ds}/logs/folds.log",
    benchmark:
        "runs/{ds}/benchmarks/folds.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python {input.script} --manifest {input.manifest} --split {input.split} --k {params.k} --seed {params.seed}"
        " --out {output} 2>&1 | tee {log}"


rule subset:
    """Draw n training images; smaller subsets are inside larger ones of the same seed."""
    input:
        script=script("subset"),
        manifest="runs/{ds}/manifest.parquet",
        split="runs/{ds}/split.csv",
    output:
        "runs/{ds}/subsets/{n}_s{seed}.csv",
    params:
        code=code("subset"),
    log:
        "runs/{ds}/logs/subset.{n}_s{seed}.log",
    benchmark:
        "runs/{ds}/benchmarks/subset.{n}_s{seed}.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python {input.script} --manifest {input.manifest} --split {input.split} --n {wildcards.n}"
        " --seed {wildcards.seed} --out {output} 2>&1 | tee {log}"
