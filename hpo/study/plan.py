"""The plan of a confirmation: the configurations that are trained again, and which of them is trained at each place."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hpo.study.config import TrainConfig


class Candidate(BaseModel):
    """A configuration that is trained again.

    trial, auc, standard_error: of the search that it comes from; None for a reference that the search did not finish.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config: TrainConfig
    is_reference: bool = False
    trial: int | None = None
    auc: float | None = None
    standard_error: float | None = None


class Plan(BaseModel):
    """Every candidate once in each repeat: repeat by repeat, and within it in the order of the candidates.

    search: name of the study that the candidates come from. top: how many beside the references were asked for, of
    which the search may have had fewer. racing_level: as in the section [confirm] of a study file;
    0 trains every repeat of every candidate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    top: int = Field(ge=1)
    racing_level: float = Field(ge=0, lt=1)

    def at(self, place: int) -> tuple[int, int]:
        """Number of the candidate and of the repeat at a place of the budget, all from 0."""
        repeat, candidate = divmod(place, len(self.candidates))
        return candidate, repeat
