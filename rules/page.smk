"""The page of the study: one HTML file that needs no network.

Needs the results table, the experiments' records and predictions, the packs and the charts. Makes index.html.
"""

PAGE = result_files("index.html")
PAGE_PLOTS = [plot.name for plot in plots_of_study() if plot.on_page]
PAGE_TABLES = (
    "experiments",
    "results",
    "ranks",
    "pairwise",
    "points",
    "issues",
    "leaks",
    "split",
)


rule page:
    """One HTML file: the answer, leaderboards, cards, comparisons, pictures, provenance; it needs no network."""
    input:
        experiment_files(
            "run.json",
            "metrics.json",
            "calibration.json",
            "per_image.parquet",
            "pooled_hist.parquet",
            "test.pred.parquet",
        ),
        pack_inputs(f"runs/{DS}/packed", "images", "masks"),
        measured(f"runs/{DS}/packed"),
        **study_files(*PAGE_TABLES),
        script=script("page"),
        templates=[
            os.path.relpath(path)
            for path in sorted(
                (LIBRARY / "defectbench/reporting/page/templates").iterdir()
            )
        ],
        captions=[
            os.path.relpath(PROJECT / f"resources/captions/{name}.rst")
            for name in PAGE_PLOTS
        ],
        plots=result_files(*(f"plots/{name}.svg" for name in PAGE_PLOTS)),
    output:
        report(PAGE[0], caption="../resources/captions/page.rst", category="Page"),
    params:
        code=code("page"),
        options=as_options(study_files(*PAGE_TABLES) | {"pack": f"runs/{DS}/packed"}),
        flags=ungrouped_option(),
        study=STUDY.name,
        captions=lambda wildcards, input: Path(input.captions[0]).parent,
    log:
        result_files("logs/page.log"),
    benchmark:
        result_files("benchmarks/page.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --study {params.study:q} {params.options} {params.flags} --plots {input.plots:q}"
        " --captions {params.captions:q} --out {output:q} 2>&1 | tee {log:q}"
