"""The pictures that people look at, a rule each, so that a new style of one redraws that one alone.

Needs the results table, the experiments' records and, for gallery and page, their predictions and the packs. Makes
plots/ in the study's results folder, PNG and SVG (pictures of pixels PNG only), and index.html, the page of the study.
"""

PLOTS = results(
    "plots/ranking.png",
    "plots/ranking.svg",
    "plots/data_efficiency.png",
    "plots/data_efficiency.svg",
    "plots/calibration.png",
    "plots/calibration.svg",
    "plots/gallery.png",
    "plots/gallery_models.png",
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
    PLOTS += results("plots/cascades.png")
if STUDY.report.gallery_bands:
    PLOTS += results("plots/gallery_bands.png")
PLOTS += [
    path
    for name in RECORD_PLOTS
    for path in results(f"plots/{name}.png", f"plots/{name}.svg")
]
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
        "python {input.script} --results {input.results} --curves {input.curves} --png {output.png} --svg {output.svg}"
        " 2>&1 | tee {log}"


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
            subcategory="Images",
        ),
    log:
        results("logs/plot_gallery.log"),
    benchmark:
        results("benchmarks/plot_gallery.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code("plot_gallery"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --settings {input.settings} --experiments {input.experiments}"
        " --results {input.results} --pack {params.pack} --png {output} 2>&1 | tee {log}"


rule plot_gallery_bands:
    """Test images whose IoU lies in given bands, with their true masks and the best automatic experiment's."""
    input:
        # Which experiment is the best is known only when the results are.
        of_each("test.pred.parquet", "calibration.json", "per_image.parquet"),
        script=script("plot_gallery_bands"),
        settings=results("settings/report.yaml"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            results("plots/gallery_bands.png")[0],
            caption="../resources/captions/gallery_bands.rst",
            category="Plots",
            subcategory="Images",
        ),
    log:
        results("logs/plot_gallery_bands.log"),
    benchmark:
        results("benchmarks/plot_gallery_bands.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code("plot_gallery_bands"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --settings {input.settings} --experiments {input.experiments}"
        " --results {input.results} --pack {params.pack} --png {output} 2>&1 | tee {log}"


rule plot_gallery_models:
    """The same test images through the eyes of several models, before and after post-processing."""
    input:
        of_each("test.pred.parquet", "calibration.json", "per_image.parquet"),
        script=script("plot_gallery_models"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            results("plots/gallery_models.png")[0],
            caption="../resources/captions/gallery_models.rst",
            category="Plots",
            subcategory="Images",
        ),
    log:
        results("logs/plot_gallery_models.log"),
    benchmark:
        results("benchmarks/plot_gallery_models.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code("plot_gallery_models"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --experiments {input.experiments}"
        " --results {input.results} --pack {params.pack} --png {output} 2>&1 | tee {log}"


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


rule plot_cascades:
    """Test images with the prompts of a first stage and the masks of the second."""
    input:
        of_each("test.pred.parquet", "calibration.json", "per_image.parquet"),
        script=script("plot_cascades"),
        experiments=results("settings/results.yaml"),
        results=results("results.parquet"),
        prompts=sorted({prompts_of(found) for found in CASCADES}),
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            results("plots/cascades.png")[0],
            caption="../resources/captions/cascades.rst",
            category="Plots",
            subcategory="Images",
        ),
    log:
        results("logs/plot_cascades.log"),
    benchmark:
        results("benchmarks/plot_cascades.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code("plot_cascades"),
        pack=subpath(input.images, parent=True),
        prompts=lambda wildcards, input: Path(input.images).parents[1] / "prompts",
    shell:
        "python {input.script} --experiments {input.experiments} --results {input.results} --pack {params.pack}"
        " --prompts {params.prompts} --png {output} 2>&1 | tee {log}"


AUGMENTATIONS = results("plots/augmentations.png") if STUDY.augmentations() else []


rule plot_augmentations:
    """Training images beside several draws of every augmentation of the study."""
    input:
        script=script("plot_augmentations"),
        settings=results("settings/augmentations.yaml"),
        split=f"runs/{DS}/split.csv",
        images=f"runs/{DS}/packed/images.bin",
        images_index=f"runs/{DS}/packed/images.parquet",
        masks=f"runs/{DS}/packed/masks.bin",
        masks_index=f"runs/{DS}/packed/masks.parquet",
    output:
        report(
            results("plots/augmentations.png")[0],
            caption="../resources/captions/augmentations.rst",
            category="Plots",
        ),
    log:
        results("logs/plot_augmentations.log"),
    benchmark:
        results("benchmarks/plot_augmentations.tsv")[0]
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=10,
    params:
        code=code("plot_augmentations"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --settings {input.settings} --pack {params.pack} --split {input.split}"
        " --png {output} 2>&1 | tee {log}"


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
        pack=subpath(input.images, parent=True),
        captions=lambda wildcards, input: Path(input.captions[0]).parent,
    shell:
        "python {input.script} --study {params.study} --experiments {input.experiments} --results {input.results}"
        " --pairwise {input.pairwise} --issues {input.issues} --leaks {input.leaks} --split {input.split}"
        " --pack {params.pack} --plots {input.plots} --captions {params.captions} --out {output} 2>&1 | tee {log}"
