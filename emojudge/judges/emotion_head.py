"""The fitted head: sentence embeddings in, probabilities of the 28 labels of GoEmotions out.

It is a perceptron with one hidden layer, ``sigmoid(relu(x W₁ + b₁) W₂ + b₂)``, which is an
ensemble of such perceptrons whose logits are averaged, written as one. The file is made by
``scripts/emotion_head.py``; ``emojudge/data/emotion_head.md`` says from what, and how good it is.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from emojudge.errors import EngineError
from emojudge.judges.emotions import GROUPS, LABELS, Probabilities, group_probabilities
from emojudge.judges.judge import Vectors

HEAD_NAME = "emotion_head.npz"
FORMAT = 1
SAME_ENCODER_COSINE = 0.999
"""Rounding in another machine's encoder stays far above this; another encoder far below."""
_ROWS_AT_ONCE = 2048


class _Damaged(Exception):
    """What is wrong with a head's file."""


def shipped_head() -> bytes:
    """The shipped head, as a file's content."""
    return resources.files("emojudge").joinpath("data", HEAD_NAME).read_bytes()


def _arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        # Checksums come first, because numpy trips over a damaged header in many ways.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise _Damaged(f"its part {damaged} does not match its checksum")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (EOFError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as wrong:
        raise _Damaged(f"it is not a whole .npz file ({wrong})") from wrong


def _array(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    found = arrays.get(name)
    if found is None or found.shape != shape or found.dtype.kind != "f":
        raise _Damaged(f"{name} should hold {shape} numbers")
    if not np.isfinite(found).all():
        raise _Damaged(f"{name} holds numbers that are not finite")
    return found


def _about(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    try:
        about = json.loads(arrays["about"].tobytes())
    except (KeyError, ValueError) as wrong:
        raise _Damaged("its description is missing or not JSON") from wrong
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise _Damaged(f"its format is not {FORMAT}")
    if about.get("labels") != list(LABELS) or about.get("groups") != list(GROUPS):
        raise _Damaged("its labels are not those of this version")
    for key in ("encoder", "probe", "attribution"):
        if not isinstance(about.get(key), str):
            raise _Damaged(f"its description has no {key}")
    if not isinstance(about.get("settings"), dict):
        raise _Damaged("its description has no settings")
    return about


@dataclass(frozen=True, eq=False)
class EmotionHead:
    """A head as it was fitted.

    ``thresholds`` (28,) and ``group_thresholds`` (7,): from these probabilities on, a label or a
    group counts as present. ``encoder`` is the one it was fitted for, and ``probe`` a sentence
    whose embedding by that encoder it knows. ``fingerprint`` is 16 hex digits of the file's
    SHA-256. ``settings`` say how it was fitted.
    """

    encoder: str
    probe: str
    attribution: str
    settings: Mapping[str, Any]
    fingerprint: str
    thresholds: Probabilities
    group_thresholds: Probabilities
    _probe_vector: Vectors
    _layers: tuple[Vectors, Vectors, Vectors, Vectors]

    @classmethod
    def load(cls) -> EmotionHead:
        """The shipped head. Raises EngineError when its file is missing or damaged."""
        try:
            content = shipped_head()
        except OSError as problem:
            raise EngineError(
                f"The emotion head {HEAD_NAME} cannot be read: {problem}. Install emojudge again."
            ) from problem
        return cls.parse(content, HEAD_NAME)

    @classmethod
    def parse(cls, content: bytes, name: str) -> EmotionHead:
        """A head from a file's content; ``name`` is for messages. Raises EngineError."""
        try:
            arrays = _arrays(content)
            about = _about(arrays)
            probe = arrays.get("probe")
            bias = arrays.get("hidden_bias")
            if probe is None or probe.ndim != 1 or bias is None or bias.ndim != 1:
                raise _Damaged("its probe or its hidden layer is missing")
            inputs, hidden, outputs = len(probe), len(bias), len(LABELS)
            shapes = {
                "hidden_weights": (inputs, hidden),
                "hidden_bias": (hidden,),
                "output_weights": (hidden, outputs),
                "output_bias": (outputs,),
            }
            first, second, third, fourth = (
                _array(arrays, key, shape).astype(np.float32) for key, shape in shapes.items()
            )
            return cls(
                encoder=about["encoder"],
                probe=about["probe"],
                attribution=about["attribution"],
                settings=about["settings"],
                fingerprint=hashlib.sha256(content).hexdigest()[:16],
                thresholds=_array(arrays, "thresholds", (outputs,)).astype(np.float64),
                group_thresholds=_array(arrays, "group_thresholds", (len(GROUPS),)).astype(
                    np.float64
                ),
                _probe_vector=_array(arrays, "probe", (inputs,)).astype(np.float32),
                _layers=(first, second, third, fourth),
            )
        except _Damaged as problem:
            raise EngineError(
                f"The emotion head {name} cannot be used: {problem}. Install emojudge again."
            ) from problem

    @property
    def labels(self) -> tuple[str, ...]:
        """The 28 labels, in the order of columns."""
        return LABELS

    @property
    def dimensions(self) -> int:
        """How long an embedding is."""
        return len(self._probe_vector)

    def matches(self, vector: npt.NDArray[Any]) -> bool:
        """Whether this is the embedding of ``probe`` by the encoder that the head was fitted for.

        ``vector`` has any shape and length; the cosine with the expected one decides.
        """
        if vector.shape != self._probe_vector.shape:
            return False
        own, given = self._probe_vector.astype(np.float64), vector.astype(np.float64)
        lengths = float(np.linalg.norm(own) * np.linalg.norm(given))
        return lengths > 0 and float(own @ given) / lengths > SAME_ENCODER_COSINE

    def probabilities(self, embeddings: npt.NDArray[Any]) -> Probabilities:
        """The labels' probabilities, shape (n, 28), each 0..1.

        ``embeddings`` are unit vectors of shape (n, ``dimensions``). Raises ValueError for
        another shape.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimensions:
            raise ValueError(
                f"embeddings have the shape (n, {self.dimensions}), not {embeddings.shape}"
            )
        hidden_weights, hidden_bias, output_weights, output_bias = self._layers
        logits = np.empty((len(embeddings), len(LABELS)), dtype=np.float64)
        # The hidden layer of all rows at once would take hundreds of megabytes.
        for start in range(0, len(embeddings), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            hidden = embeddings[rows].astype(np.float32) @ hidden_weights
            hidden += hidden_bias
            np.maximum(hidden, 0, out=hidden)
            logits[rows] = hidden @ output_weights + output_bias
        # Written with tanh, the logistic function cannot overflow.
        result: Probabilities = 0.5 * (1.0 + np.tanh(0.5 * logits))
        return result

    def group_probabilities(self, probabilities: npt.NDArray[Any]) -> Probabilities:
        """The Ekman groups' probabilities, (n, 7), from the labels' (n, 28)."""
        return group_probabilities(probabilities)
