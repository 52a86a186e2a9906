"""One row per experiment, and what may be said of their differences.

Needs every experiment's run record, timing, calibration and scores, and what cross-validation found. Makes the study's
results table, the tests in pairwise.csv, ranks, spread over seeds and power laws in tables/, leaderboard and findings,
the tables of a paper, and, as the target `export`, a CSV per experiment with the time of its training in the name.
"""

RESULTS = results(
    "results.csv",
    "results.parquet",
    "pairwise.csv",
    "leaderboard.md",
    "findings.md",
    "tables/tables.tex",
    "tables/tables.md",
)
# What reports are told if nothing but the pixels says which images belong together; generated ones stand alone.
UNGROUPED = (
    ""
    if STUDY.split.group_by or STUDY.dataset.generator
    else "--ungrouped"
)


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
        cv=CV,
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
        mem_mb=memory(4000, 4),
        runtime=minutes(30, 60),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --csv {output.csv} --parquet {output.parquet}"
        " 2>&1 | tee {log}"


rule pairwise:
    """Test, rank and compare the seeds of the experiments; images of one group count as one."""
    input:
        of_each("per_image.parquet"),
        script=script("pairwise"),
        settings=results("settings/pairwise.yaml"),
        results=results("results.parquet"),
    output:
        pairwise=results("pairwise.csv"),
        ranks=results("tables/ranks.csv"),
        seeds=results("tables/seeds.csv"),
    params:
        code=code("pairwise"),
    log:
        results("logs/pairwise.log"),
    benchmark:
        results("benchmarks/pairwise.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --results {input.results} --pairwise {output.pairwise}"
        " --ranks {output.ranks} --seeds {output.seeds} 2>&1 | tee {log}"


rule data_efficiency:
    """Power laws of error against labels, for models trained on at least three numbers of labels."""
    input:
        of_each("per_image.parquet"),
        script=script("data_efficiency"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
    output:
        fits=results("tables/data_efficiency.csv"),
        curves=results("tables/data_efficiency_curves.csv"),
    params:
        code=code("data_efficiency"),
    log:
        results("logs/data_efficiency.log"),
    benchmark:
        results("benchmarks/data_efficiency.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python {input.script} --experiments {input.experiments} --results {input.results} --fits {output.fits}"
        " --curves {output.curves} 2>&1 | tee {log}"


rule findings:
    """The tests in sentences."""
    input:
        script=script("findings"),
        results=results("results.parquet"),
        pairwise=results("pairwise.csv"),
        seeds=results("tables/seeds.csv"),
        fits=results("tables/data_efficiency.csv"),
        issues=f"runs/{DS}/issues.csv",
        leaks=f"runs/{DS}/leaks.csv",
    output:
        report(
            results("findings.md")[0],
            caption="../resources/captions/findings.rst",
            category="Leaderboard",
        ),
    params:
        code=code("findings"),
    log:
        results("logs/findings.log"),
    benchmark:
        results("benchmarks/findings.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --pairwise {input.pairwise} --seeds {input.seeds}"
        " --fits {input.fits} --issues {input.issues} --leaks {input.leaks} --out {output} 2>&1 | tee {log}"


rule leaderboard:
    """The table that a person reads."""
    input:
        script=script("leaderboard"),
        results=results("results.parquet"),
        pairwise=results("pairwise.csv"),
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
        ungrouped=UNGROUPED,
    log:
        results("logs/leaderboard.log"),
    benchmark:
        results("benchmarks/leaderboard.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --pairwise {input.pairwise} --issues {input.issues}"
        " --leaks {input.leaks} {params.ungrouped} --out {output}"
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
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --out-dir {output} 2>&1 | tee {log}"


rule tables:
    """The tables of a paper, from the same records."""
    input:
        script=script("tables"),
        results=results("results.parquet"),
        pairwise=results("pairwise.csv"),
        issues=f"runs/{DS}/issues.csv",
        leaks=f"runs/{DS}/leaks.csv",
    output:
        tex=results("tables/tables.tex"),
        md=report(
            results("tables/tables.md")[0],
            caption="../resources/captions/tables.rst",
            category="Leaderboard",
        ),
    params:
        code=code("tables"),
    log:
        results("logs/tables.log"),
    benchmark:
        results("benchmarks/tables.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --results {input.results} --pairwise {input.pairwise} --issues {input.issues}"
        " --leaks {input.leaks} --tex {output.tex} --md {output.md} 2>&1 | tee {log}"
