# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""How a tool ends where something is wrong.

argparse ends it with 2 for a wrong command line, :func:`fail` with 1 for all
else, both with a line ``NAME: error: MESSAGE``. Ctrl-C ends it with 130.
"""
import re
import sys
from contextlib import contextmanager
from typing import Any, Iterator, NoReturn, Type

__all__ = ['errors_in_one_line', 'fail']

# MMEngine adds to a TypeError the hook in which it was raised.
_HOOK = re.compile(r' in <\S+ object at 0x\w+>$')
_OF_THE_USER = (ImportError, KeyError, OSError, TypeError, ValueError)


def fail(tool: str, message: Any) -> NoReturn:
    """End a tool with one line.

    Args:
        tool (str): Its script. A subcommand of ``mmw2s`` is named instead.
        message (Any): What is wrong.

    Raises:
        SystemExit: Always.
    """
    name = sys.argv[0] if sys.argv[0].startswith('mmw2s ') else tool
    sys.exit(f'{name}: error: {message}')


@contextmanager
def errors_in_one_line(tool: str, *others: Type[Exception]) -> Iterator[None]:
    """Show no traceback where a config, or what it names, is wrong.

    Only for what the user can mend: not around a training run.

    Args:
        tool (str): The script of the tool.
        *others (type): Errors that this tool raises for its user, beside
            those of imports, files, keys, types and values.

    Raises:
        SystemExit: Instead of such an error, and of an interrupt.
    """
    try:
        yield
    except (*_OF_THE_USER, *others) as error:
        # A KeyError would show its message in quotes, line ends escaped.
        text = error.args[0] if isinstance(error, KeyError) else error
        fail(tool, _HOOK.sub('', str(text)))
    except KeyboardInterrupt:
        sys.exit(130)
