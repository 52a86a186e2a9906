"""All plots, a rule each, so that a new style of one redraws that one alone.

Needs the results table, the experiments' records and, for galleries, predictions, packs and prompts. Makes plots/ in
the study's results folder. A new plot is a row of workflow/defectbench/reporting/plots/registry.py.
"""

from defectbench.reporting.plots import registry

CASCADES = STUDY.of_family("cascade")
# What plots depend on -> whether this study has it.
STUDY_HAS = {
    "results": map_experiments(),
    "cascades": CASCADES,
    "gallery_bands": map_experiments() and STUDY.report.gallery_bands,
    "augmentations": STUDY.augmentations(),
}
# Folders that scripts of plots take, and the files in them.
PLOT_FOLDERS = {"pack": f"runs/{DS}/packed", "prompts": f"runs/{DS}/prompts"}
FOLDER_FILES = {
    "pack": [
        *pack_inputs(f"runs/{DS}/packed", "images", "masks"),
        measured(f"runs/{DS}/packed"),
    ],
    "prompts": sorted({prompts_file(cascade) for cascade in CASCADES}),
}


def plots_of_study():
    """The plots that this study gets."""
    return [plot for plot in registry.PLOTS.values() if STUDY_HAS[plot.only_with]]


def plot_outputs(plot):
    """The files of a plot by format; the last one is shown in Snakemake's report."""
    names = {suffix: f"plots/{plot.name}.{suffix}" for suffix in plot.formats}
    last = {plot.formats[-1]: names.pop(plot.formats[-1])}
    return in_results(**names) | in_report("Plots", plot.subcategory, **last)


# Not plot_outputs: paths that are marked for the report must not be inputs of other rules.
PLOTS = result_files(
    *(
        f"plots/{plot.name}.{suffix}"
        for plot in plots_of_study()
        for suffix in plot.formats
    )
)

for name, plot in registry.PLOTS.items():

    rule:
        name:
            f"plot_{name}"
        input:
            experiment_files(*plot.files),
            [FOLDER_FILES[option] for option in plot.folders],
            **study_files(*plot.inputs, settings=plot.settings),
            script=script(f"plot_{name}"),
        output:
            **plot_outputs(plot),
        params:
            code=code(f"plot_{name}"),
            options=as_options(
                study_files(*plot.inputs, settings=plot.settings)
                | {option: PLOT_FOLDERS[option] for option in plot.folders}
                | plot_outputs(plot)
            ),
        log:
            result_files(f"logs/plot_{name}.log"),
        benchmark:
            result_files(f"benchmarks/plot_{name}.tsv")[0]
        threads: 1
        resources:
            mem_mb=memory(plot.memory_mb),
            runtime=minutes(plot.minutes),
        conda:
            ENV
        shell:
            "python -m defectbench.job {input.script:q} {params.options} 2>&1 | tee {log:q}"
