"""Check that the data files exist and are unaltered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hpo.errors import DataError
from hpo.launch.doctor.finding import Finding, fault, ok, warning
from hpo.study.catalogue import DATASETS, find_dataset


def look_at_data(folder: Path, needed: Callable[[], str | None]) -> Iterator[Finding]:
    """Check the file of the dataset that is `needed`, or of every dataset if None; only a needed file must exist."""
    from hpo.data.files import file_state

    name = needed()
    states = [file_state(dataset, folder) for dataset in ([find_dataset(name)] if name else DATASETS)]
    good = [state.dataset for state in states if state.state in ("ok", "built in")]
    missing = [state.dataset for state in states if state.state == "missing"]
    for state in states:
        if state.state in ("altered", "unreadable"):
            yield Finding("data", "fault", state.detail, "", DataError.exit_code)
    if good:
        yield ok("data", f"{', '.join(good)}: present and unaltered, in {folder}")
    if missing:
        text, cure = f"{', '.join(missing)}: not in {folder}", f"run `hpo data fetch {' '.join(missing)}`"
        yield fault("data", text, cure, DataError) if name else warning("data", text, cure)
