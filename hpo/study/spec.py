"""`StudySpec`: the definition of a study, its fingerprint, and the differences between two specs."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from hpo.registry import Registry
from hpo.study.catalogue import AT, Dataset, find_dataset, is_dataset, own_dataset
from hpo.study.choices import PRUNERS, SAMPLERS, OneOf
from hpo.study.co_training import datasets_of
from hpo.study.config import ConfigValues, TrainConfig, settings
from hpo.study.keys import check_names
from hpo.study.own import OwnFile
from hpo.study.plan import Plan
from hpo.study.ranges import EPOCHS, FOLDS, PER_FAMILY, REPEATS, TOP, TRIALS
from hpo.study.space import Space, reachable_values
from hpo.study.starts import Start
from hpo.study.stored import JsonObject, parse_object


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        check_names(values, cls.model_fields)
        return values


GroupRule = Literal["auto", "none"]
"""Whether splits keep groups of samples on one side."""


class Scoring(_Section):
    """Which samples of the development set validate every trial of the study."""

    rows: Literal["official", "holdout", "kfold", "reshuffled"] = "kfold"
    """MedMNIST's validation samples; a stratified share; k stratified folds; a new stratified share for each trial."""

    folds: int = Field(5, ge=FOLDS.low, le=FOLDS.high)
    """kfold: number of folds."""

    repeats: int = Field(1, ge=1, le=10)
    """kfold: number of repeats, each with a new split of all samples."""

    share: float = Field(0.2, ge=0.05, le=0.5)
    """holdout and reshuffled: share of the development set in the validation part."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of the split."""

    groups: GroupRule = "auto"
    """Whether folds and resplits keep near-duplicates, and the groups that the data file brings (patients), together:
    wherever there are any, or never. Official validation samples stay where they are. Studies that were created before
    there was this key have none."""

    @property
    def fold_count(self) -> int:
        """Return the number of folds of a trial, over all repeats."""
        return self.folds * self.repeats if self.rows == "kfold" else 1


class RungSpec(_Section):
    """A rung: after how many epochs of how many folds trials are compared, and what share of them goes on."""

    folds: int = Field(ge=1, le=200)
    """The study's first folds, trained up to here."""

    epochs: int = Field(ge=1, le=10_000)
    """Epochs of each of these folds, trained up to here."""

    keep: float | None = Field(None, gt=0, le=1)
    """Share of the trials that goes on; 1 / reduction if not given."""


RungRule = Literal["folds", "epochs"]

# By a discriminator, so that a wrong value is told as that of one form and not of both.
Rungs = Annotated[
    Annotated[RungRule, Tag("rule")] | Annotated[tuple[RungSpec, ...], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "rule" if isinstance(value, str) else "list"),
]


class Search(_Section):
    """How configurations are sampled and which are pruned."""

    sampler: Annotated[str, OneOf(SAMPLERS)] = "tpe"
    """`tpe`, a tree-structured Parzen estimator (multivariate, conditional) that compares trials at the highest rung
    that at least 12 have reached; `gp`, a Gaussian process, and `cmaes` likewise; `random`; `qmc`, quasi-random; or
    `optuna:CLASS`, any of Optuna's, which sees complete and pruned trials as Optuna does."""

    startup_trials: int = Field(10, ge=1, le=10000)
    """Number of finished trials before the sampler starts to learn from them; until then it draws at random."""

    seed: int = Field(0, ge=0, lt=2**31)
    """Study seed; the seeds of sampler, weights and batches derive from it and the trial number."""

    pruner: Annotated[str, OneOf(PRUNERS)] = "asha"
    """`asha`, asynchronous successive halving (Li et al. 2020, arXiv 1810.05934); `hyperband`, the same in brackets
    that begin at different rungs; `median`, not below a rung's median; `wilcoxon`, a paired test over folds; `none`."""

    rungs: Rungs = "epochs"
    """Where trials are compared: `epochs`, all folds together after first_rung * reduction^i epochs; `folds`, one fold
    at the first of these epochs, two at the others, then half of the folds after all epochs, of which the better half
    trains the other folds; or a list of {folds, epochs, keep} in the order of training."""

    first_rung: int = Field(4, ge=1, le=1000)
    """Epochs before the first pruning decision."""

    reduction: int = Field(3, ge=2, le=10)
    """At each rung the best 1/reduction of the trials continue; rungs are at first_rung * reduction^i epochs."""

    references: bool = True
    """Whether trials 0 and 1 are the baselines: MedMNIST's cross-entropy recipe and the LibAUC defaults."""

    max_failed_share: float = Field(0.5, gt=0, le=1)
    """Share of finished trials that failed because of their own settings at which the study stops with an error (after
    at least 10 trials)."""


