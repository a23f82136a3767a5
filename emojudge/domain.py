"""The nouns: frozen types, parsed once at the edges and trusted inside."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from emojudge.frozen import Frozen


def stable_hash(value: Any, length: int = 16) -> str:
    """A hex digest of a JSON value that does not depend on key order or process."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode(errors="replace")).hexdigest()[:length]


class Criterion(StrEnum):
    """What people score from 1 to 5, in the order of the score rows."""

    BELIEVABILITY = "believability"
    CONNECTION = "connection"
    EXPRESSIVE_STRENGTH = "expressive_strength"
    APPROPRIATENESS = "appropriateness"

    @property
    def label(self) -> str:
        """The short form that fits a narrow pane."""
        return "expressive" if self is Criterion.EXPRESSIVE_STRENGTH else self.value


class Quality(StrEnum):
    """What a judge scores: the four human criteria, and three that are only reported."""

    BELIEVABILITY = "believability"
    CONNECTION = "connection"
    EXPRESSIVE_STRENGTH = "expressive_strength"
    APPROPRIATENESS = "appropriateness"
    EMPATHY = "empathy"
    CREATIVITY = "creativity"
    COHERENCE = "coherence"

    @property
    def heading(self) -> str:
        """As judges read it."""
        return self.value.replace("_", " ").capitalize()


Role = Literal["system", "user", "assistant"]


class Message(Frozen):
    """One turn of a conversation."""

    role: Role
    content: str


SPEAKERS = {"user": "person", "assistant": "companion", "system": "setting"}
"""What the speakers of a conversation are called before people."""


class Prompt(Frozen):
    """One situation; the last message is the user's."""

    id: str
    messages: tuple[Message, ...]
    category: str
    complexity: str | None = None
    expected_emotion: str | None = None


class ModelFile(Frozen):
    """One GGUF file on disk; ``mtime_ns`` and ``inode`` say whether ``sha256`` still holds."""

    path: str
    size: int = Field(gt=0)
    sha256: str
    mtime_ns: int
    inode: int


class Specs(Frozen):
    """What a GGUF header says of a model.

    ``bits_per_weight`` counts tensor data only; ``quantization`` is the header's own word, with
    the dominant tensor type behind it where that differs. ``kv_bytes_per_token`` is what one token
    of context takes in half precision, None where the header does not say.
    """

    architecture: str
    model_name: str | None
    parameters: int
    quantization: str
    bits_per_weight: float
    tensor_types: dict[str, int]
    context_length: int | None
    vocabulary_size: int | None
    chat_template: str | None
    kv_bytes_per_token: int | None = None


class Pass1(Frozen):
    """What Pass 1 wrote beside a model."""

    quantization_method: str | None = None
    emotional_degradation: float | None = None
    compression_ratio: float | None = None
    timestamp: str | None = None


def combined_sha256(digests: Sequence[str]) -> str:
    """The digest of a model: its file's, or of a split one the digest of its files' digests."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


class Candidate(Frozen):
    """One runnable GGUF model: a file, or the shards of a split set in order.

    ``gone`` says why it cannot be run any more; what it said before still counts.
    """

    name: str
    files: tuple[ModelFile, ...]
    specs: Specs
    pass1: Pass1 | None = None
    is_baseline: bool = False
    compression_ratio: float = 1.0
    template_differs: bool = False
    problems: tuple[str, ...] = ()
    gone: str = ""

    @property
    def sha256(self) -> str:
        """The file's digest; of a split set, the digest of its shards' digests."""
        return combined_sha256([file.sha256 for file in self.files])

    @property
    def path(self) -> Path:
        """The file to give llama.cpp (the first shard of a split set)."""
        return Path(self.files[0].path)

    @property
    def size(self) -> int:
        """Bytes on disk, all shards."""
        return sum(file.size for file in self.files)


class Unusable(Frozen):
    """Something in the candidate folder that cannot be compared, why, and what would help."""

    name: str
    reason: str
    remedy: str


class Sampling(Frozen):
    """The fixed sampling settings of a study."""

    max_tokens: int = Field(gt=0)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)


class Cell(Frozen):
    """One (candidate, prompt, sample) to be generated; ``id`` is the response's cache key."""

    id: str
    candidate: str
    prompt_id: str
    sample: int
    seed: int


FinishReason = Literal["end", "length", "deadline"]


