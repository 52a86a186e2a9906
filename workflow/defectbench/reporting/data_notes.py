"""Notes on the data for every report: samples and images that are in none of its numbers."""

import pandas as pd

UNGROUPED = (
    "split.group_by is not set, so images of one coil, part or photo are not known as such. If there are any, they may "
    "be in both train and test, which makes scores too high, and each counts as an independent observation, which "
    "makes intervals too narrow and claims too frequent (docs/statistics.md)."
)
"""The note if only the pixels tell which images belong together."""


def data_notes(issues: pd.DataFrame, leaks: pd.DataFrame) -> list[str]:
    """A sentence for problems in the source files, one for a split that leaked; none where all was well.

    ``issues`` has file, row, problem (samples left out at ingest); ``leaks`` has dropped_image_id, dropped_role,
    kept_image_id, kept_role (images left out of the split).
    """
    notes = []
    if len(issues):
        first = issues.iloc[0]
        notes.append(
            f"{len(issues)} problem(s) in the source files: the samples concerned are quarantined, in no stage and no "
            f"number here. The first: {first['file']}: {first['problem']}"
        )
    if len(leaks):
        roles = ", ".join(f"{n} from {role}" for role, n in leaks["dropped_role"].value_counts().items())
        notes.append(
            f"{len(leaks)} image(s) dropped ({roles}): the given split had the same picture in two roles. "
            f"The first: {leaks['dropped_image_id'].iloc[0]} = {leaks['kept_image_id'].iloc[0]}"
        )
    return notes
