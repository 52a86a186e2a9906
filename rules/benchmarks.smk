"""Cost of the jobs.

Needs finished experiments and the benchmarks of their jobs. Makes, as the target `benchmarks`, one table of them.
"""


rule benchmarks:
    """Time, memory and GPU of every job of all studies in this folder."""
    input:
        scored(),
        script=script("benchmarks"),
    output:
        results("benchmarks.csv"),
    params:
        code=code("benchmarks"),
        top=".",
    log:
        results("logs/benchmarks.log"),
    benchmark:
        results("benchmarks/benchmarks.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python {input.script} --top {params.top} --out {output} 2>&1 | tee {log}"