class Budget(_Section):
    """Number and length of the trials."""

    trials: int = Field(100, ge=TRIALS.low, le=TRIALS.high)
    """Number of finished trials, including pruned and failed ones."""

    epochs: int = Field(30, ge=EPOCHS.low, le=EPOCHS.high)
    """Epochs of an unpruned trial over the training part of each fold; every resplit trains on the same number of
    samples in total."""


class Confirm(_Section):
    """How `hpo confirm` determines the winner of the search; fixed before the search."""

    rule: Literal["best mean"] = "best mean"
    """The winner: the highest mean over all repeats among candidates that finished all of them. A baseline can win."""

    top: int = Field(8, ge=TOP.low, le=TOP.high)
    """Number of distinct configurations to train again, the best complete ones; the baselines are added to them."""

    ranking: Literal["auc", "smoothed"] = "auc"
    """What ranks the complete trials of the search, and so chooses candidates: the trial's own AUC; or `smoothed`, the
    AUC smoothed over similar configurations, which is better where the sampler draws at random (docs/statistics.md)."""

    per_family: int = Field(2, ge=PER_FAMILY.low, le=PER_FAMILY.high)
    """Number of best configurations of each loss family (those that maximise the AUC: AUCM, joint, compositional,
    pairwise, pauc; cross-entropy and focal loss; each loss of a plug-in that names no family) to train again, where
    `top` does not hold them yet. Racing never eliminates the best of a family. 0 takes `top` alone, as studies did
    that were created before there was this key."""

    seeds: int = Field(5, ge=REPEATS.low, le=REPEATS.high)
    """Number of repeats of each, all with new seeds and, unless [scoring] rows is official, on new folds."""

    racing_level: float = Field(0.01, ge=0, le=0.2)
    """From the second repeat on, a candidate is eliminated if the confidence interval of its paired difference to the
    leader, at level 1 - racing_level, lies below zero; 0 disables racing. Baselines are never eliminated."""


_BEFORE: dict[str, JsonObject] = {
    "scoring": {"groups": "none"},
    "search": {"rungs": "epochs"},
    "confirm": {"per_family": 0, "ranking": "auc"},
}
"""Sections and keys that older stored specs do not have, with what was meant there: samples of one group could be
separated, all folds were trained together, and a confirmation took the best by their own AUC, whatever their loss. With
another meaning their trials could not be repeated, and a rule that was fixed before the search would change after it.
"""


