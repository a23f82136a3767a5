"""The real encoder and a real classifier in their worker: odd texts, long texts, missing models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emojudge.engine.encoder import Encoder
from emojudge.errors import EngineError
from emojudge.judges.emotion_head import EmotionHead
from emojudge.judges.emotion_tracker import HeadTracker, ModelTracker
from emojudge.judges.emotions import EmotionProfile
from emojudge.pipeline.encoders import bundled_encoder

pytestmark = pytest.mark.models
GRIEF = "My dog died this morning. The house is so quiet."
ODD = [
    "",
    "\x00\x1b\u202e",
    "😭💔🐕",
    "今朝、犬が死にました。家がとても静かです。",
    "كلبي مات هذا الصباح",
    "word " * 10_000,
    "x" * 5_000,
    "\ufffd" * 400,
    GRIEF,
]


async def test_odd_texts_have_unit_vectors_and_long_ones_are_read_to_their_end() -> None:
    encoder = Encoder(str(bundled_encoder()), threads=2)
    try:
        long = "I like trains. " * 300
        ends = [long + end for end in ("My dog died this morning. " * 200, "Cake is nice. " * 200)]
        rows = await encoder.embed([*ODD, *ends, GRIEF])
    finally:
        await encoder.close()
    assert rows.shape == (len(ODD) + 3, 384)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-3)
    # The same text in another place and batch is the same but for low-order bits.
    assert rows[-1] @ rows[len(ODD) - 1] > 0.9999
    dog, cake, grief = rows[-3:]
    assert dog @ grief > cake @ grief + 0.1


async def test_the_head_reads_emotions_of_odd_texts_too() -> None:
    encoder = Encoder(str(bundled_encoder()), threads=2)
    try:
        rows = await HeadTracker(encoder, EmotionHead.load()).profiles(ODD)
    finally:
        await encoder.close()
    assert rows.shape == (len(ODD), 28)
    assert not rows[:2].any()
    assert rows[2:].any(axis=1).all()
    profiles = [EmotionProfile(row) for row in rows]
    assert profiles[0].groups["neutral"] == 0
    assert profiles[-1].valence < 0
    assert profiles[-1].groups["sadness"] > profiles[-1].groups["joy"]


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny BERTs of random weights: one that chooses a label, one that allows several."""
    import transformers

    folder = tmp_path_factory.mktemp("classifiers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(bundled_encoder()))
    for name, kind in (("one", None), ("several", "multi_label_classification")):
        config = transformers.BertConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=64,
            id2label={0: "Joy", 1: "SADNESS", 2: "calm"},
            label2id={"Joy": 0, "SADNESS": 1, "calm": 2},
            problem_type=kind,
        )
        transformers.BertForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


async def test_any_text_classifier_gives_its_labels_probabilities(classifiers: Path) -> None:
    sums = {}
    for name in ("one", "several"):
        model = Encoder(str(classifiers / name), threads=1, task="classify")
        try:
            ready = await model.warm_up()
            assert ready.labels == ("Joy", "SADNESS", "calm")
            rows = await ModelTracker(model, name, ready.labels).profiles(ODD)
        finally:
            await model.close()
        assert rows.shape == (len(ODD), 3)
        assert not rows[:2].any()
        assert (rows >= 0).all()
        assert (rows <= 1).all()
        sums[name] = rows[2:].sum(axis=1)
    assert sums["one"] == pytest.approx(np.ones(len(ODD) - 2), abs=1e-4)
    assert not np.allclose(sums["several"], 1)


@pytest.mark.parametrize(
    ("task", "key"),
    [("embed", "judging_config.encoder"), ("classify", "judging_config.emotion_model")],
)
async def test_a_missing_model_names_the_key_to_set(tmp_path: Path, task: str, key: str) -> None:
    (tmp_path / "empty").mkdir()
    model = Encoder(str(tmp_path / "empty"), threads=1, task=task)  # type: ignore[arg-type]
    try:
        with pytest.raises(EngineError, match=key):
            await model.embed(["hello"])
    finally:
        await model.close()
