"""Prediction of images without labels, on demand: the target predict_images.

Needs the section predict_images of the configuration and the finished experiment that it names. Makes score maps,
pictures, COCO and tables in results/{study}/predict_images/.
"""

NEW = STUDY.predict_images

if NEW.experiment:
    NEW_BY = EXPERIMENTS[NEW.experiment]
    NEW_MODELS = [EXPERIMENTS[exp_id] for exp_id in NEW_BY.traits.members] or [NEW_BY]
    # A submission, and so a gate, needs a map per class; an imposed policy is all that is applied.
    NEW_GATE = NEW.gate and NEW.policy == "chosen" and NEW_BY.traits.task == "per_class"

    rule predict_images:
        """Predict a folder of images, and draw and list the defects."""
        input:
            script=script("predict_images"),
            run=f"{experiment_folder(NEW_BY)}/run.json",
            calibration=f"{experiment_folder(NEW_BY)}/calibration.json",
            gate=f"{experiment_folder(NEW_BY)}/submission.json" if NEW_GATE else [],
            bases=large(
                *(
                    base_file(model.traits)
                    for model in NEW_MODELS
                    if model.traits.predicts_with_base
                )
            ),
            manifest=f"runs/{DS}/manifest.parquet",
            scaling=measured(f"runs/{DS}/packed"),
            sample=NEW.sample_submission.as_posix() if NEW.sample_submission else [],
        output:
            directory(result_files("predict_images")),
        params:
            code=code(
                "predict_images", *(f"predict_{model.family}" for model in NEW_MODELS)
            ),
            experiment=subpath(input.run, parent=True),
            images=NEW.images,
            sources=lambda wildcards: read_sources(
                image_files(NEW.images),
                Path(result_files("settings/new_images.json")[0]),
            ).digest,
            options=lambda wildcards, input: " ".join(
                [
                    *(
                        f"--{name} {quote(str(input[name]))}"
                        for name in ("gate", "scaling", "sample")
                        if input[name]
                    ),
                    *(["--imposed"] if NEW.policy == "imposed" else []),
                ]
            ),
        log:
            result_files("logs/predict_images.log"),
        benchmark:
            result_files("benchmarks/predict_images.tsv")[0]
        threads: 2
        resources:
            mem_mb=memory(8000),
            runtime=minutes(240),
            gpu=1,
        conda:
            ENV
        shell:
            "python -m defectbench.on_gpu --usage {log:q}.gpu.json {input.script:q}"
            " --experiment {params.experiment:q} --manifest {input.manifest:q}"
            " --images {params.images:q} {params.options} --out {output:q} 2>&1 | tee {log:q}"

else:

    rule predict_images:
        """Nothing to predict."""
        input:
            refuse_target(
                "the configuration does not say what to predict; add to it: "
                "predict_images: {images: FOLDER, experiment: ID}"
            ),
