"""Read the AUCs of a study's complete trials, smoothed over similar configurations: what ranks them.

The best of many noisy AUCs is a lucky one; smoothing takes part of the luck away. Measured in docs/statistics.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.search.strategy.pruner import stages_of
from hpo.search.strategy.sampler import distribution, make_history
from hpo.search.study import Study

if TYPE_CHECKING:
    from hpo.search.strategy.smoothing import Smoothed


def read_smoothed(study: Study) -> Smoothed | None:
    """Smooth the AUCs of the complete trials of a search that the sampler or a start point proposed.

    Returns:
        None if the study ranks trials by their own AUCs, or has too few of them; for a confirmation, too.
    """
    spec = study.spec
    if spec.confirm.ranking != "smoothed" or spec.plan is not None or not spec.space:
        return None
    # Imported late: a study that ranks by AUC needs neither optuna nor scipy here.
    from hpo.search.strategy.smoothing import smooth

    history = make_history(study)
    study.database.read(history.refresh)
    space = {name: distribution(entry) for name, entry in spec.space.items()}
    return smooth(space, history.listed, stages_of(spec, planned=False))