class Response(Frozen):
    """What a candidate said. ``text`` is everything it produced, thinking included.

    Times are seconds; ``first_token_seconds`` counts from the start of prompt evaluation.
    ``batch_width`` is the number of sequences that were decoded together.
    """

    id: str
    candidate: str
    prompt_id: str
    sample: int
    seed: int
    text: str
    finish: FinishReason
    prompt_tokens: int
    tokens: int
    first_token_seconds: float
    seconds: float
    rendered_sha256: str
    engine: str
    batch_width: int = 1
    created: str


class CellFailure(Frozen):
    """A cell that could not be generated, after one retry."""

    id: str
    candidate: str
    prompt_id: str
    sample: int
    reason: str
    created: str


class Judgement(Frozen):
    """One judge's raw figures for one response; scores are derived from them when read.

    ``id`` covers everything that decided the figures, so changed inputs mean another judgement.
    """

    id: str
    judge: str
    response_id: str
    candidate: str
    prompt_id: str
    sample: int
    figures: dict[str, float]


class Vote(Frozen):
    """One judge's vote between the responses of two candidates to one prompt, in both orders.

    ``left_first`` is the probability that ``left`` is the better one when it is read first,
    ``right_first`` when it is read second; ``mass`` is the smaller of the two probabilities that
    the judge chose any of them at all. Of equal texts nobody was ``asked``: they are a tie.
    ``id`` covers everything that decided them.
    """

    id: str
    judge: str
    prompt_id: str
    sample: int
    left: str
    right: str
    responses: tuple[str, str]
    left_first: float = Field(ge=0, le=1)
    right_first: float = Field(ge=0, le=1)
    mass: float
    asked: bool = True


class Unanswered(Frozen):
    """Something a judge was asked and has not answered, under the id that the answer would have."""

    id: str
    judge: str
    candidate: str
    prompt_id: str
    sample: int
    reason: str
    created: str


class DamageCount(Frozen):
    """On so many of ``prompts`` prompts were genuine replies above the damaged ones."""

    damage: str
    wins: int
    prompts: int


class Exam(Frozen):
    """What one judge did in the exam; ``id`` covers the judge and all texts of the exam.

    ``key`` stands for the judge whatever the exam's texts; ``bundled`` says that the texts are
    about the bundled prompts and not the study's own. ``valid`` is the share of answers that
    chose a score at all, ``unanswered`` counts texts that got no answer.
    """

    id: str
    judge: str
    key: str
    bundled: bool
    counts: tuple[DamageCount, ...]
    valid: float
    unanswered: int
    created: str


class RosterEntry(Frozen):
    """One judge of the ensemble: its ``key``, what it is called, and its weight."""

    key: str
    name: str
    weight: float


class JudgeRoster(Frozen):
    """The ensemble as it was when nobody had rated anything yet; afterwards nobody joins it."""

    id: str = "judges"
    entries: tuple[RosterEntry, ...]
    created: str


class TechnicalMetrics(Frozen):
    """One candidate's figures as a model, measured alone on the machine; ``id`` covers the inputs.

    Times are seconds, for one text at a time: ``first_token_seconds`` counts from the start of
    prompt evaluation, ``tokens_per_second`` while decoding, both medians. ``peak_bytes`` is main
    memory with one text at a time, by ``load_mode``. ``perplexity`` is over ``scored_tokens`` of
    the bundled prompts' own words. ``mean_kl`` (nats), ``same_top`` and ``first_divergence``
    compare with the baseline on its own replies: over ``kl_positions`` sampled positions, over
    ``all_positions``, and the median token of a reply at which greedy choices part (None: in half
    of the replies they never do). They are None for the baseline, and where vocabularies differ.
    Figures that are not ``final`` lack something that may be had another time.
    """

    id: str
    candidate: str
    load_seconds: float
    load_mode: str
    gpu_offload: bool
    threads: int
    first_token_seconds: float
    tokens_per_second: float
    peak_bytes: int
    vram_bytes: int | None = None
    perplexity: float | None = None
    perplexity_error: float | None = None
    scored_tokens: int = 0
    mean_kl: float | None = None
    kl_error: float | None = None
    kl_positions: int = 0
    same_top: float | None = None
    all_positions: int = 0
    first_divergence: float | None = None
    replies: int = 0
    problem: str | None = None
    final: bool = True
    created: str


class BaselineCheck(Frozen):
    """Whether the baseline answers what it is asked; ``id`` covers its responses and the encoder.

    ``within`` is the mean cosine of its replies to one prompt, ``between`` that of its replies to
    different prompts, ``above`` the 95 % interval of their difference (over prompts), None with
    too few. ``silent`` of ``responses`` said nothing.
    """

    id: str
    within: float
    between: float
    above: tuple[float, float] | None
    silent: int
    responses: int


