"""No two bundled prompts say the same in other words, by the encoder that judges likeness."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from emojudge.domain import Message
from emojudge.engine.encoder import Encoder
from emojudge.pipeline.encoders import bundled_encoder
from emojudge.prompts import bundled_prompts, parse_prompts

pytestmark = pytest.mark.models

# The closest two are at .60 (someone's mother, a phone, being heard). A few words changed
# gives about .9, and a retelling with another animal, person and day still .69.
TOO_ALIKE = 0.65
BUNDLED = parse_prompts(bundled_prompts().decode(), "bundled")
IDS = [prompt.id for prompt in BUNDLED]
PARAPHRASES = {
    "dialogue-015-broom-salute": "The old lady downstairs sweeps my steps each morning before I "
    "wake. I caught her at it yesterday. She saluted me with her broom.",
    "crisis-018-stupid-and-mine": "My dog was hit by a van. He was twelve, and daft, and mine.",
    "confession-019-degree-on-cv": "Eleven years ago I put a degree on my CV that I haven't got. "
    "Now I head the department, and a nice girl from marketing needs the year I graduated for our "
    "website by Friday.",
}
Vectors = npt.NDArray[np.float32]


def conversation(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


TEXTS = {
    "conversation": [conversation(prompt.messages) for prompt in BUNDLED],
    "last turn": [prompt.messages[-1].content for prompt in BUNDLED],
}


async def embedded(texts: Sequence[str]) -> Vectors:
    encoder = Encoder(str(bundled_encoder()), threads=2)
    try:
        return await encoder.embed(texts)
    finally:
        await encoder.close()


@pytest.fixture(scope="module")
def vectors() -> dict[str, Vectors]:
    """Unit vectors of all texts, by kind, from one encoder process."""
    kinds = {**TEXTS, "paraphrase": list(PARAPHRASES.values())}
    rows = asyncio.run(embedded([text for texts in kinds.values() for text in texts]))
    ends = np.cumsum([len(texts) for texts in kinds.values()])[:-1]
    return dict(zip(kinds, np.split(rows, ends), strict=True))


def closest(rows: Vectors) -> tuple[float, int, int]:
    """The largest cosine between two different rows, and which two."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    one, other = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
    return float(cosines[one, other]), int(one), int(other)


@pytest.mark.parametrize("kind", list(TEXTS))
def test_no_two_prompts_are_near_duplicates(vectors: dict[str, Vectors], kind: str) -> None:
    cosine, one, other = closest(vectors[kind])
    assert cosine < TOO_ALIKE, f"{IDS[one]} and {IDS[other]}: {cosine:.3f}"


@pytest.mark.parametrize("kind", list(TEXTS))
@pytest.mark.parametrize("name", list(PARAPHRASES))
def test_a_paraphrase_would_be_found(vectors: dict[str, Vectors], kind: str, name: str) -> None:
    planted = vectors["paraphrase"][list(PARAPHRASES).index(name)]
    cosine, one, other = closest(np.vstack([vectors[kind], planted]))
    assert (one, other) == (IDS.index(name), len(IDS))
    assert cosine > TOO_ALIKE
