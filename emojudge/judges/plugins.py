"""Judges and metrics that other packages bring, found by entry points.

A package names them in its metadata:

    [project.entry-points."emojudge.judges"]
    patience = "my_package:Patience"

    [project.entry-points."emojudge.metrics"]
    questions = "my_package:Questions"

and a study names them in its config, ``judging_config.judges[].plugin`` and
``judging_config.metrics``: an installed package changes no study by itself.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from emojudge.domain import Message, Quality, Response, stable_hash
from emojudge.errors import ConfigError
from emojudge.judges.ensemble_member import EnsembleMember, Reading
from emojudge.judges.judge import JudgeTools
from emojudge.judges.own_metrics import OwnMetric
from emojudge.judges.questions import Answer, Figures, NoAnswer, score_figures
from emojudge.judges.rubric import DIGITS

JUDGES, METRICS = "emojudge.judges", "emojudge.metrics"


class JudgePlugin(Protocol):
    """What an entry point of ``emojudge.judges`` makes when it is called without arguments."""

    version: str
    """Count it up when other scores come out for the same texts."""

    def rate(self, situation: Sequence[Message], reply: str) -> Mapping[str, float]:
        """Scores from 1 to 5 by quality; qualities that are left out are not scored."""
        ...


class MetricPlugin(Protocol):
    """What an entry point of ``emojudge.metrics`` makes when it is called without arguments."""

    version: str
    """Count it up when other figures come out for the same texts."""

    def measure(self, responses: Sequence[Response]) -> Mapping[str, float]:
        """Figures, by name, of one candidate's responses to one prompt."""
        ...


def installed(group: str) -> dict[str, EntryPoint]:
    """What is installed of a group, by name."""
    return {one.name: one for one in entry_points(group=group)}


def make(group: str, name: str) -> Any:
    """A plug-in. Raises ConfigError when there is none of this name, or it cannot be made."""
    known = installed(group)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2)
        there = f"There are {', '.join(sorted(known))}." if known else "None is installed."
        raise ConfigError(
            f"The config names {name!r} of {group}, which no installed package brings. "
            f"{f'Near: {near[0]}. ' if near else ''}{there} Install its package, or take the name "
            "out of the config."
        )
    try:
        return known[name].load()()
    except Exception as problem:
        raise ConfigError(
            f"The plug-in {name!r} of {group} ({known[name].value}) cannot be made: "
            f"{type(problem).__name__}: {problem}. Mend it, or take it out of the config."
        ) from problem


def _require(plugin: object, kind: str, name: str, method: str) -> None:
    """Raises ConfigError when a plug-in is not what its group is for."""
    if not callable(getattr(plugin, method, None)) or not hasattr(plugin, "version"):
        raise ConfigError(f"The {kind} plug-in {name!r} needs a `version` and a method `{method}`.")


class PluginJudge(EnsembleMember):
    """A judge of the ensemble that is a plug-in. It sits the exam as everybody does."""

    def __init__(self, title: str, weight: float, plugin: JudgePlugin, name: str) -> None:
        """``name`` is the entry point's."""
        super().__init__(title, weight, "–", f"plug-in {name}")
        _require(plugin, "judge", name, "rate")
        self._plugin = plugin
        self._key = stable_hash(["plugin", name, plugin.version])

    @property
    def key(self) -> str:
        """See :class:`EnsembleMember`."""
        return self._key

    async def read(
        self, readings: Sequence[Reading], qualities: Sequence[Quality], tools: JudgeTools
    ) -> list[Figures | NoAnswer]:
        """See :class:`EnsembleMember`; in a thread, because a plug-in may take its time."""
        return await asyncio.to_thread(lambda: [self._read(one, qualities) for one in readings])

    def _read(self, reading: Reading, qualities: Sequence[Quality]) -> Figures | NoAnswer:
        try:
            scores = {
                str(name): float(value)
                for name, value in self._plugin.rate(reading.situation, reading.text).items()
            }
        except Exception as problem:  # noqa: BLE001 - somebody else's code fails only its item
            return NoAnswer(f"{self.model} failed: {type(problem).__name__}: {problem}")
        most = float(DIGITS[-1])
        wrong = {name: value for name, value in scores.items() if not 1 <= value <= most}
        if wrong:
            name, value = next(iter(wrong.items()))
            return NoAnswer(f"{self.model} gave {name} = {value}; scores are from 1 to {most:g}")
        nothing = score_figures(Answer(((),) * len(qualities)), qualities, 0)
        given = {one.value: scores[one] for one in qualities if one in scores}
        return {**nothing, **given, **{f"{name}_mass": 1.0 for name in given}}


def metric(name: str) -> OwnMetric:
    """A metric plug-in's judge. Raises ConfigError."""
    plugin: MetricPlugin = make(METRICS, name)
    _require(plugin, "metric", name, "measure")
    return OwnMetric(
        plugin.measure, lambda: ["plugin", plugin.version], f"the metric {name}", plugin=name
    )


def judge(title: str, weight: float, name: str) -> PluginJudge:
    """A judge plug-in as a member of the ensemble. Raises ConfigError."""
    return PluginJudge(title, weight, make(JUDGES, name), name)
