"""Summary of the failed jobs of a run: the ends of their logs, what is missing, and how to make the rest."""

import logging
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent

from snakemake_interface_logger_plugins.common import LogEvent

MAX_LOGS = 5
LINES_PER_LOG = 12
ADVICE = (
    "Finished work is kept, and the same command resumes from it; --keep-going also runs whatever does not depend on a "
    "failed job.\n"
    "A leaderboard of what is scored: docs/running.md, 'When a job fails'.\n"
)


class JobFailures(logging.Handler):
    """Collects the logs and outputs of failed jobs, by the job's number.

    A job's message may be far above the end of a run, since other jobs go on, or on a cluster nowhere but in its log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[int, tuple[list[str], list[str]]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a failed job."""
        fields = vars(record)
        if fields.get("event") == LogEvent.JOB_ERROR:
            self._files[fields["jobid"]] = (fields["log"], fields["output"])

    def unrecovered(self) -> list[list[str]]:
        """The logs of each job that no later attempt has finished; Snakemake removes what a failed one has written."""
        return [logs for logs, outputs in self._files.values() if not all(Path(path).exists() for path in outputs)]

    def summary(self, metrics_files: Sequence[str]) -> str | None:
        """The last lines of the failed jobs' logs, the experiments without ``metrics_files``, and what to do.

        None if no job failed for good. Experiments are left out if they are all of the study.
        """
        failed = self.unrecovered()
        if not failed:
            return None
        logs = [Path(path) for paths in failed for path in paths if Path(path).is_file()]
        parts = [f"Failed: {len(failed)} job(s). The last lines of their logs:", *map(_end_of, logs[:MAX_LOGS])]
        if logs[MAX_LOGS:]:
            parts.append("\n".join(["Further logs:", *map(str, logs[MAX_LOGS:])]))
        missing = [str(path.parent) for path in map(Path, metrics_files) if not path.is_file()]
        if 0 < len(missing) < len(metrics_files):
            parts.append("\n".join(["Experiments without scores:", *missing]))
        return "\n" + "\n\n".join([*parts, ADVICE])


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_PER_LOG:]
    return f"{log}\n" + indent("\n".join(lines) or "(empty)", "  ")
