"""The page of the study: one HTML file that needs no network.

Needs the results table, the experiments' records and predictions, the packs and the charts. Makes index.html.
"""

# In the order of the page: what decides first, what explains it later.
PAGE_PLOTS = [
    results(f"plots/{name}.svg")[0]
    for name in (
        "ranking",
        "cost",
        "data_efficiency",
        "ablations",
        *(("prompt_gap", "box_noise") if CASCADES else ()),
        "success",
        "image_scores",
        "score_histograms",
        "by_class",
        "precision_recall",
        "reliability",
        "calibration",
        "training",
        "split",
    )
]
PAGE = results("index.html")


rule page:
    """One HTML file: the answer, leaderboards, cards, comparisons, pictures, provenance; it needs no network."""
    input:
        of_each(
            "run.json",
            "metrics.json",
            "calibration.json",
            "per_image.parquet",
            "pooled_hist.parquet",
            "test.pred.parquet",
        ),
        script=script("page"),
        templates=[
            os.path.relpath(path)
            for path in sorted(
                (LIBRARY / "defectbench/reporting/page/templates").iterdir()
            )
        ],
        captions=[
            os.path.relpath(PROJECT / f"resources/captions/{Path(path).stem}.rst")
            for path in PAGE_PLOTS
        ],
        plots=PAGE_PLOTS,
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
        pairwise=results("pairwise.csv"),
        issues=f"runs/{DS}/issues.csv",
        leaks=f"runs/{DS}/leaks.csv",
        split=f"runs/{DS}/split.csv",
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            PAGE[0],
            caption="../resources/captions/page.rst",
            category="Page",
        ),
    log:
        results("logs/page.log"),
    benchmark:
        results("benchmarks/page.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code("page"),
        study=STUDY.name,
        ungrouped=UNGROUPED,
        pack=subpath(input.images, parent=True),
        captions=lambda wildcards, input: Path(input.captions[0]).parent,
    shell:
        "python {input.script} --study {params.study} --experiments {input.experiments} --results {input.results}"
        " --pairwise {input.pairwise} --issues {input.issues} --leaks {input.leaks} --split {input.split}"
        " {params.ungrouped} --pack {params.pack} --plots {input.plots} --captions {params.captions} --out {output}"
        " 2>&1 | tee {log}"
