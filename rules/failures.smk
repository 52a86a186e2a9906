"""What is said at the end of a run in which jobs failed: their messages once more, and how to have the rest.

Needs nothing and makes nothing. A message may lie far above, since other jobs go on, or on a cluster nowhere but in a log.
"""

import logging
import os
import sys
from pathlib import Path
from textwrap import indent

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

SHOWN = 5  # logs
LINES = 12  # of each


class FailedJobs(logging.Handler):
    """Remembers the jobs that fail: their logs and outputs, by the job's number."""

    def __init__(self):
        super().__init__()
        self.jobs = {}

    def emit(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_ERROR:
            self.jobs[record.jobid] = (record.log, record.output)

    def for_good(self):
        """The logs of each job that no later attempt has finished; Snakemake removes what a failed one has written."""
        return [
            logs
            for logs, outputs in self.jobs.values()
            if not all(map(os.path.exists, outputs))
        ]


FAILED = FailedJobs()
logger.addHandler(FAILED)


def print_failures(scores):
    """Show the last lines of the failed jobs' logs, and which of ``scores``, the study's, are not there; what to do."""
    failed = FAILED.for_good()
    if not failed:
        return
    logs = [path for paths in failed for path in paths if os.path.isfile(path)]
    parts = [f"Failed: {len(failed)} job(s). The last lines of their logs:"]
    for path in logs[:SHOWN]:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        parts.append(f"{path}\n" + indent("\n".join(lines[-LINES:]) or "(empty)", "  "))
    if logs[SHOWN:]:
        parts.append("\n".join(["Further logs:", *logs[SHOWN:]]))
    missing = [os.path.dirname(path) for path in scores if not os.path.isfile(path)]
    if 0 < len(missing) < len(scores):
        parts.append("\n".join(["Experiments without scores:", *missing]))
    parts.append(
        "Finished work is kept: the same command goes on from it, with --keep-going to all that can be made.\n"
        "A leaderboard of what is scored: docs/running.md, 'When a job fails'.\n"
    )
    print("\n" + "\n\n".join(parts), file=sys.stderr)
