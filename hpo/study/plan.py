"""The plan of a confirmation: the candidates to train again, and which of them is trained in each slot."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hpo.study.config import TrainConfig


class Candidate(BaseModel):
    """A configuration that a confirmation trains again.

    Attributes:
        is_reference: whether it is a baseline.
        trial: number of its trial in the search; like `auc` and `standard_error` None for a baseline that the search
            did not finish.
        auc: validation AUC of that trial.
        standard_error: of `auc`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config: TrainConfig
    is_reference: bool = False
    trial: int | None = None
    auc: float | None = None
    standard_error: float | None = None


class Plan(BaseModel):
    """The trials of a confirmation: repeat by repeat, each candidate once per repeat, in their order.

    Attributes:
        search: name of the study that the candidates come from.
        top: requested number of candidates besides the baselines; the search may have had fewer.
        per_family: requested number of the best of each loss family; 0 if families did not count.
        racing_level: as in the section [confirm] of a study file; 0 trains every repeat of every candidate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    top: int = Field(ge=1)
    per_family: int = Field(0, ge=0)
    racing_level: float = Field(ge=0, lt=1)

    def at(self, slot: int) -> tuple[int, int]:
        """Return the candidate and the repeat of a slot of the budget, all numbered from 0."""
        repeat, candidate = divmod(slot, len(self.candidates))
        return candidate, repeat
