"""Models: what the demo needs, the encoder, candidates and judges of a study."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from emojudge.candidates.discover import inspect
from emojudge.candidates.nearby import hub_folder
from emojudge.config_file import LoadedConfig
from emojudge.errors import EmojudgeError, UsageError
from emojudge.pipeline.doctor.findings import Finding, failure, warning, well
from emojudge.pipeline.encoders import bundled_encoder, encoder_name
from emojudge.pipeline.judges_found import check_judges
from emojudge.pipeline.setup import find_demo_model
from emojudge.prompts import load_prompts
from emojudge.ranking.evidence import too_few_prompts
from emojudge.text import counted, human_bytes

DEMO_EXTRA = "pip install 'emojudge[demo]'"
_HUB_FOLDER = "models--{}"


def demo() -> Finding:
    """Whether `emojudge demo` has its models."""
    try:
        model = find_demo_model()
    except UsageError:
        return well(
            "demo", "its models are not installed, and only the demo needs them", DEMO_EXTRA
        )
    return well("demo", model.name)


def fetched(name: str) -> bool:
    """Whether a hub's model is on this machine already."""
    wanted = _HUB_FOLDER.format(name.replace("/", "--"))
    return (hub_folder() / wanted / "snapshots").is_dir()


def encoder(loaded: LoadedConfig | None) -> Finding:
    """Whether replies can be compared in meaning and emotion."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return failure(
            "encoder",
            "sentence-transformers is not installed: meaning and emotions cannot be measured",
            "pip install 'sentence-transformers>=6.2,<7'",
        )
    if loaded is None:
        found = bundled_encoder()
        return (
            well("encoder", f"all-MiniLM-L6-v2, {found}")
            if found
            else well("encoder", "all-MiniLM-L6-v2 is fetched at the first run", DEMO_EXTRA)
        )
    name = encoder_name(loaded)
    if Path(name).is_dir():
        return well("encoder", name)
    if fetched(name) or fetched(f"sentence-transformers/{name}"):
        return well("encoder", f"{name}, fetched before")
    return warning(
        "encoder",
        f"{name} is not on this machine: it is fetched from Hugging Face when judging begins",
        f"{DEMO_EXTRA} brings all-MiniLM-L6-v2; or set judging_config.encoder to a folder",
    )


def candidates(loaded: LoadedConfig) -> tuple[Finding, int]:
    """What would be compared, and the bytes of the largest of it."""
    config = loaded.config
    folder = loaded.resolve(config.candidate_dir)
    try:
        sound, left_out = inspect(
            folder,
            wanted=config.models_to_compare,
            baseline=config.baseline_model,
            resolve=loaded.resolve,
        )
    except EmojudgeError as problem:
        return failure("candidates", str(problem), f"edit candidate_dir in {loaded.file}"), 0
    sizes = [sum(file.stat().st_size for file in one.shards) for one in sound]
    text = f"{counted(len(sound), 'candidate')} in {folder}"
    if sizes:
        text += f", {human_bytes(sum(sizes))}, the largest {human_bytes(max(sizes))}"
    if len(sound) < 2:
        said = "".join(f"; {one.name}: {one.reason}" for one in left_out)
        return failure(
            "candidates",
            f"{text}: a comparison takes two{said}",
            "make a ladder: emojudge quantize model-F16.gguf --types Q8_0,Q5_0,Q4_0 --out models",
        ), max(sizes, default=0)
    if left_out:
        said = "; ".join(f"{one.name}: {one.reason}" for one in left_out)
        mend = left_out[0].remedy or "take it out of the folder"
        return warning("candidates", f"{text}; left out: {said}", mend), max(sizes)
    return well("candidates", text), max(sizes)


def prompts(loaded: LoadedConfig) -> Finding:
    """Whether the situations can be read."""
    file = loaded.resolve(loaded.config.evaluation_prompts)
    try:
        found = load_prompts(file)
    except EmojudgeError as problem:
        return failure("prompts", str(problem), f"edit evaluation_prompts in {loaded.file}")
    config = loaded.config
    most = config.performance_config.max_prompts
    count = len(found) if most is None else min(most, len(found))
    text = f"{counted(len(found), 'prompt')}, {file}"
    text += f"; max_prompts takes {count}" if count < len(found) else ""
    few = too_few_prompts(count, config.judging_config.minimum_human_samples)
    if few is not None:
        said, _, mend = few.partition(": ")
        return warning("prompts", f"{text}; {said}", mend)
    return well("prompts", text)


def judges(loaded: LoadedConfig) -> Finding:
    """Whether the judges that the config names could be asked."""
    named = loaded.config.judging_config.judges
    try:
        check_judges(loaded)
    except EmojudgeError as problem:
        return failure("judges", str(problem), "emojudge config check")
    if not named:
        return well("judges", "none: the AI score is fidelity to the baseline alone")
    return well(
        "judges", f"{', '.join(one.name for one in named)}; emojudge judges --exam asks them"
    )
