"""Check that the data files exist and are unaltered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from hpo.errors import DataError
from hpo.launch.doctor.finding import Finding, fault, ok, warning
from hpo.study.catalogue import DATASETS, Dataset, find_dataset


def look_at_data(
    folder: Path, needed: Callable[[], Collection[str | Dataset]], misses_all: bool = False
) -> Iterator[Finding]:
    """Check the files of the datasets that are `needed`, or of every dataset if none; only needed files must exist.

    misses_all: whether there is a warning of files that are not needed and do not exist.
    """
    from hpo.data.files import file_state

    names = needed()
    known = [find_dataset(name) if isinstance(name, str) else name for name in names] or list(DATASETS)
    own = [dataset.name for dataset in known if dataset.own is not None]
    states = [file_state(dataset, folder) for dataset in known]
    good = [state.dataset for state in states if state.state == "ok" and state.dataset not in own]
    built_in = [state.dataset for state in states if state.state == "built in"]
    missing = [state.dataset for state in states if state.state == "missing" and state.dataset not in own]
    for state in states:
        if state.state in ("altered", "unreadable") or (state.state == "missing" and state.dataset in own):
            yield Finding("data", "fault", state.detail, "", DataError.exit_code)
    if good:
        yield ok("data", f"{', '.join(good)}: present and unaltered, in {folder}")
    for state in states:
        if state.state == "ok" and state.dataset in own:
            yield ok("data", f"{state.dataset}: present and unaltered, {state.path}")
    if built_in:
        yield ok("data", f"{', '.join(built_in)}: no file needed, since an installed package has them")
    if missing and not names and not misses_all:
        yield ok("data", f"{len(missing)} other datasets are downloaded once a study needs them; --all lists them")
    elif missing:
        text, cure = f"{', '.join(missing)}: not in {folder}", f"run `hpo data fetch {' '.join(missing)}`"
        yield fault("data", text, cure, DataError) if names else warning("data", text, cure)
