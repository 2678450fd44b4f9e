"""Define the command group, and turn errors into messages and exit codes."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from pathlib import Path

import click
from click.shell_completion import shell_complete

from hpo import __version__
from hpo.cli.first_sign import first_sign
from hpo.cli.interrupts import interrupt
from hpo.cli.lazy import Lazy, LazyGroup
from hpo.cli.logs import log_to_stderr
from hpo.cli.streams import discard_output, finish_messages, is_output_read, prepare_streams, say
from hpo.cli.words import check_words
from hpo.errors import DeviceError, HpoError, OutputError, UsageError

_SEARCH, _RESULT, _SET_UP = "Search", "Result", "Files, database and machine"

COMMANDS = {
    "launch": Lazy(
        "hpo.cli.launch:launch", "Create or resume a study and train until its trials are finished", _SEARCH
    ),
    "worker": Lazy(
        "hpo.cli.worker:worker",
        "Attach one more worker to STUDY until its trials are finished",
        _SEARCH,
    ),
    "stop": Lazy(
        "hpo.cli.stop:stop",
        "Ask the workers of STUDY to end, and cancel its waiting jobs",
        _SEARCH,
    ),
    "status": Lazy(
        "hpo.cli.status:status",
        "Show the status of STUDY: progress, best value, workers, jobs",
        _SEARCH,
    ),
    "studies": Lazy("hpo.cli.studies:studies", "List the studies of the database, with their states", _SEARCH),
    "trials": Lazy("hpo.cli.trials:trials", "List every trial of STUDY, or show one TRIAL in full", _SEARCH),
    "best": Lazy("hpo.cli.best:best", "Rank the complete trials of STUDY by validation AUC", _SEARCH),
    "dashboard": Lazy(
        "hpo.cli.dashboard:dashboard",
        "Serve optuna-dashboard to this machine, open on STUDY or on all",
        _SEARCH,
    ),
    "replay": Lazy(
        "hpo.cli.replay:replay",
        "Train TRIAL of STUDY again from its record, and compare",
        _SEARCH,
    ),
    "confirm": Lazy(
        "hpo.cli.confirm:confirm",
        "Retrain the best configurations of STUDY, and name the winner",
        _RESULT,
    ),
    "ablate": Lazy(
        "hpo.cli.ablate:ablate",
        "Show the effect of each setting of STUDY's winner",
        _RESULT,
    ),
    "methods": Lazy(
        "hpo.cli.methods:methods",
        "Measure what each training METHOD does to NAME",
        _RESULT,
    ),
    "finalize": Lazy(
        "hpo.cli.finalize:finalize",
        "Retrain the winner of STUDY, then open the test set once",
        _RESULT,
    ),
    "report": Lazy(
        "hpo.cli.report:report",
        "Write the report of STUDY: one HTML page, and Markdown",
        _RESULT,
    ),
    "export": Lazy(
        "hpo.cli.export:export",
        "Write the networks of STUDY's winner to a self-contained folder",
        _RESULT,
    ),
    "predict": Lazy(
        "hpo.cli.predict:predict",
        "Score images with the networks of `hpo export`",
        _RESULT,
    ),
    "rename": Lazy("hpo.cli.rename:rename", "Rename STUDY to NEW, with what was made from it", _SET_UP),
    "delete": Lazy("hpo.cli.delete:delete", "Delete STUDY, with what was made from it", _SET_UP),
    "init": Lazy("hpo.cli.init:init", "Write a study file for a data file of your own, or a dataset", _SET_UP),
    "check": Lazy("hpo.cli.check:check", "Check study files, and report all errors of all files at once", _SET_UP),
    "settings": Lazy(
        "hpo.cli.settings:settings",
        "List every setting of a training run with its domain and default",
        _SET_UP,
    ),
    "data": Lazy("hpo.cli.data:data", "Fetch and check MedMNIST files; import your own images", _SET_UP),
    "db": Lazy("hpo.cli.db:db", "Create, maintain and serve the database of studies", _SET_UP),
    "cluster": Lazy("hpo.cli.cluster:cluster", "Make this cluster known to `hpo launch --on slurm`", _SET_UP),
    "slurm": Lazy(
        "hpo.cli.slurm:slurm",
        "Show what `hpo launch --on slurm` would submit, and where",
        _SET_UP,
    ),
    "doctor": Lazy(
        "hpo.cli.doctor:doctor",
        "Check everything that a study needs here, and say what to do",
        _SET_UP,
    ),
    "help": Lazy("hpo.cli.help:help_", "Show the help of hpo, or of a COMMAND", _SET_UP),
    "completion": Lazy(
        "hpo.cli.completion:completion",
        "Print the script that completes command lines in SHELL",
        _SET_UP,
    ),
}

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

COMPLETE_VARIABLE = "_HPO_COMPLETE"
"""Set by the scripts of `hpo completion`."""

_SURROUNDINGS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE, errno.ENFILE),
}
"""Why the operating system may refuse any file, whatever the command."""

EXIT_CODES = """\b
Exit codes:
  0 done                          6 no such study or trial
  1 internal error                7 the study exists with another spec
  2 wrong command line            8 device not there
  3 errors in a study file        9 cannot write, or disk full
  4 data missing or altered      10 too many, or all, trials failed
  5 database out of reach       130 interrupted
