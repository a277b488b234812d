"""What the plots say of a trial under the pointer; all text that comes from the study is escaped."""

from __future__ import annotations

import html
import textwrap

import pandas as pd

from phashopt.figures.labels import percent
from phashopt.figures.view import StudyView


def trial_hover(view: StudyView) -> pd.Series[str]:
    """One line a trial: its number and accuracy."""
    accuracy = view.numbers("value")
    lines = {number: f"<b>trial {number}</b>, {percent(accuracy[number])}" for number in accuracy.index}
    return pd.Series(lines, index=accuracy.index, dtype=str)


def full_hover(view: StudyView) -> pd.Series[str]:
    """Number, accuracy, configuration and decision of each trial; text from the study is escaped."""
    heads, decisions = trial_hover(view), view.words("decision")
    columns = {name: view.words(name) for name in [*view.widths, *view.settings]}
    texts = []
    for number in heads.index:
        configuration = _configuration({name: column[number] for name, column in columns.items()}, view.widths)
        texts.append("<br>".join([heads[number], wrapped(configuration), wrapped(decisions[number])]))
    return pd.Series(texts, index=heads.index, dtype=str)


def wrapped(text: str) -> str:
    """Escaped, in lines that fit a hover box."""
    return "<br>".join(html.escape(line) for line in textwrap.wrap(text, 72))


def _configuration(params: dict[str, str], widths: list[str]) -> str:
    """`24-40 kernels, epochs 8, learning_rate 0.05`; what is unset is left out."""
    kernels = ["-".join(_short(params[name]) or "?" for name in widths) + " kernels"] if widths else []
    return ", ".join(
        kernels + [f"{name} {_short(text)}" for name, text in params.items() if text and name not in widths]
    )


def _short(value: str) -> str:
    """`24.0` and `0.0512345` as 24 and 0.05123; words as they are."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value
