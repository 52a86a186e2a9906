"""Model families: base weights, training and prediction, with a rule of each kind for every family in the registry.

Needs packs, split and a subset; further inputs follow from the experiment's traits (config/family_settings.py).
Makes weights, run.json, history.csv and the predictions on val and test.
"""

WEIGHTS_TABLE = project_file("resources/weights.yaml")
TRAINED_FAMILIES = {
    family: settings for family, settings in FAMILIES.items() if settings.jobs
}
# Experiments that differ only in how their network predicts share one training.
SHARING = [
    experiment
    for experiment in STUDY.experiments
    if experiment.training is not experiment
]


for family, settings in TRAINED_FAMILIES.items():
    if settings.weights_rule:

        rule:
            name:
                settings.weights_rule
            input:
                script=script(settings.weights_rule),
                table=WEIGHTS_TABLE if settings.weights_listed else [],
            output:
                weights="weights/{base}.safetensors",
                digest=digests("weights/{base}.safetensors"),
            params:
                code=code(settings.weights_rule),
                folder=STUDY.weights.folder.as_posix(),
                table=(
                    f"--table {quote(WEIGHTS_TABLE)}"
                    if settings.weights_listed
                    else ""
                ),
            wildcard_constraints:
                base=settings.base_pattern,
            log:
                f"weights/logs/{settings.weights_rule}.{{base}}.log",
            benchmark:
                f"weights/benchmarks/{settings.weights_rule}.{{base}}.tsv"
            threads: 1
            resources:
                mem_mb=memory(settings.jobs.weights_mb),
                runtime=minutes(120),
            conda:
                ENV
            shell:
                "python -m defectbench.job {input.script:q} --name {wildcards.base:q} {params.table} --folder {params.folder:q}"
                " --out {output.weights:q} 2>&1 | tee {log:q}"

    rule:
        name:
            f"train_{family}"
        input:
            unpack(training_inputs),
            script=script(f"train_{family}"),
            settings=f"runs/<ds>/{family}/{{exp}}/settings/train.yaml",
            identity=f"runs/<ds>/{family}/{{exp}}/settings/identity.yaml",
            trackers=ancient(f"runs/<ds>/{family}/{{exp}}/settings/trackers.yaml"),
            runtime=ancient(f"runs/<ds>/{family}/{{exp}}/settings/runtime.yaml"),
            pack=pack_inputs("runs/<ds>/packed", "images", "masks"),
            split=training_split,
            subset=subset_file,
        output:
            digests(f"runs/<ds>/{family}/{{exp}}/model/{settings.weights_file}"),
            weights=f"runs/<ds>/{family}/{{exp}}/model/{settings.weights_file}",
            run=f"runs/<ds>/{family}/{{exp}}/run.json",
            history=f"runs/<ds>/{family}/{{exp}}/history.csv",
        params:
            code=code(f"train_{family}"),
            sources=initial_weights,
            pack=pack_folder,
            options=input_options,
            folder=subpath(output.run, parent=True),
            launcher=gpu_launcher(
                settings.jobs.gpu,
                f"runs/{DS}/{family}/{{exp}}/logs/train_{family}.log",
            ),
        wildcard_constraints:
            exp=constraint_without(SHARING, TRAINED),
        log:
            f"runs/<ds>/{family}/{{exp}}/logs/train_{family}.log",
        benchmark:
            f"runs/<ds>/{family}/{{exp}}/benchmarks/train_{family}.tsv"
        threads: training_threads
        resources:
            **({"gpu": gpus} if settings.jobs.gpu else {}),
            mem_mb=memory_per_gpu(settings.jobs.train_mb),
            runtime=minutes(settings.jobs.train_minutes),
        conda:
            ENV
        shell:
            "python {params.launcher} {input.script:q} --settings {input.settings:q} --identity {input.identity:q}"
            " --trackers {input.trackers:q} --runtime {input.runtime:q} --pack {params.pack:q} --split {input.split:q} --subset {input.subset:q} {params.options}"
            " --folder {params.folder:q} --code-digest {params.code:q} 2>&1 | tee {log:q}"

    rule:
        name:
            f"predict_{family}"
        input:
            unpack(prediction_inputs),
            script=script(f"predict_{family}"),
            weights=large(f"runs/<ds>/{family}/{{exp}}/model/{settings.weights_file}"),
            run=f"runs/<ds>/{family}/{{exp}}/run.json",
            pack=pack_inputs("runs/<ds>/packed", "images"),
            split=prediction_split,
        output:
            map_digests(f"runs/<ds>/{family}/{{exp}}"),
            val=map_file(f"runs/<ds>/{family}/{{exp}}", "val"),
            test=map_file(f"runs/<ds>/{family}/{{exp}}", "test"),
            timing=f"runs/<ds>/{family}/{{exp}}/timing.json",
        params:
            code=code(f"predict_{family}"),
            pack=pack_folder,
            options=input_options,
            launcher=gpu_launcher(
                settings.jobs.gpu,
                f"runs/{DS}/{family}/{{exp}}/logs/predict_{family}.log",
            ),
        wildcard_constraints:
            exp=constraint_without(detectors(), TRAINED),
        log:
            f"runs/<ds>/{family}/{{exp}}/logs/predict_{family}.log",
        benchmark:
            f"runs/<ds>/{family}/{{exp}}/benchmarks/predict_{family}.tsv"
        threads: lambda wildcards: experiment_of(wildcards).traits.threads
        resources:
            **({"gpu": 1} if settings.jobs.gpu else {}),
            mem_mb=memory(settings.jobs.predict_mb),
            runtime=minutes(settings.jobs.predict_minutes, 60),
        conda:
            ENV
        shell:
            "python {params.launcher} {input.script:q} --run {input.run:q} --weights {input.weights[0]:q} {params.options}"
            " --pack {params.pack:q} --split {input.split:q} --val {output.val:q} --test {output.test:q} --timing {output.timing:q} 2>&1 | tee {log:q}"


