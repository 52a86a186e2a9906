"""What every script shares: an expected error ends with its plain message, never with a traceback."""

import functools
import sys
from collections.abc import Callable

Main = Callable[..., None]


class UserError(Exception):
    """An error that the user can act on: the message says what is wrong, where, and what to do."""


def run_script(main: Main) -> Main:
    """Let ``main`` end with exit status 1 and the message alone on stderr if it raises a :class:`UserError`."""

    @functools.wraps(main)
    def wrapped(argv: list[str] | None = None) -> None:
        try:
            main(argv)
        except UserError as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from None

    return wrapped
