"""Summary at the end of a run in which jobs failed: their messages again, and how to make the rest.

Needs nothing and makes nothing.
"""

import sys

from snakemake.logging import logger

from defectbench.job_failures import JobFailures

JOB_FAILURES = JobFailures()
logger.addHandler(JOB_FAILURES)


def print_failures(metrics_files):
    """Print the summary of the failed jobs; ``metrics_files`` are those of the study."""
    if summary := JOB_FAILURES.summary(metrics_files):
        print(summary, file=sys.stderr)
