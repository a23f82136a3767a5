"""The emotions of GoEmotions: their names, their groups, and what a text's probabilities say.

Labels, their Ekman groups and their sentiments are those of Demszky et al. 2020, "GoEmotions: A
Dataset of Fine-Grained Emotions", arXiv 2005.00547; its authors publish the groups beside the data
as ``ekman_mapping.json`` and the sentiments as ``sentiment_mapping.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float64]

LABELS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion",
    "curiosity", "desire", "disappointment", "disapproval", "disgust", "embarrassment",
    "excitement", "fear", "gratitude", "grief", "joy", "love", "nervousness", "optimism", "pride",
    "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
"""The 27 emotions and neutral, in the data's index order."""
NEUTRAL = LABELS.index("neutral")

EKMAN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "anger": ("anger", "annoyance", "disapproval"),
        "disgust": ("disgust",),
        "fear": ("fear", "nervousness"),
        "joy": (
            "joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism",
            "relief", "pride", "admiration", "desire", "caring",
        ),
        "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
        "surprise": ("surprise", "realization", "confusion", "curiosity"),
        "neutral": ("neutral",),
    }
)  # fmt: skip
"""Ekman's six emotions and neutral; every label is in exactly one."""
GROUPS = tuple(EKMAN)

SENTIMENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "positive": (
            "amusement", "excitement", "joy", "love", "desire", "optimism", "caring", "pride",
            "admiration", "gratitude", "relief", "approval",
        ),
        "negative": (
            "fear", "nervousness", "remorse", "embarrassment", "disappointment", "sadness",
            "grief", "disgust", "anger", "annoyance", "disapproval",
        ),
        "ambiguous": ("realization", "surprise", "curiosity", "confusion"),
    }
)  # fmt: skip
"""The sentiment of each label; neutral has none."""


def _columns(names: tuple[str, ...]) -> list[int]:
    return [LABELS.index(name) for name in names]


_GROUP_COLUMNS = tuple(_columns(EKMAN[group]) for group in GROUPS)
_POSITIVE = _columns(SENTIMENTS["positive"])
_NEGATIVE = _columns(SENTIMENTS["negative"])


def group_probabilities(probabilities: npt.NDArray[Any]) -> Probabilities:
    """The probability of each of ``GROUPS``, shape (..., 7), from labels' of shape (..., 28).

    The noisy or: a group is absent only where each of its labels is, 1 − Π (1 − p), which treats
    labels as independent.
    """
    absent = 1.0 - np.asarray(probabilities, dtype=np.float64)
    return np.stack([1.0 - absent[..., at].prod(axis=-1) for at in _GROUP_COLUMNS], axis=-1)


def _shares(part: Probabilities, probabilities: Probabilities) -> Probabilities:
    """Of the sum of all labels; 0 where that is 0."""
    total = probabilities.sum(axis=-1)
    shares: Probabilities = np.where(total > 0, part / np.where(total > 0, total, 1.0), 0.0)
    return shares


def valences(probabilities: npt.NDArray[Any]) -> Probabilities:
    """(positive − negative) / sum of all, −1..1, shape (...), from labels' (..., 28)."""
    own = np.asarray(probabilities, dtype=np.float64)
    difference = own[..., _POSITIVE].sum(axis=-1) - own[..., _NEGATIVE].sum(axis=-1)
    return np.clip(_shares(difference, own), -1.0, 1.0)


def intensities(probabilities: npt.NDArray[Any]) -> Probabilities:
    """The share of the sum that is emotion and not neutral, 0..1, shape (...), from (..., 28)."""
    own = np.asarray(probabilities, dtype=np.float64)
    return np.clip(_shares(own.sum(axis=-1) - own[..., NEUTRAL], own), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class EmotionProfile:
    """What the labels' probabilities of one text, or means of several texts', say of it.

    ``probabilities`` has shape (28,), each 0..1, in the order of ``LABELS``; it is copied and made
    read-only. Labels may be present together, so the sum is not 1. Raises ValueError for another
    shape or a value outside 0..1.
    """

    probabilities: Probabilities

    def __post_init__(self) -> None:
        own = np.array(self.probabilities, dtype=np.float64)
        if own.shape != (len(LABELS),):
            raise ValueError(
                f"a profile has {len(LABELS)} probabilities, not the shape {own.shape}"
            )
        if not ((own >= 0) & (own <= 1)).all():
            raise ValueError("a profile's probabilities lie between 0 and 1")
        own.flags.writeable = False
        object.__setattr__(self, "probabilities", own)

    @property
    def groups(self) -> dict[str, float]:
        """The probability, 0..1, of each Ekman group; see :func:`group_probabilities`."""
        found = group_probabilities(self.probabilities)
        return {group: float(value) for group, value in zip(GROUPS, found, strict=True)}

    @property
    def valence(self) -> float:
        """From −1 (all negative) to 1; see :func:`valences`."""
        return float(valences(self.probabilities))

    @property
    def intensity(self) -> float:
        """From 0 (neutral) to 1; see :func:`intensities`."""
        return float(intensities(self.probabilities))

    def named(self, thresholds: npt.NDArray[Any]) -> tuple[str, ...]:
        """Labels whose probability reaches its threshold, shape (28,); likeliest first."""
        present = np.flatnonzero(self.probabilities >= thresholds)
        order = present[np.argsort(-self.probabilities[present], kind="stable")]
        return tuple(LABELS[index] for index in order)
