"""The charts that people look at, a rule each, so that a new style of one redraws that one alone.

Needs the results table and the experiments' records. Makes plots/ in the study's results folder, PNG and SVG.
"""

PLOTS = results(
    "plots/ranking.png",
    "plots/ranking.svg",
    "plots/data_efficiency.png",
    "plots/data_efficiency.svg",
    "plots/calibration.png",
    "plots/calibration.svg",
    "plots/split.png",
    "plots/split.svg",
)

# Plots of the experiments' own records: subcategory of the report, and the files of each experiment that are read.
RECORD_PLOTS = {
    "cost": ("Which model", ()),
    "ablations": ("Which model", ("per_image.parquet", "metrics.json", "run.json")),
    "success": ("Images", ("per_image.parquet",)),
    "image_scores": ("Images", ("per_image.parquet",)),
    "score_histograms": ("Images", ("per_image.parquet",)),
    "by_class": ("Images", ("per_image.parquet", "metrics.json")),
    "precision_recall": (
        "Thresholds",
        ("hist.parquet", "per_image.parquet", "metrics.json"),
    ),
    "reliability": (
        "Thresholds",
        ("hist.parquet", "per_image.parquet", "metrics.json"),
    ),
    "training": ("Training", ("run.json",)),
}
# Of two-stage experiments, where there are any.
CASCADES = STUDY.of_family("cascade")
if CASCADES:
    RECORD_PLOTS |= {
        "prompt_gap": ("Which model", ("per_image.parquet",)),
        "box_noise": ("Which model", ()),
    }
PLOTS += [
    path
    for name in RECORD_PLOTS
    for path in results(f"plots/{name}.png", f"plots/{name}.svg")
]


rule plot_ranking:
    """Every experiment's value with its confidence interval, best first."""
    input:
        script=script("plot_ranking"),
        settings=results("settings/ranking.yaml"),
        results=results("results.parquet"),
        pairwise=results("pairwise.csv"),
    output:
        png=results("plots/ranking.png"),
        svg=report(
            results("plots/ranking.svg")[0],
            caption="../resources/captions/ranking.rst",
            category="Plots",
            subcategory="Which model",
        ),
    log:
        results("logs/plot_ranking.log"),
    benchmark:
        results("benchmarks/plot_ranking.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        code=code("plot_ranking"),
    shell:
        "python {input.script} --settings {input.settings} --results {input.results} --pairwise {input.pairwise}"
        " --png {output.png} --svg {output.svg} 2>&1 | tee {log}"


rule plot_data_efficiency:
    """Every model's value against the number of labelled images it was trained on."""
    input:
        script=script("plot_data_efficiency"),
        results=results("results.parquet"),
        curves=results("tables/data_efficiency_curves.csv"),
        fits=results("tables/data_efficiency.csv"),
    output:
        png=results("plots/data_efficiency.png"),
        svg=report(
            results("plots/data_efficiency.svg")[0],
            caption="../resources/captions/data_efficiency.rst",
            category="Plots",
            subcategory="Which model",
        ),
    log:
        results("logs/plot_data_efficiency.log"),
    benchmark:
        results("benchmarks/plot_data_efficiency.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        code=code("plot_data_efficiency"),
    shell:
        "python {input.script} --results {input.results} --curves {input.curves} --fits {input.fits}"
        " --png {output.png} --svg {output.svg} 2>&1 | tee {log}"


rule plot_calibration:
    """What thresholds and post-processing were worth on the val images."""
    input:
        of_each("calibration.json"),
        script=script("plot_calibration"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
    output:
        png=results("plots/calibration.png"),
        svg=report(
            results("plots/calibration.svg")[0],
            caption="../resources/captions/calibration.rst",
            category="Plots",
            subcategory="Thresholds",
        ),
    log:
        results("logs/plot_calibration.log"),
    benchmark:
        results("benchmarks/plot_calibration.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        code=code("plot_calibration"),
    shell:
        "python {input.script} --experiments {input.experiments} --results {input.results}"
        " --png {output.png} --svg {output.svg} 2>&1 | tee {log}"


rule plot_split:
    """What train, val and test hold."""
    input:
        script=script("plot_split"),
        manifest=f"runs/{DS}/manifest.parquet",
        split=f"runs/{DS}/split.csv",
    output:
        png=results("plots/split.png"),
        svg=report(
            results("plots/split.svg")[0],
            caption="../resources/captions/split.rst",
            category="Plots",
            subcategory="Training",
        ),
    log:
        results("logs/plot_split.log"),
    benchmark:
        results("benchmarks/plot_split.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        code=code("plot_split"),
    shell:
        "python {input.script} --manifest {input.manifest} --split {input.split} --png {output.png} --svg {output.svg}"
        " 2>&1 | tee {log}"


for name, (subcategory, files) in RECORD_PLOTS.items():

    rule:
        name:
            f"plot_{name}"
        input:
            of_each(*files),
            script=script(f"plot_{name}"),
            experiments=results("settings/results.yaml"),
            results=results("results.parquet"),
            pairwise=results("pairwise.csv") if name == "ablations" else [],
        output:
            png=results(f"plots/{name}.png"),
            svg=report(
                results(f"plots/{name}.svg")[0],
                caption=f"../resources/captions/{name}.rst",
                category="Plots",
                subcategory=subcategory,
            ),
        log:
            results(f"logs/plot_{name}.log"),
        benchmark:
            results(f"benchmarks/plot_{name}.tsv")[0]
        conda:
            ENV
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=minutes(30),
        params:
            code=code(f"plot_{name}"),
            pairwise=lambda wildcards, input: (
                f"--pairwise {input.pairwise}" if input.pairwise else ""
            ),
        shell:
            "python {input.script} --experiments {input.experiments} --results {input.results} {params.pairwise}"
            " --png {output.png} --svg {output.svg} 2>&1 | tee {log}"
