"""The plan of a confirmation or of final networks: the candidates, and which of them is trained in each slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.study.config import TrainConfig
from hpo.text import shell


class Candidate(BaseModel):
    """A configuration that a confirmation trains again.

    Attributes:
        is_reference: whether it is a baseline.
        trial: number of its trial in the search; like `auc` and `standard_error` None for a baseline that the search
            did not finish.
        auc: validation AUC of that trial.
        standard_error: of `auc`.
        base: name of the candidate that this one is compared with, whose settings it has but for one method; None for a
            candidate that is compared with all.
        method: name of that method.
        removes: whether the base has the method, and this candidate does without it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config: TrainConfig
    is_reference: bool = False
    trial: int | None = None
    auc: float | None = None
    standard_error: float | None = None
    base: str | None = None
    method: str | None = None
    removes: bool = False


class Addition(BaseModel):
    """What a plan was when further candidates were added to it.

    Attributes:
        candidates: number of those that were there; the others come after them.
        repeats: that were planned then, which the others are trained in first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(ge=1)
    repeats: int = Field(ge=1)


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
    Where candidates were added later, those that were there keep their slots; see `Addition`.

    Attributes:
        search: name of the study that the candidates come from; "" if they come from a study file.
        top: requested number of candidates besides the baselines; the search may have had fewer.
        per_family: requested number of the best of each loss family; 0 if families did not count.
        racing_level: as in the section [confirm] of a study file; 0 trains every repeat of every candidate.
        final: how final networks are trained; None for a confirmation or an ablation.
        added: in their order; of a plan of methods only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    top: int = Field(ge=1)
    per_family: int = Field(0, ge=0)
    racing_level: float = Field(ge=0, lt=1)
    final: FinalTraining | None = None
    added: tuple[Addition, ...] = ()

    @property
    def is_of_methods(self) -> bool:
        """Whether it measures methods, each against its own base."""
        return any(one.base is not None for one in self.candidates)

    def command(self, dataset: str, name: str) -> str:
        """Return the command line that continues the study `name` with this plan, whose data set is `dataset`."""
        of = self.search or dataset
        command, usual = "confirm", f"{of}-confirm"
        if self.final is not None:
            command, usual = "finalize", f"{of}-final"
        elif self.is_of_methods:
            command, usual = "methods", f"{of}-methods"
        elif name == f"{of}-ablation":
            command, usual = "ablate", name
        return f"hpo {command} {shell(of)}" + ("" if name == usual else f" --name {shell(name)}")

    def at(self, slot: int) -> tuple[int, int]:
        """Return the candidate and the repeat of a slot of the budget, all numbered from 0."""
        for candidates, repeats in self._blocks():
            if slot < len(candidates) * len(repeats):
                repeat, candidate = divmod(slot, len(candidates))
                return candidates.start + candidate, repeats.start + repeat
            slot -= len(candidates) * len(repeats)
        repeat, candidate = divmod(slot, len(self.candidates))
        return candidate, (self.added[-1].repeats if self.added else 0) + repeat

    def with_more(self, candidates: tuple[Candidate, ...], repeats: int) -> Plan:
        """Return the plan with further candidates, given the number of repeats that are planned by now."""
        known = Addition(candidates=len(self.candidates), repeats=repeats)
        return self.model_copy(update={"candidates": (*self.candidates, *candidates), "added": (*self.added, known)})

    def repeats_of(self, first_trials: int) -> int:
        """Return the repeats that a study began with, from the number of trials that it began with."""
        return first_trials // self._first_candidates

    def trials_at_first(self, trials: int) -> int:
        """Return the number of trials to have begun with, had the repeats of these trials been planned at first."""
        return trials // len(self.candidates) * self._first_candidates

    @property
    def _first_candidates(self) -> int:
        return self.added[0].candidates if self.added else len(self.candidates)

    def _blocks(self) -> Iterator[tuple[range, range]]:
        """Yield the candidates and repeats of consecutive slots, up to where all candidates are in step."""
        done = 0
        counts = [*(one.candidates for one in self.added), len(self.candidates)]
        for known, more in zip(self.added, counts[1:], strict=True):
            yield range(known.candidates), range(done, known.repeats)
            yield range(known.candidates, more), range(known.repeats)
            done = known.repeats

    @property
    def role(self) -> str:
        """What a study with this plan is to its search, in words."""
        if self.final is not None:
            return "final training"
        if self.is_of_methods:
            return "study of methods"
        # The changes of an ablation come from no trial.
        changes = [one for one in self.candidates if not one.is_reference and one.trial is None]
        return "ablation" if changes else "confirmation"
