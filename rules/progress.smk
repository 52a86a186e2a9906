"""What a run says while it works: a line for every finished job, instead of Snakemake's four.

Needs nothing and makes nothing. With another `--quiet` than that of the profiles Snakemake's own lines appear.
"""

import logging
import time

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent


class Progress(logging.Filter):
    """Rewrites a line of progress: which job has finished after how many seconds, and how many of all are done."""

    def __init__(self):
        super().__init__()
        self.started = {}
        self.finished = []

    def filter(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.started[record.jobid] = (record.rule_name, time.monotonic())
        elif event == LogEvent.JOB_FINISHED:
            self.finished.append(self.started.pop(record.job_id))
            return False
        elif event == LogEvent.PROGRESS:
            jobs = [
                f"{rule}, {time.monotonic() - started:.0f} s"
                for rule, started in self.finished
            ]
            self.finished = []
            record.event = None
            record.msg = f"[{record.done}/{record.total}] {'; '.join(jobs)}"
        return not str(record.msg).startswith(("Select jobs to execute", "Execute "))


if set(workflow.output_settings.quiet or ()) == {Quietness.RULES}:
    logger.addFilter(Progress())
