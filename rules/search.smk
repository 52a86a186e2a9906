"""A search over settings: trainings ranked on val. Nothing is predicted on test.

Needs the trained experiments. Makes search.csv, search.md and searched.yaml, which another study takes as a
second configuration file, in the study's results folder.
"""

SEARCHED, OTHERS = STUDY.split_comparable()
LEFT_OUT = [
    f"{reason}: {', '.join(experiment.name for experiment in experiments)}"
    for reason, experiments in OTHERS.items()
]


rule search:
    """Rank the study's trainings on the val images alone."""
    input:
        (
            [f"{experiment_folder(experiment)}/run.json" for experiment in SEARCHED]
            if SEARCHED
            else refuse_target(
                f"study {STUDY.name} has no training that a search can rank:\n"
                + "\n".join(LEFT_OUT)
                + "\nsnakemake without a target compares all experiments"
            )
        ),
        script=script("search"),
        names=result_files("settings/names.yaml"),
    output:
        csv=result_files("search.csv"),
        markdown=result_files("search.md"),
        found=result_files("searched.yaml"),
    params:
        code=code("search"),
        folders=[experiment_folder(experiment) for experiment in SEARCHED],
        left_out=LEFT_OUT,
        title=f"Search {STUDY.name}",
    log:
        result_files("logs/search.log"),
    benchmark:
        result_files("benchmarks/search.tsv")[0]
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    conda:
        ENV
    shell:
        "python -m defectbench.job {input.script:q} --folders {params.folders:q} --title {params.title:q} --names {input.names:q} --csv {output.csv:q}"
        " --markdown {output.markdown:q} --found {output.found:q} --left-out {params.left_out:q} 2>&1 | tee {log:q}"
