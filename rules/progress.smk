"""Progress in the terminal: a line for every finished job, instead of Snakemake's four, and the time left.

Needs nothing and makes nothing. With another `--quiet` than that of the profiles, or another `--logger`, which needs
all records as they are, Snakemake's own lines appear.
"""

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from defectbench.benchmark_files import past_seconds
from defectbench.job_progress import JobProgress


def past_seconds_of(rule):
    """Seconds of a job of a rule in past runs, if any; a rule that only names files takes none."""
    if workflow.get_rule(rule).norun:
        return 0.0
    return past_seconds(Path("."), rule, DS)


if (
    set(workflow.output_settings.quiet or ()) == {Quietness.RULES}
    and not workflow.output_settings.log_handler_settings
):
    logger.addFilter(JobProgress(past_seconds_of))
