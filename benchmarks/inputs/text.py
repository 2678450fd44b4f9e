"""Broken study files, `--set`, addresses and arguments."""

from __future__ import annotations

from pathlib import Path

import click
from hypothesis import strategies as st

from benchmarks.inputs.tally import Tally
from hpo.cli.main import cli
from hpo.study.config import settings
from hpo.study.sections import SECTIONS

NASTY = (
    *("", " ", "-x", "--", "-", "[/b]", "[red]x", "a'b", 'a"b', "$(id)", "`id`", "../..", "/", "~", "~nouser/x", "."),
    *("\x1b[2J", "\x07", "\u202ename", "\u200d", "ä", "日本", "😀", "a\nb", "a\tb", "\udcff", "%ff", "%00", "?", "*"),
    *("0", "-1", "1", "1e400", "nan", "inf", "99999999999999999999", "9" * 5000, "0x" + "f" * 4000, "true", "null"),
    *("a" * 300, "b" * 7000, "[" * 2000, "{" * 500, "<script>alert(1)</script>", "1979-05-27", "²", "none", "auto"),
    *("/dev/null", "/dev/zero", "/etc", "/proc/self/mem", "@/dev/zero", "@nothing", "sqlite:///x/y", "'", "\\"),
)
"""Words that break something somewhere."""

VALUES = (
    *("1", "-1", "0", "1e400", "nan", "-inf", "true", '"x"', "[]", "{}", "[[]]", "1979-05-27", "07:32:00", '"\\u0000"'),
    *("9" * 5000, "0x" + "f" * 4500, "-0x" + "f" * 10, "[" * 1500, "[" * 300 + "]" * 300, "{a={b={c=1}}}", "''''", '"'),
    *(
        "[1, 1]",
        '["a", 1]',
        "[nan]",
        "[0x" + "f" * 4500 + "]",
        '["' + "z" * 5000 + '"]',
        "[true, false]",
        "1_000",
        "+5",
    ),
    *('["sgd"]', "0.5", "[0.1, 0.2]", '"aucm_v1"', '["aucm_v1", "cross_entropy"]', '"\\ud83d\\ude00"', "", " "),
)
"""Values of TOML, legal and not."""

_WORDS = st.sampled_from(NASTY) | st.text(max_size=20).filter(lambda text: "\0" not in text)
_NAMES = st.sampled_from(
    (*settings(), *SECTIONS, "dataset", "fixed", "space", "low", "high", "log", "choices", "plan", "margn", "trials")
)
_KEYS = st.lists(_NAMES | st.sampled_from(tuple(name for model in SECTIONS.values() for name in model.model_fields)),
                 min_size=1, max_size=4).map(".".join)  # fmt: skip
_VALUES = st.sampled_from(VALUES) | st.text(max_size=10)

_ENTRIES = st.tuples(st.sampled_from(("low", "high", "log", "choices")), _VALUES).map(" = ".join)
_SPACES = st.tuples(st.sampled_from(tuple(settings())), st.lists(_ENTRIES, max_size=3)).map(
    lambda pair: "\n".join((f"[space.{pair[0]}]", *pair[1]))
)

study_files = st.lists(
    _SPACES
    | st.tuples(_KEYS, _VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}")
    | _KEYS.map(lambda key: f"[{key}]")
    | st.text(max_size=20),
    max_size=12,
).map(lambda lines: "\n".join(('dataset = "digits"', *lines)))
"""Texts of study files, most of them no TOML."""

overrides = st.lists(st.tuples(_KEYS, _VALUES).map("=".join), min_size=1, max_size=4) | st.lists(_WORDS, min_size=1)
"""Values of several `--set`."""

_PARTS = st.sampled_from((*NASTY, "u", "127.0.0.1", "localhost", "5432", "d", "test"))
addresses = (
    st.builds(
        "{}://{}:{}@{}:{}/{}?{}={}".format,
        st.sampled_from(("postgresql", "mysql", "mariadb", "sqlite", "postgres", "oracle", "x+y", "")),
        _PARTS, _PARTS, st.sampled_from(("127.0.0.1", "h" * 300, "a..b", "[::1]", "[", "-", "é", "")),
        st.sampled_from(("9", "", "x", "-1", "99999", "²", "1" * 5000)),
        _PARTS,
        st.sampled_from(("nonsense", "charset", "ssl_ca", "connect_timeout", "timeout", "plugin", "sslmode")),
        _PARTS,
    )
    | st.builds("sqlite:///{}{}".format, _PARTS, _PARTS)
    | _WORDS
)  # fmt: skip
"""Addresses of databases; none reaches a server."""

COMMANDS = (
    *(
        "status",
        "trials",
        "best",
        "check",
        "settings",
        "data list",
        "data verify",
        "db check",
        "db backup",
        "db restore",
    ),
    *("db copy", "db upgrade", "slurm script", "slurm presets", "completion", "stop", "export", "report", "confirm"),
    *(
        "ablate",
        "finalize",
        "replay",
        "studies",
        "rename",
        "delete --yes",
        "launch --on none",
        "launch --on slurm --dry-run",
        "predict",
    ),
)
"""Commands that end by themselves, also when their arguments happen to be good."""


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Make a command with options of its own and values that break something."""
    words = draw(st.sampled_from(COMMANDS)).split()
    command = _find(words)
    line = list(words)
    options = [one for one in command.params if isinstance(one, click.Option) and one.name not in ("watch", "on")]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else ():
        line += [option.opts[0]] if option.is_flag else [option.opts[0], draw(_WORDS)]
    arguments = sum(isinstance(one, click.Argument) for one in command.params)
    for _ in range(draw(st.integers(max(0, arguments - 1), arguments + 1))):
        line.append(draw(_WORDS | st.just("digits")))
    return line


def _find(words: list[str]) -> click.Command:
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.commands[word]
    return command


def check_file(tally: Tally, text: str, folder: Path) -> None:
    """Check a study file."""
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    tally.call(["check", str(path)], text)


def check_overrides(tally: Tally, values: list[str]) -> None:
    """Check a good study file with `--set`."""
    study = Path(__file__).parents[2] / "studies" / "digits.toml"
    tally.call(["check", str(study), *(word for value in values for word in ("--set", value))])


def try_address(tally: Tally, address: str) -> None:
    """Look at a study in a database, once by an option, once by the environment."""
    tally.call(["status", "digits", "--storage", address])
    if "\0" not in address and address != "-":
        tally.call(["db", "check"], HPO_STORAGE=address)
