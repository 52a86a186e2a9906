"""Progress of a run in the terminal: a line for each finished job in place of Snakemake's four."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent


class JobProgress(logging.Filter):
    """Rewrites a line of progress: which jobs have finished after how many seconds, and how many of all are done.

    It also says about how long the rest will take: a job what those of its rule took in this run, or else in past ones;
    as many at a time as so far.

    Records are distinguished by their event. Of those without one, the scheduler's announcement that it selects jobs is
    dropped; it is known by the line of code that it comes from.
    """

    def __init__(self, past_seconds: Callable[[str], float | None] = lambda rule: None) -> None:
        """Take the seconds of a job of a rule in past runs, None if there are none, from ``past_seconds``."""
        super().__init__()
        self._past_seconds = cache(past_seconds)
        self._planned: Counter[str] = Counter()
        self._seconds: defaultdict[str, list[float]] = defaultdict(list)
        self._begun: float | None = None
        self._started: dict[int, tuple[str, float]] = {}
        self._finished: list[str] = []
        self._announcing_line: int | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record, which may be rewritten, is printed."""
        fields = vars(record)
        match fields.get("event"):
            case LogEvent.RUN_INFO:
                self._planned = Counter(fields["stats"])
                del self._planned["total"]
            case LogEvent.JOB_INFO:
                now = time.monotonic()
                self._begun = self._begun or now
                self._started[fields["jobid"]] = (fields["rule_name"], now)
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
            seconds = time.monotonic() - started
            self._seconds[rule].append(seconds)
            self._finished.append(f"{rule}, {seconds:.0f} s")

    def _rewrite(self, record: logging.LogRecord, fields: dict[str, Any]) -> None:
        # Without an event the text is printed as it is.
        record.msg = f"[{fields['done']}/{fields['total']}] {'; '.join(self._finished)}{self._rest()}"
        fields["event"] = None
        self._finished.clear()

    def _rest(self) -> str:
        """About how long the unfinished jobs will take; empty if nothing is known of them, or there are none."""
        expected = {rule: self._expected(rule) for rule in self._planned}
        left = {rule: n for rule, planned in self._planned.items() if (n := planned - len(self._seconds[rule])) > 0}
        known = sum(n * seconds for rule, n in left.items() if (seconds := expected[rule]) is not None)
        if not known or self._begun is None:
            return ""
        now = time.monotonic()
        running = [(rule, now - started) for rule, started in self._started.values()]
        spent = sum(sum(seconds) for seconds in self._seconds.values()) + sum(seconds for _, seconds in running)
        known -= sum(min(seconds, expected.get(rule) or 0) for rule, seconds in running)
        at_a_time = max(1.0, spent / max(now - self._begun, 1e-9))
        about = "about" if all(expected[rule] is not None for rule in left) else "at least"
        return f"; {about} {duration(known / at_a_time)} left"

    def _expected(self, rule: str) -> float | None:
        """Seconds of a job of a rule: the median of this run, or else of past ones; None if it never ran."""
        seconds = self._seconds[rule]
        return median(seconds) if seconds else self._past_seconds(rule)

    def _announces_selection(self, record: logging.LogRecord) -> bool:
        """It is the first information of the scheduler, and has no event; its warnings and what follows are printed."""
        if record.module != "job_scheduler" or record.levelno != logging.INFO:
            return False
        if self._announcing_line is None:
            self._announcing_line = record.lineno
        return record.lineno == self._announcing_line


def duration(seconds: float) -> str:
    """A time in the units that people use: 40 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
