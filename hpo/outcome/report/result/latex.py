"""The result on the test set as a LaTeX table, for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.outcome.final import Final
from hpo.outcome.judgement import Judgement
from hpo.statistics.intervals import Estimate
from hpo.study.catalogue import Dataset
from hpo.study.choices import loss_family
from hpo.study.published import published
from hpo.text import visible

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    # Quotes and dashes that fonts or ligatures would change.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': r"\textquotedbl{}",
    "|": r"\textbar{}",
}


def table(dataset: Dataset, judgement: Judgement, final: Final) -> str:
    """Return a `table` environment in the style of booktabs: winner, other families, baselines, published values.

    It needs `\\usepackage{booktabs}` and `\\usepackage[T1]{fontenc}`.
    """
    winner = judgement.entries[0].name
    own = [
        [
            escape(judgement.shown(entry.name)) + (r" \emph{(baseline)}" if entry.is_reference else ""),
            escape(loss_family(str(final.result.entry(entry.name).config.get("loss", "")))),
            _bold(_number(entry.mean), entry.name == winner),
            _interval(entry.interval),
            _number(entry.accuracy.value),
            _interval(entry.accuracy),
        ]
        for entry in judgement.entries
    ]
    known = [[escape(one.method), "", _number(one.auc), "--", "--", "--"] for one in published(dataset.name)]
    header = ["Configuration", "Loss family", "AUC", r"95\,\% CI", "Accuracy", r"95\,\% CI"]
    lines = [
        "% Made by `hpo report --latex`; needs booktabs, and fontenc with T1.",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(_caption(dataset, judgement, final))}}}",
        rf"  \label{{tab:hpo-{_label(dataset.name)}}}",
        r"  \begin{tabular}{llrcrc}",
        r"    \toprule",
        _row(header),
        r"    \midrule",
        *map(_row, own),
        *([r"    \midrule", r"    \multicolumn{6}{l}{\emph{Published}} \\", *map(_row, known)] if known else []),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return a text from outside as LaTeX shows it: no command, and in one line."""
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(visible(text).split()))


def _caption(dataset: Dataset, judgement: Judgement, final: Final) -> str:
    seeds, winner = final.result.protocol.seeds, judgement.entries[0].name
    networks = f"mean of {seeds} networks" if seeds > 1 else "one network"
    again = f" The test set had been read before: {final.result.reason}." if final.result.reason else ""
    return (
        f"Test set of {dataset.official_name} ({len(final.labels)} samples): {networks} of each configuration. "
        f"{judgement.shown(winner)} was chosen {final.result.entry(winner).chosen}. "
        "Intervals are over new seeds and test samples, or over test samples alone if longer; thresholds of accuracy "
        f"were chosen without the test set.{again}"
    )


def _row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"


def _interval(found: Estimate) -> str:
    return f"[{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _bold(text: str, is_bold: bool) -> str:
    return rf"\textbf{{{text}}}" if is_bold else text


def _label(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
