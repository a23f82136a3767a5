"""The pydantic models of ``phase2_config.json``, one docstring per field.

Paths are as written; :mod:`emojudge.config_file` resolves them against the config's folder.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emojudge.domain import Criterion, Sampling

_WEIGHT_SUM_TOLERANCE = 1e-6


def _must_sum_to_one(what: str, weights: dict[str, float]) -> None:
    total = math.fsum(weights.values())
    if abs(total - 1) > _WEIGHT_SUM_TOLERANCE:
        listed = ", ".join(f"{name} {value:g}" for name, value in weights.items())
        raise ValueError(f"{what} must sum to 1, but {listed} sum to {total:g}")


class ConfigModel(BaseModel):
    """A part of the config: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


PERSONA_NAMES = ("empathic", "analytical")
"""The personas that ship; ``judging_config.personas`` adds to them."""


_TAKEN_NAMES = (
    *("longest", "shortest", "random", "constant"),
    *("ensemble", "preservation", "similarity", "fluency"),
)
"""The controls, and the parts of the AI score."""


class JudgeConfig(ConfigModel):
    """One judge of the persona ensemble: a local model, one behind an endpoint, or a plug-in."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[\w.-]+$")
    """How screens and reports call this judge: letters, digits, `.`, `_` and `-`."""
    model: str | None = None
    """A GGUF path, or with `url` the endpoint's name for the model."""
    url: str | None = None
    """An OpenAI-compatible endpoint (it ends with `/v1`) instead of a local file."""
    api_key_env: str | None = None
    """The environment variable that holds the endpoint's key."""
    persona: str = "empathic"
    """The persona's name."""
    weight: float = Field(default=1.0, ge=0)
    """Relative weight in the ensemble."""
    plugin: str | None = None
    """An installed judge of the entry-point group `emojudge.judges` instead of a model."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.model is None) == (self.plugin is None):
            raise ValueError(f"judge {self.name!r} needs either a model or a plugin")
        if self.url is None:
            if self.api_key_env is not None:
                raise ValueError(f"judge {self.name!r} has an api_key_env but no url")
            return self
        if self.plugin is not None:
            raise ValueError(f"judge {self.name!r} has a url, and a plugin takes none")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"judge {self.name!r} needs an http or https url such as http://127.0.0.1:8080/v1"
            )
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise ValueError(f"the url of judge {self.name!r} has a port that cannot be")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                f"the url of judge {self.name!r} must hold no user name, password or query: name "
                "the environment variable that holds the key in api_key_env"
            )
        return self


class JudgingConfig(ConfigModel):
    """How AI and people are weighed."""

    ai_judge_weight: float = Field(default=0.4, ge=0, le=1)
    """Share of the AI score in the final score."""
    human_judge_weight: float = Field(default=0.6, ge=0, le=1)
    """Share of the human score in the final score."""
    minimum_human_samples: int = Field(default=10, ge=0)
    """Rated items per candidate before its human score counts as enough."""
    consensus_threshold: float = Field(default=0.7, ge=0, le=1)
    """Agreement among judges below which an item is marked."""
    minimum_confidence: float = Field(default=0.5, ge=0, le=1)
    """Confidence (AI against people) below which a deploy asks for a reason."""
    equivalence_margin: float = Field(default=0.075, gt=0, le=1)
    """How much lower than the baseline a final score may be and still count as good as it."""
    judges: tuple[JudgeConfig, ...] = ()
    """The persona ensemble."""
    personas: dict[str, str] = Field(default_factory=dict)
    """Personas of your own, by name: what a judge is told to be, beside empathic and analytical."""
    metrics: tuple[str, ...] = ()
    """Installed metrics of the entry-point group `emojudge.metrics` to measure beside."""
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    """A sentence-transformers model: a name, or a folder."""
    emotion_model: str | None = None
    """A Hugging Face text-classification model instead of the shipped emotion head."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        _must_sum_to_one(
            "ai_judge_weight and human_judge_weight",
            {
                "ai_judge_weight": self.ai_judge_weight,
                "human_judge_weight": self.human_judge_weight,
            },
        )
        return self

    @model_validator(mode="after")
    def _judges(self) -> Self:
        names = [one.name for one in self.judges]
        taken = next((name for name in names if name in _TAKEN_NAMES), None)
        if taken is not None:
            raise ValueError(
                f"{taken!r} names something else in the results; call the judge otherwise"
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two judges are called {twice!r}; names must differ")
        shipped = next((name for name in self.personas if name in PERSONA_NAMES), None)
        if shipped is not None:
            raise ValueError(f"the persona {shipped!r} ships with emojudge; call yours otherwise")
        known = (*PERSONA_NAMES, *self.personas)
        for one in self.judges:
            if one.persona not in known:
                raise ValueError(
                    f"judge {one.name!r} has the persona {one.persona!r}; there are "
                    f"{', '.join(known)} (judging_config.personas adds to them)"
                )
        return self


class AiScoring(ConfigModel):
    """Shares of the parts of the AI score, rescaled over the parts that count."""

    ensemble: float = Field(default=0.5, ge=0, le=1)
    """The persona ensemble's criterion scores."""
    preservation: float = Field(default=0.2, ge=0, le=1)
    """Emotional preservation against the baseline."""
    similarity: float = Field(default=0.15, ge=0, le=1)
    """Embedding similarity to the baseline."""
    fluency: float = Field(default=0.15, ge=0, le=1)
    """Likelihood under the baseline."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        _must_sum_to_one("the parts of ai_scoring", self.model_dump())
        return self


class HumanJudging(ConfigModel):
    """The rating screen."""

    criteria_weights: dict[Criterion, Annotated[float, Field(ge=0)]] = Field(
        default_factory=lambda: {
            Criterion.BELIEVABILITY: 0.25,
            Criterion.CONNECTION: 0.30,
            Criterion.EXPRESSIVE_STRENGTH: 0.25,
            Criterion.APPROPRIATENESS: 0.20,
        }
    )
    """Weights of the four criteria; they sum to 1."""
    panes: int | None = Field(default=None, ge=2, le=4)
    """Candidates shown side by side; unset: 4, or as many as there are."""
    repeat_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of items that come back to measure the rater's own consistency."""
    choice: Literal["balanced", "adaptive"] = "balanced"
    """Which candidates an item shows: all equally often, or those whose comparison decides."""
    show_ai_scores: Literal["after_study", "after_item"] = "after_study"
    """When a person may see what the AI said of a single item."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        missing = [name.value for name in Criterion if name not in self.criteria_weights]
        if missing:
            raise ValueError(f"all four criteria need a weight; missing: {', '.join(missing)}")
        _must_sum_to_one(
            "criteria_weights",
            {name.value: weight for name, weight in self.criteria_weights.items()},
        )
        return self


class ReplacementConfig(ConfigModel):
    """How the core is replaced."""

    auto_backup: bool = True
    """Keep the core before as a backup at every promotion, rollback and restore."""
    validation_required: bool = True
    """Refuse a model that does not validate."""
    manifest_update: bool = True
    """Update the companion's own manifest, where `manifest` names one."""
    active_dir: str = "core"
    """The store of generations; its `current` is what the companion opens."""
    backup_dir: str = "backups"
    """Where backups (names of kept generations) are written."""
    manifest: str | None = None
    """The companion's own JSON manifest."""
    minimum_size_mb: float = Field(default=1.0, ge=0)
    """Smaller models are refused."""
    max_emotional_degradation: float = Field(default=0.07, ge=0, le=1)
    """Deploy gate on the measured emotional degradation."""
    keep_backups: int = Field(default=5, ge=0)
    """How many automatic backups are kept; those a person made do not expire."""
    pre_command: str | None = None
    """Run before the switch."""
    restart_command: str | None = None
    """Run after the switch, so that the companion opens the new core."""
    health_check: str | None = None
    """A command or URL that must succeed after the switch, or it is taken back."""
    command_deadline_seconds: float = Field(default=120.0, gt=0)
    """How long `pre_command` and `restart_command` may take."""
    health_deadline_seconds: float = Field(default=60.0, gt=0)
    """How long the companion may take to become well."""
    targets: tuple[str, ...] = ()
    """Deploy targets of installed packages that get the core too."""


class PerformanceConfig(ConfigModel):
    """The machine's share."""

    response_timeout_seconds: float = Field(default=120.0, gt=0)
    """Deadline of one response."""
    parallel_models: int | None = Field(default=None, ge=1)
    """Models loaded at once; unset: as many as memory allows."""
    batch_size: int | None = Field(default=None, ge=1, le=256)
    """Texts decoded together; unset: chosen once per study, from memory."""
    max_prompts: int | None = Field(default=None, ge=1)
    """Use only the first so many prompts, spread over the categories."""
    cache: bool = True
    """Keep embeddings and the baseline's predictions on disk, so that they are computed once.
    Responses and judgements are always kept: people and AI judge the same ones."""
    gpu_layers: int | None = Field(default=None, ge=-1)
    """Layers on the GPU; -1 or unset: all, where llama.cpp can use one."""
    main_gpu: int = Field(default=0, ge=0)
    """The GPU for small tensors."""
    tensor_split: tuple[float, ...] | None = None
    """How tensors are split over several GPUs."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads per model; unset: the cores, shared between the models that work."""
    context_length: int | None = Field(default=None, ge=128)
    """Most tokens of a prompt and its answer; unset: what the model was made for. Memory is taken
    for the longest prompt there is, not for this."""


class GenerationConfig(ConfigModel):
    """What every candidate is asked, and how."""

    system_prompt: str | None = (
        "You are a warm, attentive companion. Answer in a few sentences, as someone who knows "
        "the person well."
    )
    """The system turn; null for none."""
    chat_template: str | None = None
    """A Jinja template instead of the models' own."""
    max_tokens: int = Field(default=200, ge=1)
    """Longest response in tokens."""
    temperature: float = Field(default=0.7, ge=0, le=5)
    """Sampling temperature; 0 is greedy."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus sampling."""
    seed: int = Field(default=20240, ge=0)
    """Every seed of the study derives from this one."""
    samples_per_prompt: int = Field(default=4, ge=1)
    """Responses per candidate and prompt; the baseline gives twice as many."""
    hide_thinking: bool = True
    """Keep <think> blocks in the record and off the screen."""

    @property
    def sampling(self) -> Sampling:
        """The settings that go to the engine."""
        return Sampling(max_tokens=self.max_tokens, temperature=self.temperature, top_p=self.top_p)


class OutputConfig(ConfigModel):
    """What is written."""

    results_dir: str = "results"
    """Where reports go."""
    detailed_reports: bool = True
    """Also write an HTML report."""
    save_comparisons: bool = True
    """Also write model_comparisons_TIMESTAMP.json."""
    export_metrics: bool = True
    """Include the technical metrics in the report."""


class Config(ConfigModel):
    """``phase2_config.json``."""

    json_schema: str | None = Field(default=None, alias="$schema")
    """For editors."""
    name: str = "study"
    """Shown on every screen and in reports."""
    version: str = "1"
    """Yours to count."""
    description: str = ""
    """Yours to fill."""
    candidate_dir: str = "../quant_pass1/models"
    """The Pass 1 models folder."""
    evaluation_prompts: str = "../quant_pass1/emotional_eval_set.jsonl"
    """The prompts, one JSON object a line."""
    models_to_compare: tuple[str, ...] = ()
    """Names of candidates; empty: all."""
    baseline_model: str | None = None
    """A candidate's name or a path; unset: the one with the most bits per weight."""
    study_dir: str = "."
    """Where the study's logs live."""
    judging_config: JudgingConfig = JudgingConfig()
    """How AI and people are weighed."""
    ai_scoring: AiScoring = AiScoring()
    """Parts of the AI score."""
    human_judging: HumanJudging = HumanJudging()
    """The rating screen."""
    replacement_config: ReplacementConfig = ReplacementConfig()
    """How the core is replaced."""
    performance_config: PerformanceConfig = PerformanceConfig()
    """The machine's share."""
    generation: GenerationConfig = GenerationConfig()
    """What every candidate is asked."""
    output_config: OutputConfig = OutputConfig()
    """What is written."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``phase2_config.json``."""
    return Config.model_json_schema(by_alias=True)
