"""What the app and its worker processes say to each other: one JSON object a line.

Commands go to a worker's stdin, events come from its stdout. A worker ends when its stdin closes.
Text travels in frames, at most one every 80 ms, each with the deltas of all running sequences.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from emojudge.domain import FinishReason, Frozen, Message, Sampling
from emojudge.errors import EngineError

FRAME_SECONDS = 0.08


class LoadModel(Frozen):
    """Load one GGUF; answered by ModelReady or TaskFailed. ``template`` None: the file's own."""

    kind: Literal["load"] = "load"
    path: str
    context_length: int | None = None
    threads: int
    gpu_layers: int | None = None
    main_gpu: int = 0
    tensor_split: tuple[float, ...] | None = None
    template: str | None = None


class Generate(Frozen):
    """Answer a conversation; followed by TextFrames, then Generated or TaskFailed."""

    kind: Literal["generate"] = "generate"
    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    deadline_seconds: float


class Cancel(Frozen):
    """Stop a task; it is answered by TaskFailed with ``cancelled``."""

    kind: Literal["cancel"] = "cancel"
    id: str


class LoadEncoder(Frozen):
    """Load a sentence-transformers model; answered by EncoderReady or TaskFailed."""

    kind: Literal["load_encoder"] = "load_encoder"
    name: str
    threads: int


class Embed(Frozen):
    """Embed texts; answered by Embedded or TaskFailed."""

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


Command = Annotated[
    LoadModel | Generate | Cancel | LoadEncoder | Embed | Quantize, Field(discriminator="kind")
]


class ModelReady(Frozen):
    """The model answers from now on."""

    event: Literal["model_ready"] = "model_ready"
    context_length: int
    load_seconds: float
    gpu_offload: bool


class TextDelta(Frozen):
    """New text of one sequence: complete UTF-8, never half a character."""

    id: str
    text: str


class TextFrame(Frozen):
    """The deltas since the last frame."""

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


class TaskFailed(Frozen):
    """A task that the worker itself refused or could not do; the worker lives on."""

    event: Literal["failed"] = "failed"
    id: str | None = None
    reason: str
    cancelled: bool = False


class EncoderReady(Frozen):
    """The encoder answers from now on."""

    event: Literal["encoder_ready"] = "encoder_ready"
    dimensions: int
    load_seconds: float


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


Event = Annotated[
    ModelReady
    | TextFrame
    | Generated
    | TaskFailed
    | EncoderReady
    | Embedded
    | QuantizeProgress
    | Quantized,
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
