"""What every plot of the report is."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

MOST_ROWS = 40
"""A plot with more rows than this would be longer than anybody scrolls; the tables have all."""


@dataclass(frozen=True)
class Figure:
    """A plot, and what it shows with n, interval and settings."""

    svg: Markup
    caption: str
