"""The ``workbook`` command: build the site, run the labs, serve both, practise the questions."""

from __future__ import annotations

import argparse
import importlib
import sys

from napkinmath.errors import InputError

#: Modules with a ``register(commands)`` that adds subcommands; each imports what is heavy only when its command runs.
COMMANDS = ("workbook.build", "workbook.labs", "workbook.serve", "workbook.questions.cli", "workbook.rounds.cli")


def parser() -> argparse.ArgumentParser:
    """The command's parser, with every subcommand."""
    top = argparse.ArgumentParser(prog="workbook", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        importlib.import_module(module).register(commands)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; bad input ends in one line and exit code 2, Ctrl-C in 130."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except InputError as error:
        print(f"workbook: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
