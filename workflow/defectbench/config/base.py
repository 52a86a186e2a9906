"""Strict settings: base class of all groups of settings, their files and their validation errors."""

import difflib
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin
from urllib.parse import parse_qs, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from defectbench.files import write_text
from defectbench.script import UserError

MERGED = "merged"
"""Name of the one class of any defect, the union of all classes; no class of a dataset may have it."""
MAX_LIST_LENGTH = 1000
"""Characters of a message that allowed values may take."""


def is_elsewhere(path: Path) -> bool:
    """Whether ``path`` leads out of the project: then it tells of this machine and its users, and nothing to others."""
    return path.is_absolute() or ".." in path.parts


def has_secret(address: str) -> bool:
    """Whether the URL ``address`` holds a password or, of a web server, a name or token to log in with."""
    parts = urlsplit(address)
    named = parts.username if parts.scheme in ("http", "https") else None
    return bool(parts.password or named or {"password", "token"} & parse_qs(parts.query).keys())


class ConfigError(UserError):
    """Every problem found in a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        """Keep ``problems``: lines of the form ``key.path: what is wrong; what is allowed``."""
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """A group of settings. Unknown keys are errors; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    prediction_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys of the prediction alone: the training does not depend on them."""

    def __copy__(self) -> Self:
        """A copy of the fields alone: ``model_copy`` may change them, and cached properties follow from them."""
        copy = super().__copy__()
        for name in copy.__dict__.keys() - type(copy).model_fields.keys():
            del copy.__dict__[name]
        return copy

    @property
    def inactive_keys(self) -> set[str]:
        """Keys that have no effect with the values of the others: no result depends on them."""
        return set()

    @property
    def defaults(self) -> dict[str, Any]:
        """Key -> value if it is not given; of a group of settings as JSON."""
        return dict(_default_values(type(self)))

    def write(self, path: Path) -> None:
        """Write all but inactive keys as YAML, atomically; a file of the same content keeps its modification time."""
        if _content(path) != self._yaml.encode():
            write_text(path, self._yaml)

    @cached_property
    def _yaml(self) -> str:
        """Content of the file, cached: a study writes some settings for every experiment."""
        values = self.model_dump(mode="json", exclude=self.inactive_keys)
        return "".join(_yaml_of(key, value) for key, value in values.items()) or "{}\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the YAML file ``path``.

        Raises:
            ConfigError: naming the file and every key that is wrong.
        """
        try:
            return cls.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
        except ValidationError as error:
            raise ConfigError([f"{path}: {line}" for line in describe_errors(error, cls)]) from None


@cache
def _default_values(model: type[Settings]) -> dict[str, Any]:
    defaults = {key: field.default for key, field in model.model_fields.items()}
    return {
        key: value.model_dump(mode="json") if isinstance(value, Settings) else value for key, value in defaults.items()
    }


def _yaml_of(key: str, value: Any) -> str:
    """Lines of a key and its value, as JSON; kept, since experiments of a study have most of them alike."""
    name = (key, repr(value))
    if name not in _YAML:
        # libyaml: the same text as from safe_dump, five times as fast.
        _YAML[name] = yaml.dump({key: value}, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return _YAML[name]


_YAML: dict[tuple[str, str], str] = {}


def _content(path: Path) -> bytes | None:
    """The content of a file; None if it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


SettingsT = TypeVar("SettingsT", bound=Settings)


def describe_errors(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One line per problem of ``error``: full key path, the value given, and the allowed values."""
    lines = []
    for problem in error.errors():
        location = list(problem["loc"])
        key = ".".join(str(part) for part in [prefix, *location] if part != "")
        lines.append(f"{key or 'config'}: {_explain(problem, location, model)}")
    return lines


def validate_settings(model: type[SettingsT], values: Any, prefix: str, problems: list[str]) -> SettingsT | None:
    """``values`` as ``model``; None if they are invalid, and then all mistakes are added to ``problems``."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems += describe_errors(error, model, prefix)
        return None


def _explain(problem: ErrorDetails, location: list[int | str], model: type[BaseModel]) -> str:
    value = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            names = allowed_keys(model, location[:-1])
            return f"unknown key; {suggest(str(location[-1]), names)}"
        case "missing":
            return "required, but not given"
        case "literal_error":
            return f"{value!r} is not allowed; allowed: {problem['ctx']['expected']}"
        case "value_error":
            return str(problem["ctx"]["error"])
        case _:
            return f"{value!r}: {problem['msg']}"


def suggest(name: str, names: list[str]) -> str:
    """Allowed values instead of ``name``, with the closest as a guess; of many long ones the closest alone."""
    close = difflib.get_close_matches(name, names, n=5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if close and len(", ".join(names)) > MAX_LIST_LENGTH:
        return f"{hint}nearest of {len(names)} that are allowed: {', '.join(close)}"
    return f"{hint}allowed: {', '.join(sorted(names))}"


def allowed_keys(model: type[BaseModel], location: list[int | str]) -> list[str]:
    """Keys of the group of settings at ``location`` inside ``model``."""
    for part in location:
        field = next((f for key, f in model.model_fields.items() if part in (key, f.alias)), None)
        if field is None:
            break
        model = next((t for t in _flatten(field.annotation) if _is_model(t)), model)
    return [field.alias or key for key, field in model.model_fields.items()]


def _flatten(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (None, Literal):
        return [annotation]
    return [leaf for argument in get_args(annotation) for leaf in _flatten(argument)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
