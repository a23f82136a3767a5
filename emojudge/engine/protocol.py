"""What the app and its worker processes say to each other: one JSON object a line.

Commands go to a worker's stdin, events come from its stdout. A worker ends when its stdin closes.
Text travels in frames, one every 80 ms and one whenever a text is finished, each with the deltas of
all running sequences.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from emojudge.domain import FinishReason, Message, Sampling
from emojudge.errors import EngineError
from emojudge.frozen import Frozen

FRAME_SECONDS = 0.08


class LoadModel(Frozen):
    """Load one GGUF; answered by ModelReady or TaskFailed. ``template`` None: the file's own.

    ``batch_width`` sequences decode together. ``context_length`` bounds each of them, in tokens;
    None means what the model was made for. Memory is taken for the longest prompt, not for this.
    ``check_tensors`` fails on NaN and Inf in the weights, at the price of looking at all of them.
    """

    kind: Literal["load"] = "load"
    path: str
    batch_width: int = 1
    context_length: int | None = None
    threads: int
    gpu_layers: int | None = None
    main_gpu: int = 0
    tensor_split: tuple[float, ...] | None = None
    template: str | None = None
    check_tensors: bool = False


class Generate(Frozen):
    """Answer a conversation; followed by TaskBegan, TextFrames, then Generated or TaskFailed.

    While there are ``urgent`` ones, the others wait.
    """

    kind: Literal["generate"] = "generate"
    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    deadline_seconds: float
    urgent: bool = False


class Cancel(Frozen):
    """Stop a task; it is answered by TaskFailed with ``cancelled``, unless it is over already."""

    kind: Literal["cancel"] = "cancel"
    id: str


class Prioritise(Frozen):
    """Make a text urgent that was sent as one that is not."""

    kind: Literal["prioritise"] = "prioritise"
    id: str


class Hold(Frozen):
    """Work on nothing but urgent texts until told otherwise; another model needs the machine."""

    kind: Literal["hold"] = "hold"
    held: bool


class UseThreads(Frozen):
    """Compute with so many threads from now on; another model began or ceased to work."""

    kind: Literal["use_threads"] = "use_threads"
    threads: int = Field(ge=1)


class Score(Frozen):
    """Read off probabilities without generating; answered by Scored or TaskFailed.

    The conversation is evaluated once, and only from where it differs from the last call's; each
    suffix begins the answer, and branches from there. ``options`` are what may follow a suffix:
    texts that differ in one token. ``texts`` stand where the messages hold a mark (see
    :mod:`emojudge.engine.fitting`), in order; where all is longer than the context, the longest of
    them is cut in its middle.
    """

    kind: Literal["score"] = "score"
    id: str
    messages: tuple[Message, ...]
    texts: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = Field(min_length=1)
    options: tuple[str, ...] = Field(min_length=1)


class GivenText(Frozen):
    """A text as the answer to a conversation."""

    messages: tuple[Message, ...]
    text: str


class LogLikelihood(Frozen):
    """How probable given texts are, token by token; answered by LogLikelihoods or TaskFailed."""

    kind: Literal["log_likelihood"] = "log_likelihood"
    id: str
    texts: tuple[GivenText, ...]


class Perplexity(Frozen):
    """Perplexity of a plain text as llama-perplexity has it; answered by PerplexityMeasured."""

    kind: Literal["perplexity"] = "perplexity"
    id: str
    text: str
    chunk_tokens: int = Field(default=512, ge=8)
    most_chunks: int = Field(default=64, ge=1)


class RecordReference(Frozen):
    """Keep this model's predictions at a seeded sample of positions; answered by Recorded."""

    kind: Literal["record_reference"] = "record_reference"
    id: str
    texts: tuple[GivenText, ...]
    folder: str
    most_positions: int = Field(default=4096, ge=1, le=4096)
    seed: int


class CompareReference(Frozen):
    """Compare this model's predictions with recorded ones; answered by Compared."""

    kind: Literal["compare_reference"] = "compare_reference"
    id: str
    texts: tuple[GivenText, ...]
    folder: str


class DescribeWorker(Frozen):
    """How the model was loaded and what memory it took so far; answered by WorkerDescribed."""

    kind: Literal["describe_worker"] = "describe_worker"
    id: str


Measurement = (
    Score | LogLikelihood | Perplexity | RecordReference | CompareReference | DescribeWorker
)


class LoadEncoder(Frozen):
    """Load what turns texts into numbers; answered by EncoderReady or TaskFailed.

    ``embed`` loads a sentence-transformers model, ``classify`` a Hugging Face text classifier.
    """

    kind: Literal["load_encoder"] = "load_encoder"
    name: str
    threads: int
    task: Literal["embed", "classify"] = "embed"


