"""The pictures that people look at, a rule each, so that a new style of one redraws that one alone.

Needs the results table and, for the gallery, every experiment's predictions, calibration and counts, and the packs.
Makes plots/ in the study's results folder: ranking and data_efficiency as PNG and SVG, gallery as PNG, since it
shows pixels.
"""

PLOTS = results(
    "plots/ranking.png",
    "plots/ranking.svg",
    "plots/data_efficiency.png",
    "plots/data_efficiency.svg",
    "plots/gallery.png",
)


rule plot_ranking:
    """Every experiment's value with its confidence interval, best first."""
    input:
        script=script("plot_ranking"),
        settings=results("settings/ranking.yaml"),
        results=results("results.parquet"),
    output:
        png=results("plots/ranking.png"),
        svg=report(
            results("plots/ranking.svg")[0],
            caption="../resources/captions/ranking.rst",
            category="Plots",
        ),
    log:
        results("logs/plot_ranking.log"),
    benchmark:
        results("benchmarks/plot_ranking.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("plot_ranking"),
    shell:
        "python {input.script} --settings {input.settings} --results {input.results}"
        " --png {output.png} --svg {output.svg} 2>&1 | tee {log}"


rule plot_data_efficiency:
    """Every model's value against the number of labelled images it was trained on."""
    input:
        script=script("plot_data_efficiency"),
        results=results("results.parquet"),
    output:
        png=results("plots/data_efficiency.png"),
        svg=report(
            results("plots/data_efficiency.svg")[0],
            caption="../resources/captions/data_efficiency.rst",
            category="Plots",
        ),
    log:
        results("logs/plot_data_efficiency.log"),
    benchmark:
        results("benchmarks/plot_data_efficiency.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("plot_data_efficiency"),
    shell:
        "python {input.script} --results {input.results} --png {output.png} --svg {output.svg} 2>&1 | tee {log}"


rule plot_gallery:
    """Test images with their true masks and the predictions of the best automatic experiment."""
    input:
        # Which experiment is the best is known only when the results are.
        of_each("test.pred.parquet", "calibration.json", "per_image.parquet"),
        script=script("plot_gallery"),
        settings=results("settings/report.yaml"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            results("plots/gallery.png")[0],
            caption="../resources/captions/gallery.rst",
            category="Plots",
        ),
    log:
        results("logs/plot_gallery.log"),
    benchmark:
        results("benchmarks/plot_gallery.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("plot_gallery"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --settings {input.settings} --experiments {input.experiments}"
        " --results {input.results} --pack {params.pack} --png {output} 2>&1 | tee {log}"
