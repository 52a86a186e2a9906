"""Prediction of images without labels, on demand: the target predict_images.

Needs the section predict_images of the configuration and the finished experiment that it names. Makes score maps,
pictures, COCO and tables in results/{study}/predict_images/.
"""

NEW = STUDY.predict_images

if NEW.experiment:
    NEW_BY = EXPERIMENTS[NEW.experiment]
    # A submission, and so a gate, needs a map per class.
    NEW_GATE = NEW.gate and NEW_BY.traits.task == "per_class"

    rule predict_images:
        """Predict a folder of images, and draw and list what is found."""
        input:
            script=script("predict_images"),
            run=f"{folder(NEW_BY)}/run.json",
            calibration=f"{folder(NEW_BY)}/calibration.json",
            gate=f"{folder(NEW_BY)}/submission.json" if NEW_GATE else [],
            manifest=f"runs/{DS}/manifest.parquet",
            images=[str(path) for path in image_files(NEW.images)],
        output:
            directory(results("predict_images")),
        params:
            code=code("predict_images"),
            experiment=subpath(input.run, parent=True),
            images=NEW.images,
            gate=lambda wildcards, input: f"--gate {input.gate}" if input.gate else "",
        log:
            results("logs/predict_images.log"),
        benchmark:
            results("benchmarks/predict_images.tsv")[0]
        threads: 2
        resources:
            mem_mb=memory(8000),
            runtime=minutes(240),
            gpu=1,
        conda:
            ENV
        shell:
            "python -m defectbench.on_gpu --usage {log}.gpu.json {input.script}"
            " --experiment {params.experiment} --manifest {input.manifest}"
            " --images {params.images} {params.gate} --out {output} 2>&1 | tee {log}"

else:

    rule predict_images:
        """Nothing to predict."""
        input:
            unavailable(
                "the configuration does not say what to predict; add to it: "
                "predict_images: {images: FOLDER, experiment: ID}"
            ),
