"""Progress of a run in the terminal: a line for each finished job in place of Snakemake's four."""

import logging
import time
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent


class JobProgress(logging.Filter):
    """Rewrites a line of progress: which jobs have finished after how many seconds, and how many of all are done.

    Records are distinguished by their event. Of those without one, the scheduler's announcement that it selects jobs is
    dropped; it is known by the line of code that it comes from.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[int, tuple[str, float]] = {}
        self._finished: list[str] = []
        self._announcing_line: int | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record, which may be rewritten, is printed."""
        fields = vars(record)
        match fields.get("event"):
            case LogEvent.JOB_INFO:
                self._started[fields["jobid"]] = (fields["rule_name"], time.monotonic())
            case LogEvent.JOB_STARTED:
                return False
            case LogEvent.JOB_FINISHED:
                self._finish(fields["job_id"])
                return False
            case LogEvent.PROGRESS:
                self._rewrite(record, fields)
            case None:
                return not self._announces_selection(record)
        return True

    def _finish(self, job: int) -> None:
        if job in self._started:
            rule, started = self._started.pop(job)
            self._finished.append(f"{rule}, {time.monotonic() - started:.0f} s")

    def _rewrite(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        # Without an event the text is printed as it is.
        record.msg = f"[{fields['done']}/{fields['total']}] {'; '.join(self._finished)}"
        fields["event"] = None
        self._finished.clear()

    def _announces_selection(self, record: logging.LogRecord) -> bool:
        """It is the first information of the scheduler, and has no event; its warnings and what follows are printed."""
        if record.module != "job_scheduler" or record.levelno != logging.INFO:
            return False
        if self._announcing_line is None:
            self._announcing_line = record.lineno
        return record.lineno == self._announcing_line
