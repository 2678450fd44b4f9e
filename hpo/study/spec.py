"""`StudySpec`: everything that defines one study; its fingerprint; how two specs differ."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.registry import Registry
from hpo.study.catalogue import Dataset, find_dataset, is_dataset
from hpo.study.choices import PRUNERS, SAMPLERS, OneOf
from hpo.study.config import ConfigValues, TrainConfig, settings
from hpo.study.plan import Plan
from hpo.study.space import Space
from hpo.study.stored import JsonObject


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Scoring(_Section):
    """On which development rows every trial of the study is scored."""

    rows: Literal["official", "holdout", "kfold", "reshuffled"] = "kfold"
    """MedMNIST's validation rows; a stratified share; k stratified folds; a new stratified share for each trial."""

    folds: int = Field(5, ge=2, le=20)
    """kfold: number of folds."""

    repeats: int = Field(1, ge=1, le=10)
    """kfold: number of times that all rows are divided anew."""

    share: float = Field(0.2, ge=0.05, le=0.5)
    """holdout and reshuffled: share of the development rows that is scored on."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the division."""


class Search(_Section):
    """How configurations are proposed and which are stopped early."""

    sampler: Annotated[str, OneOf(SAMPLERS)] = "tpe"
    """Tree-structured Parzen estimator (multivariate, conditional), or independent random draws."""

    startup_trials: int = Field(10, ge=1, le=10000)
    """Finished trials before the sampler stops drawing at random."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Study seed; the seeds of sampler, weights and batches follow from it and the trial's number."""

    pruner: Annotated[str, OneOf(PRUNERS)] = "asha"
    """Asynchronous successive halving on the mean over folds (Li et al. 2020, arXiv 1810.05934), or no pruning."""

    first_rung: int = Field(4, ge=1, le=1000)
    """Epochs before the first pruning decision."""

    reduction: int = Field(3, ge=2, le=10)
    """At each rung the best 1/reduction go on; rungs are at first_rung * reduction^i epochs."""

    references: bool = True
    """Whether trials 0 and 1 are MedMNIST's cross-entropy recipe and LibAUC as it comes."""

    max_failed_share: float = Field(0.5, gt=0, le=1)
    """Share of trials failed by their own fault at which the study stops and says so (10 trials at least)."""


class Budget(_Section):
    """How much is spent."""

    trials: int = Field(100, ge=1, le=1_000_000)
    """Finished trials, pruned ones included."""

    epochs: int = Field(30, ge=1, le=10_000)
    """Epochs of the fit rows for an unpruned trial; the same number of samples for every resplit."""


class Confirm(_Section):
    """How the winner of the search is found by `hpo confirm`; laid down before the search."""

    rule: Literal["best mean"] = "best mean"
    """The winner: the highest mean over all repeats among candidates that finished every one. A reference can win."""

    top: int = Field(8, ge=1, le=30)
    """Number of distinct configurations that are trained again, the best complete ones; the references come on top."""

    seeds: int = Field(5, ge=1, le=50)
    """Repeats of each, all with new seeds and, unless the rows are official, on new folds."""

    racing_level: float = Field(0.01, ge=0, le=0.2)
    """A candidate is dropped after a repeat, from the second on, if the interval of its paired difference to the
    leader, of confidence 1 - racing_level, lies below zero; 0 drops none. References are never dropped."""


class StudySpec(BaseModel):
    """A study file, read and checked; or a confirmation, which has a plan and comes from no file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    scoring: Scoring = Scoring()
    search: Search = Search()
    budget: Budget = Budget()
    confirm: Confirm = Confirm()
    fixed: ConfigValues = {}
    space: Space = {}
    plan: Plan | None = None

    @property
    def data(self) -> Dataset:
        """The dataset it is about."""
        return find_dataset(self.dataset)

    def config(self, searched: ConfigValues) -> TrainConfig:
        """The training configuration of one trial: fixed settings and its searched values."""
        return TrainConfig.model_validate({**self.fixed, **searched})

    def searched_values(self, config: TrainConfig) -> ConfigValues:
        """Of a configuration, the values of the searched settings that mean something under it."""
        active = config.active()
        return {name: active[name] for name in self.space if name in active}

    def canonical(self) -> JsonObject:
        """What tells one study from another, as plain values; the number of trials is not part of it.

        What came into specs later is left out where it is as before, so that older studies keep their fingerprints.
        """
        values = self.model_dump(mode="json")
        del values["budget"]["trials"]
        for number, candidate in enumerate(self.plan.candidates if self.plan else ()):
            values["plan"]["candidates"][number]["config"] = candidate.config.identity()
        values["confirm"] = self.confirm.model_dump(mode="json", exclude_defaults=True)
        return {key: value for key, value in values.items() if key not in ("confirm", "plan") or value}

    def fingerprint(self) -> str:
        """Hash of `canonical()`, 16 hexadecimal digits."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def unregistered(stored: dict[str, Any]) -> list[str]:
    """What a stored spec, as plain values, names and nobody has registered in this process: `loss 'mine'`."""
    search = stored.get("search", {})
    chosen: list[tuple[Registry[Any], Any]] = [(SAMPLERS, search.get("sampler")), (PRUNERS, search.get("pruner"))]
    candidates = (stored.get("plan") or {}).get("candidates", ())
    values = [stored.get("fixed", {}), *(candidate["config"] for candidate in candidates)]
    for setting in settings().values():
        if (registry := setting.domain.choices) is not None:
            searched = stored.get("space", {}).get(setting.name, {}).get("choices", ())
            chosen += [(registry, value) for value in (*searched, *(given.get(setting.name) for given in values))]
    found = [f"{registry.kind} {name!r}" for registry, name in chosen if name is not None and name not in registry]
    dataset = stored["dataset"]
    return [*([] if is_dataset(dataset) else [f"dataset {dataset!r}"]), *dict.fromkeys(found)]


def differences(stored: JsonObject, asked: JsonObject, prefix: str = "") -> list[str]:
    """Where two canonical specs differ, a line each: `space.margin.low: stored 0.1, asked 0.5`."""
    lines = []
    for key in sorted(stored.keys() | asked.keys()):
        name = f"{prefix}{key}"
        old, new = stored.get(key, "nothing"), asked.get(key, "nothing")
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{name}.")
        elif old != new:
            lines.append(f"{name}: stored {_brief(old)}, asked {_brief(new)}")
    return lines


def _brief(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
