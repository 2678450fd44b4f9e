"""Say where a key of a study file that was put in the wrong place, or abbreviated, belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from hpo.errors import did_you_mean
from hpo.text import brief

_ABBREVIATIONS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "batch": "batch_size",
    "optim": "optimizer",
    "aug": "augmentation",
    "model": "network",
    "arch": "network",
    "image_size": "input_size",
    "img_size": "input_size",
    "n_trials": "trials",
    "num_trials": "trials",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "n_folds": "folds",
    "kfold": "folds",
    "n_startup_trials": "startup_trials",
}
"""Names that other tools, and people, use."""

_NEAR = 0.75


def meant(
    key: str, legal: Iterable[str], settings: Iterable[str], sections: Mapping[str, Iterable[str]], prefix: str = ""
) -> str:
    """Return `; did you mean ...?` with the full key that was meant, or the legal ones where nothing is close.

    Args:
        key: as it was written, `lr`.
        legal: what may stand in its place.
        settings: names of all settings, which stand in [fixed] or [space].
        sections: keys of each of the other sections.
        prefix: section in which it was written, with a dot, `fixed.`; empty if in none.
    """
    name, here = _ABBREVIATIONS.get(key.lower(), key.lower()), list(legal)
    places = {
        setting: ("fixed", "space") if not prefix.startswith(("fixed", "space")) else (prefix[:-1],)
        for setting in settings
    }
    for section, keys in sections.items():
        for one in keys:
            places[one] = (*places.get(one, ()), section)
    if name in places:
        return _question(places[name], name)
    if get_close_matches(key, here, n=1, cutoff=0.6):
        return did_you_mean(key, here)
    if near := get_close_matches(name, places, n=1, cutoff=_NEAR):
        return _question(places[near[0]], near[0])
    return did_you_mean(key, here)


def check_names(values: object, legal: Iterable[str]) -> None:
    """Raise ValueError for a setting or key that a model does not have, with the nearest one; for its validators."""
    names = set(legal)
    unknown = [key for key in values if key not in names] if isinstance(values, Mapping) else []
    if unknown:
        raise ValueError("; ".join(f"unknown setting {brief(key)}{_nearest(str(key), names)}" for key in unknown))


def _nearest(key: str, legal: Collection[str]) -> str:
    known = _ABBREVIATIONS.get(key.lower())
    return f"; did you mean {known}?" if known in legal else did_you_mean(key, sorted(legal))


def _question(sections: Iterable[str], name: str) -> str:
    return f"; did you mean {' or '.join(f'{section}.{name}' for section in sections)}?"
