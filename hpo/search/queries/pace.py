"""How fast the trials of a study finish."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.search.database.schema import AnyRow

RECENT = 20
"""Number of finished trials over which the pace is measured."""

IDLE_SECONDS = 60.0
"""Seconds without a running trial after which the measurement restarts."""


def pace(rows: Sequence[AnyRow]) -> float | None:
    """Return finished trials per second, over the last RECENT since the study was last idle; None before the first."""
    now, wave, busy = rows[0].now, 0.0, 0.0
    for row in sorted(rows, key=lambda row: row.started):
        if row.started > busy + IDLE_SECONDS:
            wave = row.started
        busy = max(busy, row.ended or row.started)
    ends = sorted(row.ended for row in rows if row.ended is not None and row.ended >= wave)
    since = ends[-RECENT - 1] if len(ends) > RECENT else wave
    return min(len(ends), RECENT) / float(max(now - since, 1e-3)) if ends else None
