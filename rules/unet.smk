"""The UNet family: CNNs of segmentation-models-pytorch.

Needs packs, split and a subset. Makes weights, run.json, history.csv, and the predictions on val and test.
"""


rule train_unet:
    """Train one network; a killed training goes on from its last checkpoint."""
    input:
        script=script("train_unet"),
        settings="runs/{ds}/unet/{exp}/settings/train.yaml",
        identity="runs/{ds}/unet/{exp}/settings/identity.yaml",
        trackers=ancient("runs/{ds}/unet/{exp}/settings/trackers.yaml"),
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
        tiles=tile_pack,
        split=training_split,
        subset=subset_file,
        init_from=initial_weights,
    output:
        weights="runs/{ds}/unet/{exp}/model/weights.safetensors",
        run="runs/{ds}/unet/{exp}/run.json",
        history="runs/{ds}/unet/{exp}/history.csv",
    params:
        code=code("train_unet"),
        pack=subpath(input.images, parent=True),
        tiles=tiles_option,
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/unet/{exp}/logs/train_unet.log",
    benchmark:
        "runs/{ds}/unet/{exp}/benchmarks/train_unet.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads * gpus(wildcards)
    resources:
        mem_mb=memory_per_gpu(8000),
        runtime=minutes(1440),
        gpu=gpus,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --devices {resources.gpu} --usage {log}.gpu.json {input.script}"
        " --settings {input.settings} --identity {input.identity} --pack {params.pack}"
        " {params.tiles} --split {input.split} --subset {input.subset} --folder {params.folder}"
        " --trackers {input.trackers} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_unet:
    """Logit maps of all val and test images, from the images alone."""
    input:
        script=script("predict_unet"),
        weights="runs/{ds}/unet/{exp}/model/weights.safetensors",
        run="runs/{ds}/unet/{exp}/run.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split=prediction_split,
    output:
        val="runs/{ds}/unet/{exp}/val.pred.parquet",
        test="runs/{ds}/unet/{exp}/test.pred.parquet",
        timing="runs/{ds}/unet/{exp}/timing.json",
    params:
        code=code("predict_unet"),
        pack=subpath(input.images, parent=True),
    log:
        "runs/{ds}/unet/{exp}/logs/predict_unet.log",
    benchmark:
        "runs/{ds}/unet/{exp}/benchmarks/predict_unet.tsv"
    threads: lambda wildcards: experiment(wildcards).settings.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, 60),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script}"
        " --run {input.run} --weights {input.weights} --pack {params.pack} --split {input.split}"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"
