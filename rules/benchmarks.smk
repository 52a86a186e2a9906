"""Cost of the jobs.

Needs finished experiments and the benchmarks of their jobs. Makes, as the target `benchmarks`, one table of them.
"""


rule benchmarks:
    """Time, memory and GPU of every job of all studies in this folder."""
    input:
        lambda wildcards: metrics_files(),
        script=script("benchmarks"),
    output:
        result_files("benchmarks.csv"),
    params:
        code=code("benchmarks"),
        top=".",
    log:
        result_files("logs/benchmarks.log"),
    benchmark:
        result_files("benchmarks/benchmarks.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --top {params.top:q} --out {output:q} 2>&1 | tee {log:q}"
