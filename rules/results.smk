"""One row per experiment, the tests of their differences, and the reports of both.

Needs every experiment's run record, timing, calibration and scores, and the metrics of cross-validation. Makes the
study's results table, operating_points.csv, the tests in pairwise.csv, ranks, spread over seeds and power laws in
tables/, leaderboard and findings, the tables of a paper, and, as the target `export`, a CSV per experiment with the time
of its training in the name.
"""

RESULTS = result_files(
    "results.csv",
    "results.parquet",
    "pairwise.csv",
    "operating_points.csv",
    "leaderboard.md",
    "findings.md",
    "tables/tables.tex",
    "tables/tables.md",
)
# Files that several scripts take, by their option.
STUDY_FILES = {
    "experiments": result_files("settings/results.yaml")[0],
    "names": result_files("settings/names.yaml")[0],
    "results": result_files("results.parquet")[0],
    "pairwise": result_files("pairwise.csv")[0],
    "ranks": result_files("tables/ranks.csv")[0],
    "points": result_files("operating_points.csv")[0],
    "seeds": result_files("tables/seeds.csv")[0],
    "fits": result_files("tables/data_efficiency.csv")[0],
    "curves": result_files("tables/data_efficiency_curves.csv")[0],
    "issues": f"runs/{DS}/issues.csv",
    "leaks": f"runs/{DS}/leaks.csv",
    "manifest": f"runs/{DS}/manifest.parquet",
    "split": f"runs/{DS}/split.csv",
}


def study_files(*options, settings=None):
    """Files of STUDY_FILES by their options, and the settings file of that name, if any."""
    files = {option: STUDY_FILES[option] for option in options}
    if settings:
        files["settings"] = result_files(f"settings/{settings}.yaml")[0]
    return files


def in_results(**names):
    """Files of the study's results folder by the options of the script that writes them."""
    return {option: result_files(name)[0] for option, name in names.items()}


def in_report(category, subcategory=None, **names):
    """The same, shown in Snakemake's report."""
    return {
        option: report(
            path,
            caption=f"../resources/captions/{Path(path).stem}.rst",
            category=category,
            subcategory=subcategory,
        )
        for option, path in in_results(**names).items()
    }


def as_options(files):
    """Files by option as a command line."""
    return " ".join(f"--{option} {quote(str(path))}" for option, path in files.items())


def ungrouped_option():
    """Tells reports that only pixels say which images belong together; generated images stand alone."""
    grouped = STUDY.split.group_by or STUDY.dataset.generator
    return "" if grouped else "--ungrouped"


# Rule -> files of the experiments, further inputs and outputs by option, and what the job takes.
CONSOLIDATION = {
    # A row per experiment; experiments scored on different test images are refused.
    "results": dict(
        experiments=[
            experiment_files(
                "run.json",
                "timing.json",
                "metrics.json",
                "calibration.json",
                "per_image.parquet",
                "hist.parquet",
            ),
            CV,
        ],
        inputs=study_files("names", settings="results"),
        outputs=in_results(csv="results.csv", parquet="results.parquet"),
        memory=memory(4000, 4),
        runtime=minutes(30, 60),
    ),
    # Tests, ranks and spread over seeds of the experiments; images of one group count as one.
    "pairwise": dict(
        experiments=experiment_files("per_image.parquet"),
        inputs=study_files("results", settings="pairwise"),
        outputs=study_files("pairwise", "ranks", "seeds"),
        memory=memory(4000),
        runtime=minutes(60),
    ),
    # Overkill at fixed escape rates, and at the least cost.
    "operating_points": dict(
        experiments=experiment_files("per_image.parquet", "metrics.json"),
        inputs=study_files(settings="operating_points"),
        outputs=study_files("points"),
        memory=memory(4000),
    ),
    # Power laws of error against labels, for models trained on at least three numbers of labels.
    "data_efficiency": dict(
        experiments=experiment_files("per_image.parquet"),
        inputs=study_files("experiments", "results"),
        outputs=study_files("fits", "curves"),
        memory=memory(4000),
        runtime=minutes(30),
    ),
    # The tests in sentences.
    "findings": dict(
        inputs=study_files(
            "results", "ranks", "pairwise", "seeds", "fits", "issues", "leaks"
        ),
        outputs=in_report("Leaderboard", out="findings.md"),
    ),
    # The table that a person reads.
    "leaderboard": dict(
        inputs=study_files("results", "ranks", "pairwise", "issues", "leaks"),
        outputs=in_report("Leaderboard", out="leaderboard.md"),
        flags=ungrouped_option(),
    ),
    # exp_{model}_{subset}_{prompt}_{imgsz}_{YYYYmmdd-HHMM}.csv, a file per experiment.
    "export": dict(
        inputs=study_files("results"),
        outputs={"out-dir": directory(result_files("export")[0])},
    ),
    # The tables of a paper, from the same records.
    "tables": dict(
        inputs=study_files("results", "ranks", "pairwise", "issues", "leaks"),
        outputs=in_results(tex="tables/tables.tex")
        | in_report("Leaderboard", md="tables/tables.md"),
    ),
}

for name, job in CONSOLIDATION.items():

    rule:
        name:
            name
        input:
            job.get("experiments", []),
            **job["inputs"],
            script=script(name),
        output:
            **job["outputs"],
        params:
            code=code(name),
            options=as_options(job["inputs"] | job["outputs"]),
            flags=job.get("flags", ""),
        log:
            result_files(f"logs/{name}.log"),
        benchmark:
            result_files(f"benchmarks/{name}.tsv")[0]
        threads: 1
        resources:
            mem_mb=job.get("memory", memory(2000)),
            runtime=job.get("runtime", minutes(10)),
        conda:
            ENV
        shell:
            "python -m defectbench.job {input.script:q} {params.options} {params.flags} 2>&1 | tee {log:q}"