"""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="hpo")
def cli() -> None:
    """Search hyperparameters for Deep AUC Maximization, on MedMNIST or your own images.

    \b
    hpo launch adrenal3d --trials 200     get the data, create or resume the study, and train
    hpo launch mine.npz                   the same on your own images, of hpo data import
    hpo launch adrenal3d --on slurm       workers as jobs of a cluster
    hpo worker adrenal3d                  attach one more worker
    hpo status adrenal3d --watch          watch
    hpo best adrenal3d                    the ranked list
    hpo confirm adrenal3d                 retrain the best, on new seeds and folds
    hpo finalize adrenal3d                open the test set, once
    hpo report adrenal3d                  write the report
    """
    log_to_stderr()


def main() -> None:
    """Run the command, and exit with its documented exit code."""
    # OpenMP threads that spin at a barrier while another process holds a sibling's core slow training threefold and
    # more; sleeping threads cost a few percent on an idle machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    prepare_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    code = _run()
    _end_at_next_interrupt()
    finish_messages()
    sys.exit(code)


def _end_at_next_interrupt() -> None:
    """Let a further Ctrl-C end this process at once: Python's own clean-up would show it as a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, interrupt):
            signal.signal(number, lambda _number, _frame: os._exit(INTERRUPTED))


def _run() -> int:
    try:
        check_words(sys.argv[1:], os.environ)
        code = _call()
        sys.stdout.flush()
        return code
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        say(text.getvalue().rstrip())
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("hpo: interrupted")
        return INTERRUPTED
    except HpoError as error:
        say(f"hpo: {error}")
        return error.exit_code
    except MemoryError:
        say("hpo: out of memory; run it where more is free, or on less data")
        return DeviceError.exit_code
    except OSError as error:
        return _code_of(error)
    except Exception:
        return _bug()


def _call() -> int:
    """Call the command as `cli.main` does, but leave a closed pipe and any EOFError to the caller."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        return shell_complete(cli, {}, "hpo", COMPLETE_VARIABLE, instruction)
    try:
        with first_sign(" ".join(["hpo", *sys.argv[1:2]])), cli.make_context("hpo", sys.argv[1:]) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code


def _code_of(error: OSError) -> int:
    """Say what the operating system refused, unless a command should have known; return the exit code."""
    if isinstance(error, BrokenPipeError) and not is_output_read():
        discard_output()
        return 0
    file = str(error.filename or "no file named")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        discard_output()
        say(f"hpo: the disk is full ({file}); free some space")
        return OutputError.exit_code
    if _is_folder_gone():
        say("hpo: the current folder has been deleted; change to another one")
        return UsageError.exit_code
    if error.filename is not None and error.errno in _SURROUNDINGS:
        say(f"hpo: {file[:200]}: {error.strerror}")
        return OutputError.exit_code
    return _bug()


def _is_folder_gone() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _bug() -> int:
    say(traceback.format_exc().rstrip())
    say("hpo: internal error; please report it with the traceback above")
    return 1
