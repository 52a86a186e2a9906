"""Settings that a search found, for the entries of another study: the section ``searched`` of its configuration."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from defectbench.config.base import Settings, describe_errors


class Searched(Settings):
    """What a search found for one entry."""

    settings: dict[str, Any] = Field(description="Key -> value of the trial that was best on val")
    trials: int = Field(ge=1, description="Number of trials")

    def describe(self) -> str:
        """The settings in words, for readers of the results."""
        found = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{found}: found by a search, best of {self.trials} on val"


def read_searched(values: Mapping[str, Any], problems: list[str]) -> dict[str, Searched]:
    """Name of an entry -> what was found for it; mistakes are added to ``problems``."""
    found = {}
    for name, group in values.items():
        try:
            found[name] = Searched.model_validate(group)
        except ValidationError as error:
            problems += describe_errors(error, Searched, f"searched.{name}")
    return found


def take_searched(
    entry: dict[str, Any], searched: Mapping[str, Searched], key: str, problems: list[str]
) -> dict[str, Any]:
    """``entry`` with what was found for its name in place of its own values; ``key`` is its key path."""
    found = searched.get(str(entry.get("name")))
    if found is None:
        return entry
    problems += [
        f"{key}.{name}: a search found {value!r}, and the entry has a grid; give one value, or leave searched out"
        for name, value in found.settings.items()
        if isinstance(entry.get(name), list)
    ]
    return entry | found.settings
