"""The command ``lineament``: parse, call, print.

Each file beside this one holds one command or one group, and is registered by one line below: a group with
``app.add_typer(<file>.app, name="<group>")``, a single command with ``app.command("<name>")(<file>.<function>)``.
A command file imports only typer and its neighbours at the top; what is heavy is imported inside the functions, so
that ``lineament --help`` stays quick. Commands raise what the library raises; :func:`main` turns errors into one
line on stderr and an exit code (:mod:`lineament.cli.exits`). A result that is not success ends a command with
``raise typer.Exit(Exit.NO_MATCH)``.
"""

import io
import os
import sys

import typer

from lineament.cli import (
    audit,
    calibrate,
    data_mesh,
    demesh,
    demo,
    detect,
    doctor,
    embed,
    enroll,
    evaluate,
    gallery,
    identify,
    keys,
    models,
    people,
    report,
    serve,
    train,
    verify,
)
from lineament.cli.exits import Exit, exit_for
from lineament.core.errors import LineamentError

app = typer.Typer(
    name="lineament",
    help="Face verification and identification at an error rate that you asked for and that was measured.",
    epilog="Exit codes: 0 done, match or found; 1 no match; 2 wrong use; 3 refused; 4 input; 5 model; 6 gallery; "
    "7 not calibrated; 8 undecided; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("verify")(verify.verify)
app.command("enroll")(enroll.enroll)
app.command("identify")(identify.identify)
app.command("detect")(detect.detect)
app.command("embed")(embed.embed)
app.command("demesh")(demesh.demesh)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(report.app, name="report")
app.add_typer(data_mesh.app, name="data")  # the last of the files that add commands to this group
app.add_typer(train.app, name="train")
app.add_typer(people.app, name="people")
app.add_typer(gallery.app, name="gallery")
app.add_typer(models.app, name="models")
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"lineament {version('lineament')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold bytes that are no text in the terminal's encoding; that must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code.

    Args:
        arguments: words of the command line, without the program's name.
    """
    try:
        code = app(arguments, prog_name="lineament", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as stop:  # typer ends the process itself when the reader of its output has gone
        if isinstance(stop.__context__, BrokenPipeError):
            return _reader_gone()
        raise
    except (LineamentError, OSError) as error:
        return _fail(str(error), exit_for(error))
    except Exception as error:
        return _unexpected(error)
    return code if isinstance(code, int) else Exit.DONE


def _reader_gone() -> int:
    """Stay silent: the interpreter must not complain either, when it flushes stdout at its end."""
    sys.stdout = sys.__stdout__
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Exit.DONE


def _unexpected(error: Exception) -> int:
    """Wrong use as the parser reports it, or a fault of the program."""
    show = getattr(error, "show", None)
    if show is not None and isinstance(getattr(error, "exit_code", None), int):
        show()
        return Exit.USAGE
    if type(error).__name__ == "Abort":
        return Exit.INTERRUPTED
    if os.environ.get("LINEAMENT_DEBUG"):
        raise error
    return _fail(
        f"this is a fault of lineament: {type(error).__name__}: {error}; "
        "set LINEAMENT_DEBUG=1 to see where, and please report it",
        Exit.FAULT,
    )


def _fail(message: str, code: Exit) -> int:
    print(f"lineament: error: {message}", file=sys.stderr)
    return code