class Embed(Frozen):
    """Turn texts into rows: unit vectors, or a classifier's probabilities.

    Answered by Embedded or TaskFailed.
    """

    kind: Literal["embed"] = "embed"
    id: str
    texts: tuple[str, ...]


class Quantize(Frozen):
    """Quantize a GGUF; answered by QuantizeProgress events, then Quantized or TaskFailed."""

    kind: Literal["quantize"] = "quantize"
    source: str
    target: str
    type: str
    threads: int
    imatrix: str | None = None


class Bench(Frozen):
    """Time this machine against its own limits; answered by BenchProgress, then BenchDone.

    ``conversations`` are the prompts. ``questions`` are those of a judge about some responses,
    ``json_questions`` ask for the same in one JSON object with ``json_keys``.
    """

    kind: Literal["bench"] = "bench"
    path: str
    threads: int
    gpu_layers: int | None = None
    widths: tuple[int, ...]
    repetitions: int = Field(ge=1)
    tokens: int = Field(ge=8)
    conversations: tuple[tuple[Message, ...], ...] = Field(min_length=10)
    questions: tuple[Score, ...] = Field(min_length=2)
    json_questions: tuple[tuple[Message, ...], ...] = Field(min_length=2)
    json_keys: tuple[str, ...] = Field(min_length=1)


Command = Annotated[
    LoadModel
    | Generate
    | Cancel
    | Prioritise
    | Hold
    | UseThreads
    | Measurement
    | LoadEncoder
    | Embed
    | Quantize
    | Bench,
    Field(discriminator="kind"),
]


class ModelReady(Frozen):
    """The model answers from now on. ``context_length`` is the most tokens of one sequence."""

    event: Literal["model_ready"] = "model_ready"
    context_length: int
    load_seconds: float
    load_mode: str
    gpu_offload: bool


class Sandboxed(Frozen):
    """A sandboxed worker has put its limits on; ``network_cut`` where the system allowed it."""

    event: Literal["sandboxed"] = "sandboxed"
    network_cut: bool


class TaskBegan(Frozen):
    """A task is being worked on from now; what ends the worker may be its doing."""

    event: Literal["began"] = "began"
    id: str


class TextDelta(Frozen):
    """New text of one sequence: complete UTF-8, never half a character."""

    id: str
    text: str
    tokens: int = 0


class TextFrame(Frozen):
    """The deltas since the last frame; without any it says that the worker lives."""

    event: Literal["frame"] = "frame"
    deltas: tuple[TextDelta, ...]


class Generated(Frozen):
    """A finished response; ``text`` is whole, its deltas add up to it."""

    event: Literal["generated"] = "generated"
    id: str
    text: str
    finish: FinishReason
    prompt_tokens: int
    tokens: int
    first_token_seconds: float
    seconds: float
    rendered_sha256: str
    batch_width: int = 1


class Scored(Frozen):
    """Natural log-probabilities, a row per suffix and a column per option.

    ``left_out`` characters of the texts had no room in the context.
    """

    event: Literal["scored"] = "scored"
    id: str
    log_probs: tuple[tuple[float, ...], ...]
    prefix_tokens: int
    reused_tokens: int
    left_out: int = 0


class TokenLikelihood(Frozen):
    """``total`` is the natural log-likelihood of a text of ``tokens`` tokens."""

    tokens: int
    total: float


class LogLikelihoods(Frozen):
    """In the order of the texts."""

    event: Literal["log_likelihoods"] = "log_likelihoods"
    id: str
    texts: tuple[TokenLikelihood, ...]


class PerplexityMeasured(Frozen):
    """Perplexity over ``positions`` predicted tokens, with its standard error."""

    event: Literal["perplexity_measured"] = "perplexity_measured"
    id: str
    perplexity: float
    standard_error: float
    positions: int
    chunks: int


class Recorded(Frozen):
    """The reference is on disk."""

    event: Literal["recorded"] = "recorded"
    id: str
    bytes: int


class Compared(Frozen):
    """KL divergence from the reference in nats, agreement of the top token over all positions.

    ``first_divergence`` has, per text, the first token at which the two would choose differently.
    """

    event: Literal["compared"] = "compared"
    id: str
    mean_kl: float
    standard_error: float
    positions: int
    same_top: float
    all_positions: int
    first_divergence: tuple[int | None, ...]


