"""A script as a job of a run: `python -m defectbench.job script.py [arguments]`.

Libraries take seconds to load. Here, before any of them, a job of a run that was killed ends, and a thread starts that
ends it if that happens later.
"""

import runpy
import sys
from collections.abc import Sequence

from defectbench.script import run_script


def call_script(path: str, arguments: Sequence[str]) -> None:
    """Run the script as if it were called directly, in this process."""
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")


@run_script
def main(argv: list[str] | None = None) -> None:
    """Run the script that the command line names."""
    path, *arguments = sys.argv[1:] if argv is None else argv
    call_script(path, arguments)


if __name__ == "__main__":
    main()