class StudySpec(BaseModel):
    """A validated study file; or a confirmation, or final networks, which have a plan and no study file.

    Attributes:
        own: the file of `dataset` if that is a user's own.
        earlier: configurations that other searches tried on the same samples, from whose best this one starts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    own: OwnFile | None = None
    scoring: Scoring = Scoring()
    search: Search = Search()
    budget: Budget = Budget()
    confirm: Confirm = Confirm()
    fixed: ConfigValues = {}
    space: Space = {}
    start: tuple[Start, ...] = ()
    earlier: int = Field(0, ge=0)
    plan: Plan | None = None

    @classmethod
    def from_json(cls, text: str) -> StudySpec:
        """Parse a stored spec, of this or an earlier version of hpo.

        Raises:
            ValidationError, ValueError: if it is not one.
        """
        stored: Any = parse_object(text)
        for section, keys in _BEFORE.items():
            if isinstance(values := stored.get(section, {}), dict):
                stored[section] = {**keys, **values}
        return cls.model_validate_json(json.dumps(stored))

    def like(self, stored: StudySpec) -> StudySpec:
        """Return this spec with the newer keys of a stored one, unless it says itself what they are.

        A study that was created before there were these keys thus goes on as it was, from the same study file.
        """
        changes: dict[str, Any] = {}
        for section, keys in _BEFORE.items():
            own, other = getattr(self, section), getattr(stored, section)
            kept = {key: getattr(other, key) for key in keys if key not in own.model_fields_set}
            changes[section] = own.model_copy(update=kept)
        if "start" not in stored.model_fields_set:
            # Shipped study files have got start points since.
            changes["start"] = ()
        return self.model_copy(update=changes)

    @property
    def data(self) -> Dataset:
        """The dataset of the study."""
        return find_dataset(self.dataset) if self.own is None else own_dataset(self.own)

    def other_datasets(self) -> tuple[Dataset, ...]:
        """Return the datasets that any of its trials may train on besides its own, see `co_training`.

        Raises:
            UsageError: if one does not suit the dataset of the study.
        """
        if self.plan is not None and self.plan.final is not None:
            return datasets_of([candidate.config.co_training for candidate in self.plan.candidates], self.data)
        values = reachable_values("co_training", self.fixed, self.space) or ()
        planned = [candidate.config.co_training for candidate in self.plan.candidates] if self.plan else []
        return datasets_of([*map(str, values), *planned], self.data)

    def has_samples_of(self, other: StudySpec) -> bool:
        """Return whether its development set has the samples of another study's, be it in another size."""
        if self.own is not None or other.own is not None:
            return self.own is not None and other.own is not None and self.own.md5 == other.own.md5
        return self.dataset.partition(AT)[0] == other.dataset.partition(AT)[0]

    def config(self, searched: ConfigValues) -> TrainConfig:
        """Return the training configuration of a trial: the fixed settings and its searched values."""
        return TrainConfig.model_validate({**self.fixed, **searched})

    def searched_values(self, config: TrainConfig) -> ConfigValues:
        """Return the values of the searched settings that are active in a configuration."""
        active = config.active()
        return {name: active[name] for name in self.space if name in active}

    def canonical(self) -> JsonObject:
        """Return what identifies the study, as plain values; the number of trials is not part of it."""
        values = self.model_dump(mode="json")
        del values["budget"]["trials"], values["earlier"]
        if self.own is None:
            del values["own"]
        else:
            # Where the file is may differ between hosts, and change; the checksum says what it is.
            del values["own"]["path"], values["own"]["pixels"]
        # Keys that were added to specs later are left out at their defaults, so that older studies keep fingerprints.
        confirm = self.confirm.model_dump(mode="json", exclude_defaults=True)
        values["confirm"] = {"per_family": self.confirm.per_family, "ranking": self.confirm.ranking, **confirm}
        for number, candidate in enumerate(self.plan.candidates if self.plan else ()):
            stored = values["plan"]["candidates"][number]
            stored["config"] = candidate.config.identity()
            if candidate.base is None:
                del stored["base"], stored["method"], stored["removes"]
        # By their places, so that differences are told one by one.
        starts = enumerate(self.start, start=1)
        values["start"] = {str(place): {"name": one.name, **one.values} for place, one in starts}
        if self.plan is not None and not self.plan.per_family:
            del values["plan"]["per_family"]
        if self.plan is not None and self.plan.final is None:
            del values["plan"]["final"]
        if self.plan is not None and not self.plan.added:
            del values["plan"]["added"]
        for section, keys in _BEFORE.items():
            values[section] = {key: value for key, value in values[section].items() if (key, value) not in keys.items()}
        return {key: value for key, value in values.items() if key not in ("confirm", "plan", "start") or value}

    def fingerprint(self) -> str:
        """Return a hash of `canonical()`, 16 hexadecimal digits."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def unregistered(stored: dict[str, Any]) -> list[str]:
    """Return what a stored spec uses but this process has not registered, such as `loss 'mine'`."""
    missing = [f"{registry.kind} {name!r}" for registry, name in _chosen(stored) if name not in registry]
    dataset = stored["dataset"]
    is_known = stored.get("own") is not None or is_dataset(dataset)
    return [*([] if is_known else [f"dataset {dataset!r}"]), *dict.fromkeys(missing)]


def registered_by_main(spec: StudySpec) -> list[str]:
    """Return what a spec uses that the main module of this process has registered, as `unregistered` does.

    That of a script or a notebook, which no other process has.
    """
    stored = spec.model_dump(mode="json")
    entries = ((registry, registry.registered(str(name))) for registry, name in _chosen(stored))
    found = [f"{registry.kind} {entry.name!r}" for registry, entry in entries if entry and _is_of_main(entry.target)]
    dataset = [f"dataset {spec.dataset!r}"] if _is_of_main(spec.data.development) else []
    return [*dataset, *dict.fromkeys(found)]


def _is_of_main(target: object) -> bool:
    return getattr(target, "__module__", None) == "__main__"


def _chosen(stored: dict[str, Any]) -> list[tuple[Registry[Any], Any]]:
    """Return every name that a stored spec chooses, with its registry; not the dataset."""
    search = stored.get("search", {})
    chosen: list[tuple[Registry[Any], Any]] = [(SAMPLERS, search.get("sampler")), (PRUNERS, search.get("pruner"))]
    candidates = (stored.get("plan") or {}).get("candidates", ())
    values = [stored.get("fixed", {}), *(candidate["config"] for candidate in candidates)]
    for setting in settings().values():
        if (registry := setting.domain.choices) is not None:
            searched = stored.get("space", {}).get(setting.name, {}).get("choices", ())
            chosen += [(registry, value) for value in (*searched, *(given.get(setting.name) for given in values))]
    return [(registry, name) for registry, name in chosen if name is not None]


def differences(stored: JsonObject, asked: JsonObject, prefix: str = "") -> list[str]:
    """List the differences between two canonical specs, a line each: `space.margin.low: stored 0.1, asked 0.5`."""
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