rule predict_yolo_boxes:
    """Boxes with scores in all val and test images, predicted from the images alone."""
    input:
        script=script("predict_yolo_boxes"),
        weights=large("runs/<ds>/yolo/{exp}/model/weights.safetensors"),
        run="runs/<ds>/yolo/{exp}/run.json",
        pack=pack_inputs("runs/<ds>/packed", "images"),
        split=prediction_split,
    output:
        val="runs/<ds>/yolo/{exp}/val.boxes.parquet",
        test="runs/<ds>/yolo/{exp}/test.boxes.parquet",
        timing="runs/<ds>/yolo/{exp}/timing.json",
    params:
        code=code("predict_yolo_boxes"),
        pack=pack_folder,
    wildcard_constraints:
        exp=experiment_constraint(detectors()),
    log:
        "runs/<ds>/yolo/{exp}/logs/predict_yolo_boxes.log",
    benchmark:
        "runs/<ds>/yolo/{exp}/benchmarks/predict_yolo_boxes.tsv"
    threads: lambda wildcards: experiment_of(wildcards).traits.threads
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, 60),
        gpu=1,
    conda:
        ENV
    shell:
        "python -m defectbench.on_gpu --usage {log:q}.gpu.json {input.script:q} --run {input.run:q}"
        " --weights {input.weights[0]:q} --pack {params.pack:q} --split {input.split:q} --val {output.val:q}"
        " --test {output.test:q} --timing {output.timing:q} 2>&1 | tee {log:q}"


rule share_training:
    """Copy weights and history of the experiment that trained; the record has this experiment's name."""
    input:
        script=script("share_training"),
        settings="runs/<ds>/{fam}/{exp}/settings/train.yaml",
        identity="runs/<ds>/{fam}/{exp}/settings/identity.yaml",
        weights=large_file(training_file("model/weights.safetensors")),
        run=training_file("run.json"),
        history=training_file("history.csv"),
    output:
        digests("runs/<ds>/{fam}/{exp}/model/weights.safetensors"),
        weights="runs/<ds>/{fam}/{exp}/model/weights.safetensors",
        run="runs/<ds>/{fam}/{exp}/run.json",
        history="runs/<ds>/{fam}/{exp}/history.csv",
    params:
        code=code("share_training"),
        trained=subpath(input.run, parent=True),
        folder=subpath(output.run, parent=True),
    wildcard_constraints:
        exp=experiment_constraint(SHARING),
    log:
        "runs/<ds>/{fam}/{exp}/logs/share_training.log",
    benchmark:
        "runs/<ds>/{fam}/{exp}/benchmarks/share_training.tsv"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --trained {params.trained:q} --identity {input.identity:q} --settings {input.settings:q}"
        " --folder {params.folder:q} 2>&1 | tee {log:q}"
