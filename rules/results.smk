"""One row per experiment.

Needs every experiment's run record, timing, calibration and scores. Makes the study's results table and leaderboard,
and, as the target `export`, a CSV per experiment with the time of its training in the name.
"""


rule results:
    """Consolidate the experiments of the study; experiments scored on different test images are refused."""
    input:
        of_each(
            "run.json",
            "timing.json",
            "metrics.json",
            "calibration.json",
            "per_image.parquet",
        ),
        script=script("results"),
        settings=results("settings/results.yaml"),
    output:
        csv=results("results.csv"),
        parquet=results("results.parquet"),
    params:
        code=code("results"),
    log:
        results("logs/results.log"),
    benchmark:
        results("benchmarks/results.tsv")[0]
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --csv {output.csv} --parquet {output.parquet}"
        " 2>&1 | tee {log}"


rule leaderboard:
    """The table that a person reads."""
    input:
        script=script("leaderboard"),
        results=results("results.parquet"),
        issues=f"runs/{DS}/issues.csv",
        leaks=f"runs/{DS}/leaks.csv",
    output:
        report(
            results("leaderboard.md")[0],
            caption="../resources/captions/leaderboard.rst",
            category="Leaderboard",
        ),
    params:
        code=code("leaderboard"),
    log:
        results("logs/leaderboard.log"),
    benchmark:
        results("benchmarks/leaderboard.tsv")[0]
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --issues {input.issues} --leaks {input.leaks} --out {output}"
        " 2>&1 | tee {log}"


rule export:
    """exp_{{model}}_{{subset}}_{{prompt}}_{{imgsz}}_{{YYYYmmdd-HHMM}}.csv, a file per experiment."""
    input:
        script=script("export"),
        results=results("results.parquet"),
    output:
        directory(results("export")[0]),
    params:
        code=code("export"),
    log:
        results("logs/export.log"),
    benchmark:
        results("benchmarks/export.tsv")[0]
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --out-dir {output} 2>&1 | tee {log}"
