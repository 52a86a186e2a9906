"""Reference methods, so that a reader sees what a number is worth: all-empty, all-full, tuned top-hat + Otsu.

Needs packs, split and a subset. Makes the same files as a network's training and prediction.
"""


rule train_reference:
    """Tune the classical threshold on training images; the others have nothing to tune."""
    input:
        script=script("train_reference"),
        settings="runs/{ds}/reference/{exp}/settings/train.yaml",
        identity="runs/{ds}/reference/{exp}/settings/identity.yaml",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        masks="runs/{ds}/packed/masks.bin",
        masks_index="runs/{ds}/packed/masks.parquet",
        split=training_split,
        subset=subset_file,
    output:
        model="runs/{ds}/reference/{exp}/model/model.json",
        run="runs/{ds}/reference/{exp}/run.json",
    params:
        code=code("train_reference"),
        pack=subpath(input.images, parent=True),
        folder=subpath(output.run, parent=True),
    log:
        "runs/{ds}/reference/{exp}/logs/train_reference.log",
    benchmark:
        "runs/{ds}/reference/{exp}/benchmarks/train_reference.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    conda:
        ENV
    shell:
        "python {input.script} --settings {input.settings} --identity {input.identity} --pack {params.pack}"
        " --split {input.split} --subset {input.subset} --folder {params.folder} --code-digest {params.code} 2>&1 | tee {log}"


rule predict_reference:
    """Score maps of all val and test images, from the images alone."""
    input:
        script=script("predict_reference"),
        model="runs/{ds}/reference/{exp}/model/model.json",
        images="runs/{ds}/packed/images.bin",
        images_index="runs/{ds}/packed/images.parquet",
        split=prediction_split,
    output:
        val="runs/{ds}/reference/{exp}/val.pred.parquet",
        test="runs/{ds}/reference/{exp}/test.pred.parquet",
        timing="runs/{ds}/reference/{exp}/timing.json",
    params:
        code=code("predict_reference"),
        pack=subpath(input.images, parent=True),
    log:
        "runs/{ds}/reference/{exp}/logs/predict_reference.log",
    benchmark:
        "runs/{ds}/reference/{exp}/benchmarks/predict_reference.tsv"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60, 60),
    conda:
        ENV
    shell:
        "python {input.script} --model {input.model} --pack {params.pack} --split {input.split}"
        " --val {output.val} --test {output.test} --timing {output.timing} 2>&1 | tee {log}"