class TextModel(Frozen):
    """The encoder or emotion model that a study was measured with, so that another is noticed.

    ``id`` is its task and its name as configured, ``probe`` the row of a fixed sentence, ``labels``
    a classifier's, ``files`` stands for the files where it is a folder.
    """

    id: str
    dimensions: int
    probe: tuple[float, ...]
    labels: tuple[str, ...] = ()
    files: str | None = None


class Item(Frozen):
    """A prompt with the responses shown together; ``panes`` are candidates by position A, B, …

    Fixed when first shown, so that a restart finds the same item under the same letters.
    ``repeat_of`` is the item that comes back in it, to measure the rater's own consistency;
    ``adaptive`` says that its candidates were chosen by what is known of them; a ``pairwise`` item
    asks for a vote between two responses instead of scores.
    """

    id: str
    rater: str
    number: int
    prompt_id: str
    sample: int
    panes: tuple[str, ...] = Field(min_length=2, max_length=4)
    responses: tuple[str, ...]
    shown: str
    repeat_of: str | None = None
    adaptive: bool = False
    pairwise: bool = False


class PaneScores(Frozen):
    """What a person has said of one pane so far; ``flag`` is why it was flagged."""

    scores: dict[Criterion, int] = Field(default_factory=dict)
    comment: str = ""
    flag: str = ""

    @property
    def complete(self) -> bool:
        """Whether every criterion has its score."""
        return len(self.scores) == len(Criterion)


class Draft(Frozen):
    """The unsubmitted state of an item, stored at every key; ``id`` is the item's.

    ``comment`` is on the item as a whole; ``ahead`` are panes that were put before those with an
    equal total, the best first. ``seconds`` and ``idle_seconds`` are what it took so far.
    """

    id: str
    panes: tuple[PaneScores, ...]
    pane: int = 0
    criterion: int = 0
    comment: str = ""
    ahead: tuple[int, ...] = ()
    seconds: float = 0.0
    idle_seconds: float = 0.0


class Rating(Frozen):
    """One person's scores (1 to 5) for one response.

    ``flag`` is why the rater flagged it. ``names`` are models and vendors that the text names.
    ``tie_break`` orders responses of one item with equal totals: the larger is preferred, 0 means
    that nothing was said.
    """

    candidate: str
    response_id: str
    scores: dict[Criterion, int]
    comment: str = ""
    flag: str = ""
    names: tuple[str, ...] = ()
    tie_break: int = 0


class RatedItem(Frozen):
    """A submitted item, or a skipped one (then without ratings and with a reason).

    ``repeat_of`` and ``adaptive`` are the item's; a repeat is never counted as another rating.
    ``seconds`` is the time spent on it, without ``idle_seconds``; ``comment`` is on the whole item;
    ``flags`` are the reasons by candidate in a skipped item.
    """

    id: str
    rater: str
    number: int
    prompt_id: str
    sample: int
    ratings: tuple[Rating, ...]
    skipped: str | None = None
    seconds: float
    submitted: str
    repeat_of: str | None = None
    adaptive: bool = False
    idle_seconds: float = 0.0
    comment: str = ""
    flags: dict[str, str] = Field(default_factory=dict)


class Preference(StrEnum):
    """Which of two responses side by side a person prefers."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


class PairVote(Frozen):
    """One person's quick vote between two responses, given blind; ``id`` is the item's.

    ``candidates`` (sha256), ``responses``, ``comments``, ``flags`` and ``names`` hold the left
    one's first. Votes feed Bradley-Terry strengths, never the verdict.
    """

    id: str
    rater: str
    number: int
    prompt_id: str
    sample: int
    candidates: tuple[str, str]
    responses: tuple[str, str]
    preferred: Preference
    comment: str = ""
    comments: tuple[str, str] = ("", "")
    flags: tuple[str, str] = ("", "")
    names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    seconds: float
    idle_seconds: float = 0.0
    submitted: str


def human_score(scores: Mapping[Criterion, int], weights: Mapping[Criterion, float]) -> float:
    """Weighted criteria mapped from 1..5 to 0..1: ``(x − 1) / 4``."""
    weighted = math.fsum(weights[criterion] * scores[criterion] for criterion in Criterion)
    return (weighted - 1) / 4
