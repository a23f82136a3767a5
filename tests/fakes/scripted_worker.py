"""A model worker without a model: it speaks the real protocol and says what its prompt asks for.

The last user turn may hold one instruction word: SLOW-ONCE:<file> (begins and is not answered,
unless the file exists, which it then creates), CRASH (aborts), CRASH-ONCE:<file> (aborts unless
the file exists, which it then creates), HANG, NONSENSE, REFUSE, ESCAPES. Otherwise it says a few
words that depend on the model's path and the seed only.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import sys
import time
from pathlib import Path

from emojudge.engine.child import Channel
from emojudge.engine.protocol import (
    Compared,
    CompareReference,
    DescribeWorker,
    Generate,
    Generated,
    LoadModel,
    LogLikelihood,
    LogLikelihoods,
    Measured,
    Measurement,
    ModelReady,
    Perplexity,
    PerplexityMeasured,
    Recorded,
    RecordReference,
    Score,
    Scored,
    TaskBegan,
    TaskFailed,
    TextDelta,
    TextFrame,
    TokenLikelihood,
    WorkerDescribed,
)
from tests.fakes import scripted_minds

_WORDS = ("I", "am", "here", "with", "you", "and", "that", "sounds", "hard", "tell", "me", "more")
HOSTILE = "\x1b]0;stolen title\x07 \x1b[2J \u202ereversed\u202c [bold red]not markup[/]"


def _say(channel: Channel, command: Generate, path: str) -> Generated:
    draw = random.Random(f"{Path(path).name}:{command.seed}")
    words = [draw.choice(_WORDS) for _ in range(draw.randint(8, 20))]
    # It answers what it is asked, as far as an encoder can see.
    topic = command.messages[-1].content.split()[:12]
    text = " ".join(words) + ". " + " ".join(topic)
    if "ESCAPES" in command.messages[-1].content:
        text = HOSTILE
    channel.send(TextFrame(deltas=(TextDelta(id=command.id, text=text, tokens=len(words)),)))
    return Generated(
        id=command.id,
        text=text,
        finish="end",
        prompt_tokens=10,
        tokens=len(words),
        first_token_seconds=0.01,
        seconds=0.1,
        rendered_sha256=hashlib.sha256(command.model_dump_json().encode()).hexdigest(),
    )


def _measure(command: Measurement, path: str) -> Measured | TaskFailed:
    """Figures that depend on the texts and the model's path only."""
    if "other-vocabulary" in path and isinstance(command, CompareReference):
        return TaskFailed(id=command.id, reason="there is nothing to compare")
    draw = random.Random(f"{Path(path).name}")
    match command:
        case LogLikelihood():
            counts = [len(one.text.split()) for one in command.texts]
            return LogLikelihoods(
                id=command.id,
                texts=tuple(TokenLikelihood(tokens=count, total=-2.0 * count) for count in counts),
            )
        case Perplexity():
            return PerplexityMeasured(
                id=command.id,
                perplexity=20 + draw.random(),
                standard_error=0.5,
                positions=100,
                chunks=1,
            )
        case RecordReference():
            folder = Path(command.folder)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "reference.json").write_text("{}")
            return Recorded(id=command.id, bytes=2)
        case CompareReference():
            return Compared(
                id=command.id,
                mean_kl=draw.random(),
                standard_error=0.01,
                positions=50,
                same_top=0.9,
                all_positions=80,
                first_divergence=tuple(range(len(command.texts))),
            )
        case Score():
            rows = scripted_minds.answer(
                Path(path).stem,
                command.messages,
                command.texts,
                command.suffixes,
                command.options,
            )
            return Scored(
                id=command.id,
                log_probs=tuple(tuple(math.log(one or 1e-12) for one in row) for row in rows),
                prefix_tokens=10,
                reused_tokens=0,
            )
        case DescribeWorker():
            return WorkerDescribed(
                id=command.id,
                load_seconds=0.1,
                load_mode="scripted",
                gpu_offload=False,
                threads=1,
                peak_bytes=1 << 20,
            )
        case _:
            raise AssertionError(command)


def _misbehave(channel: Channel, text: str) -> None:
    for word in text.split():
        if word == "CRASH":
            print("ggml_abort: scripted", file=sys.stderr, flush=True)
            os.abort()
        if word.startswith("CRASH-ONCE:"):
            marker = Path(word.partition(":")[2])
            if not marker.exists():
                marker.touch()
                os.abort()
        if word == "HANG":
            time.sleep(3600)
        if word == "NONSENSE":
            os.write(channel._out.fileno(), b"Segmentation fault (core dumped)\n")


def main() -> None:
    channel = Channel()
    path = ""
    while True:
        command = channel.next_command()
        if isinstance(command, LoadModel):
            path = command.path
            if "unloadable" in path:
                channel.send(TaskFailed(reason="unknown model architecture"))
            else:
                channel.send(
                    ModelReady(
                        context_length=4096,
                        load_seconds=0.0,
                        load_mode="scripted",
                        gpu_offload=False,
                    )
                )
        elif isinstance(command, Generate):
            content = command.messages[-1].content
            channel.send(TaskBegan(id=command.id))
            _misbehave(channel, content)
            if "SLOW-ONCE:" in content:
                marker = Path(content.partition("SLOW-ONCE:")[2].split()[0])
                if not marker.exists():
                    marker.touch()
                    continue
            if "REFUSE" in content:
                channel.send(TaskFailed(id=command.id, reason="the prompt has 9999 tokens"))
            elif "LONG" in content:
                for _ in range(2000):
                    delta = TextDelta(id=command.id, text="word ", tokens=1)
                    channel.send(TextFrame(deltas=(delta,)))
                channel.send(_say(channel, command, path))
            else:
                channel.send(_say(channel, command, path))
        elif isinstance(command, Measurement):
            channel.send(TaskBegan(id=command.id))
            channel.send(_measure(command, path))


if __name__ == "__main__":
    main()
