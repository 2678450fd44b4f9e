"""The plan of a confirmation or of final networks: the candidates, and which of them is trained in each slot."""

from __future__ import annotations

from typing import Literal

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


TrainingSamples = Literal["development", "training"]
"""What final networks are trained on: the development set, or MedMNIST's training set as its authors do."""


class FinalTraining(BaseModel):
    """What distinguishes a plan of final networks, whose weights are kept, from that of a confirmation.

    Attributes:
        folder: absolute path of the results folder, which every worker has to reach.
        rows: what the networks are trained on.
        epochs: of each candidate, in their order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    rows: TrainingSamples
    epochs: tuple[int, ...]


class Plan(BaseModel):
    """The trials of a confirmation: repeat by repeat, each candidate once per repeat, in their order.

    Likewise the final networks of a search: a repeat is one network of each candidate.

    Attributes:
        search: name of the study that the candidates come from.
        top: requested number of candidates besides the baselines; the search may have had fewer.
        per_family: requested number of the best of each loss family; 0 if families did not count.
        racing_level: as in the section [confirm] of a study file; 0 trains every repeat of every candidate.
        final: how final networks are trained; None for a confirmation or an ablation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    top: int = Field(ge=1)
    per_family: int = Field(0, ge=0)
    racing_level: float = Field(ge=0, lt=1)
    final: FinalTraining | None = None

    def at(self, slot: int) -> tuple[int, int]:
        """Return the candidate and the repeat of a slot of the budget, all numbered from 0."""
        repeat, candidate = divmod(slot, len(self.candidates))
        return candidate, repeat

    @property
    def role(self) -> str:
        """What a study with this plan is to its search, in words."""
        return "confirmation" if self.final is None else "final training"