class WorkerDescribed(Frozen):
    """``peak_bytes`` is the most main memory the worker has taken, ``vram_bytes`` what it holds.

    ``vram_bytes`` is None where no GPU is used or its driver does not tell.
    """

    event: Literal["worker_described"] = "worker_described"
    id: str
    load_seconds: float
    load_mode: str
    gpu_offload: bool
    threads: int
    peak_bytes: int
    vram_bytes: int | None = None


Measured = Scored | LogLikelihoods | PerplexityMeasured | Recorded | Compared | WorkerDescribed


class TaskFailed(Frozen):
    """A task that the worker itself refused or could not do; the worker lives on."""

    event: Literal["failed"] = "failed"
    id: str | None = None
    reason: str
    cancelled: bool = False


class EncoderReady(Frozen):
    """It answers from now on; rows have ``dimensions`` columns, a classifier's have names."""

    event: Literal["encoder_ready"] = "encoder_ready"
    dimensions: int
    load_seconds: float
    labels: tuple[str, ...] = ()


class Embedded(Frozen):
    """Vectors in the order of the texts: base64 of little-endian float32, row by row."""

    event: Literal["embedded"] = "embedded"
    id: str
    dimensions: int
    vectors: str

    @classmethod
    def pack(cls, task_id: str, rows: npt.NDArray[np.float32]) -> Embedded:
        """Build the event from an array of shape (texts, dimensions)."""
        data = np.ascontiguousarray(rows, dtype="<f4")
        encoded = base64.b64encode(data.tobytes()).decode()
        return cls(id=task_id, dimensions=data.shape[1], vectors=encoded)

    def unpack(self) -> npt.NDArray[np.float32]:
        """An array of shape (texts, dimensions), float32."""
        flat = np.frombuffer(base64.b64decode(self.vectors), dtype="<f4")
        return flat.reshape(-1, self.dimensions)


class QuantizeProgress(Frozen):
    """``done`` of ``total`` tensors are written."""

    event: Literal["quantize_progress"] = "quantize_progress"
    done: int
    total: int


class Quantized(Frozen):
    """The target file is complete."""

    event: Literal["quantized"] = "quantized"
    seconds: float


class BenchProgress(Frozen):
    """``done`` of ``total`` timings are taken."""

    event: Literal["bench_progress"] = "bench_progress"
    what: str
    done: int
    total: int


class StepShares(Frozen):
    """Shares of the time of decoding: llama.cpp's evaluation, choosing tokens; the rest is ours."""

    evaluating: float
    choosing: float


class SpeedRatios(Frozen):
    """Medians over the repetitions of ratios within each; tables are by batch width.

    Rates are tokens a second while decoding, prompts evaluated before; ``with_prompts`` is
    batched over sequential again, with the evaluation of prompts counted on both sides.
    """

    single_over_sequential: float
    batched_over_sequential: dict[int, float]
    batched_over_bound: dict[int, float]
    with_prompts: dict[int, float]
    shares: dict[int, StepShares]
    sequential: float
    single: float
    batched: dict[int, float]


class SameTexts(Frozen):
    """Shares of ten greedy texts that are equal, token for token.

    ``largest_gap`` is, over the first tokens that differ, the largest difference between the
    logits of the two choices: what low-order bits decided.
    """

    single_and_sequential: float
    batched_and_single: dict[int, float]
    largest_gap: float | None


class BenchDone(Frozen):
    """All figures of a benchmark but those of the process; rates are per second."""

    event: Literal["bench_done"] = "bench_done"
    greedy: SpeedRatios
    sampled: SpeedRatios
    bound: dict[int, float]
    judge_over_json: float
    judged_by_prefix: float
    judged_by_json: float
    load_seconds: float
    texts: SameTexts


Event = Annotated[
    ModelReady
    | Sandboxed
    | TaskBegan
    | TextFrame
    | Generated
    | Measured
    | TaskFailed
    | EncoderReady
    | Embedded
    | QuantizeProgress
    | Quantized
    | BenchProgress
    | BenchDone,
    Field(discriminator="event"),
]

_COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
_EVENTS: TypeAdapter[Event] = TypeAdapter(Event)


def encode(message: Frozen) -> bytes:
    """One line, newline included."""
    return message.model_dump_json().encode() + b"\n"


def decode_command(line: bytes) -> Command:
    """Parse a command line. Raises EngineError."""
    try:
        return _COMMANDS.validate_json(line)
    except ValidationError as problem:
        raise EngineError(f"not a command: {line[:200]!r}") from problem


def decode_event(line: bytes) -> Event:
    """Parse an event line. Raises EngineError."""
    try:
        return _EVENTS.validate_json(line)
    except ValidationError as problem:
        raise EngineError(f"not an event: {line[:200]!r}") from problem
