"""What every command, and every recipe's script, does alike: exit codes and one-line errors.

Exit codes: 0 done; 1 some inputs failed, named; 2 nothing could start; 130 interrupted.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from hiersep.errors import HiersepError, HiersepWarning, printable

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")

SOME_FAILED, NOTHING_STARTED, INTERRUPTED = 1, 2, 130


def say(text: object) -> None:
    """Print lines in which no name steers the terminal, whatever file or song it is of."""
    print("\n".join(map(printable, str(text).split("\n"))), flush=True)


def say_error(message: object) -> None:
    """Print one line to standard error."""
    print(f"hiersep: error: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def say_warning(message: object) -> None:
    """Print one line to standard error, and go on."""
    print(f"hiersep: warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    if issubclass(category, HiersepWarning):
        say_warning(message)


def command(function: Function) -> Function:
    """Make a function a command body: our errors become one line and an exit code, our warnings one line."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                # Warnings of other libraries speak to their developers, not to whoever types a command.
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", HiersepWarning)
                warnings.showwarning = _say_warning
                return function(*args, **kwargs)
        except HiersepError as error:
            say_error(error)
            raise typer.Exit(NOTHING_STARTED) from None
        except BrokenPipeError:
            raise  # whoever read the output has had enough (`| head`): click ends without a word
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            say_error(f"{place}{error.strerror or error}")
            raise typer.Exit(NOTHING_STARTED) from None
        except KeyboardInterrupt:
            say_error("interrupted; what was finished is kept, run the same command again to go on")
            raise typer.Exit(INTERRUPTED) from None

    return wrapped  # type: ignore[return-value]


def run_script(main: Callable[..., None]) -> NoReturn:
    """Run a recipe's script on the words of its command line, as a command is run.

    Args:
        main: Takes the words as positional arguments; its module's docstring says which.
    """
    words = sys.argv[1:]
    try:
        inspect.signature(main).bind(*words)
    except TypeError:
        usage = (sys.modules[main.__module__].__doc__ or "").partition("Usage: ")[2].strip()
        say_error(f"expected {usage}, got {len(words)} arguments")
        sys.exit(NOTHING_STARTED)
    try:
        command(main)(*words)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    sys.exit(0)
