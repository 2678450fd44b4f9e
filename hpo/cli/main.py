"""The command group, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from hpo import __version__
from hpo.cli.completion import completion
from hpo.cli.data import data
from hpo.cli.db import db
from hpo.cli.doctor import doctor
from hpo.cli.outcome import ablate, confirm
from hpo.cli.read import best, dashboard, replay, status, trials
from hpo.cli.result import export, finalize, predict, report
from hpo.cli.settings import settings_
from hpo.cli.slurm import slurm_
from hpo.cli.stop import stop
from hpo.cli.work import check, launch
from hpo.cli.worker import worker
from hpo.errors import HpoError, OutputError

EXIT_CODES = """\b
Exit codes:
  0 done                          6 no such study or trial
  1 a bug of ours                 7 the study exists with another spec
  2 wrong command line            8 device not there
  3 faults in a study file        9 cannot write, or disk full
  4 data missing or altered      10 too many trials failed
  5 database out of reach       130 interrupted
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hpo")
def cli() -> None:
    """Search hyperparameters for Deep AUC Maximization on MedMNIST.

    \b
    hpo data fetch adrenal3d                        get the data
    hpo launch --dataset adrenal3d --trials 200     create the study or take it up, and work
    hpo worker adrenal3d                            attach one more worker
    hpo launch --dataset adrenal3d --on slurm       workers as jobs of a cluster
    hpo status adrenal3d --watch                    look
    hpo best adrenal3d                              the ranked list
    hpo confirm adrenal3d                           the best again, on new seeds and folds
    hpo finalize adrenal3d                          test rows, opened once
    hpo report adrenal3d                            what was asked, tried and found
    """


for command in (
    *(launch, worker, stop, status, trials, best, confirm, ablate, dashboard, replay, check, settings_),
    *(finalize, report, export, predict, data, db, slurm_, doctor, completion),
):
    cli.add_command(command)


def main() -> None:
    """Entry point of the command; ends the process with the documented exit code."""
    # OpenMP threads that spin at a barrier while another process has their sibling's core slow training threefold
    # and more; threads that sleep cost a few percent where nothing else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(_run())


def _run() -> int:
    try:
        code = int(cli.main(standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        print("hpo: interrupted", file=sys.stderr)
        return 130
    except HpoError as error:
        print(f"hpo: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        _forget_unwritten()
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _forget_unwritten()
            print(f"hpo: the disk is full ({error.filename or 'no file named'}); free some space", file=sys.stderr)
            return OutputError.exit_code
        return _bug()
    except Exception:
        return _bug()


def _forget_unwritten() -> None:
    """Lets what standard output still holds go nowhere, or Python would fail on it at its end, with exit code 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _bug() -> int:
    traceback.print_exc()
    print("hpo: this is a bug of ours; please report it with the lines above", file=sys.stderr)
    return 1
