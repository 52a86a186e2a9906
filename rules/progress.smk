"""Progress in the terminal: a line for every finished job, instead of Snakemake's four.

Needs nothing and makes nothing. With another `--quiet` than that of the profiles, or another `--logger`, which needs
all records as they are, Snakemake's own lines appear.
"""

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from defectbench.job_progress import JobProgress

if (
    set(workflow.output_settings.quiet or ()) == {Quietness.RULES}
    and not workflow.output_settings.log_handler_settings
):
    logger.addFilter(JobProgress())
