"""Pictures of pixels: galleries of test images, cascades at work, augmentations.

Needs the results table, predictions, packs and, for cascades, their prompts. Makes PNG in the study's plots/.
"""

PLOTS += results("plots/gallery.png", "plots/gallery_models.png")
if CASCADES:
    PLOTS += results("plots/cascades.png")
if STUDY.report.gallery_bands:
    PLOTS += results("plots/gallery_bands.png")


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
        runtime=minutes(10),
    params:
        code=code("plot_augmentations"),
        pack=subpath(input.images, parent=True),
    shell:
        "python {input.script} --settings {input.settings} --pack {params.pack} --split {input.split}"
        " --png {output} 2>&1 | tee {log}"
