"""Draw precision against recall, and F1 against the threshold, on the test pixels."""

from defectbench.reporting.plots.precision_recall import precision_recall_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, precision_recall_figure)


if __name__ == "__main__":
    main()
