"""Draw the effect of single choices: declared pairs, thresholds and post-processing."""

from defectbench.data.tables import read_table
from defectbench.reporting.plots.ablations import ablations_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read records and tests and draw the differences."""
    draw_records(argv, __doc__, ablations_figure, pairwise=read_table)


if __name__ == "__main__":
    main()
