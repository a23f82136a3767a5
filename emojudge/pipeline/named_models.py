"""Models and vendors that a response names: a name can tell a rater which candidate speaks."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

# Nothing but a model, or who makes it.
_PLAIN = (
    "ChatGPT", "OpenAI", "GPT-?[2345][a-z0-9.]*", "Anthropic", "DeepMind", "DeepSeek",
    "Mistral AI", "Mixtral", "Qwen[0-9.]*", "Tongyi", "Alibaba Cloud", "SmolLM[0-9]*",
    "Hugging ?Face", "Gemma ?[0-9][0-9.]*", "Llama[ -]?[0-9][0-9.]*", "TinyLlama", "Meta AI",
    "StableLM", "EleutherAI", "Pythia-[0-9]+[MB]?", "xAI", "InternLM", "ChatGLM[0-9]*",
    "Baichuan[0-9]*", "Yi-[0-9]+B", "Phi-[0-9.]+", "Nemotron", "Zephyr-7B", "Moonshot AI",
)  # fmt: skip
# Also words, animals or first names: only where the text speaks of what it is or who made it.
_AMBIGUOUS = (
    "Claude", "Gemini", "Gemma", "Vicuna", "Bard", "Llama", "LLaMA", "Mistral", "Falcon", "Grok",
    "Copilot", "Phi",
    "Bing", "Siri", "Alexa", "Google", "Microsoft", "Meta", "Apple", "Alibaba", "Nvidia",
    "NVIDIA", "Amazon", "Baidu", "Cohere", "IBM",
)  # fmt: skip
_SPEAKS_OF_ITSELF = (
    r"(?:\bI(?:'|’)?m\b|\bI am\b|\bmy name is\b|\bcalled\b|\bknown as\b|\bassistant\b|"
    r"\b(?:made|built|trained|created|developed|designed) by\b|\b(?:language|AI) model\b)"
)
_PLAIN_NAME = re.compile(rf"\b(?:{'|'.join(_PLAIN)})\b", re.IGNORECASE)
_AMBIGUOUS_NAME = re.compile(
    rf"(?:{_SPEAKS_OF_ITSELF})[^.!?\n]{{0,60}}?\b(?P<name>{'|'.join(_AMBIGUOUS)})\b"
)
_TELLING = re.compile(r"[A-Za-z]*(?:[0-9]|[a-z][A-Z])[A-Za-z0-9]*")


def telling_words(names: Iterable[str]) -> frozenset[str]:
    """The first words of models' names that are no ordinary words: ``SmolLM2``, not ``companion``.

    >>> sorted(telling_words(["SmolLM2-135M-Q4_0", "companion-Q8_0"]))
    ['SmolLM2']
    """
    first = (re.split(r"[\s_./-]", name, maxsplit=1)[0] for name in names)
    return frozenset(one for one in first if len(one) > 3 and _TELLING.fullmatch(one))


# A screen asks at every key about the two to four texts in hand.
@functools.lru_cache(maxsize=16)
def named_models(text: str, own: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Names of models and vendors in ``text``, each once, in their order of appearance.

    ``own`` are further names that would give a candidate away.
    """
    found = [(match.start(), match.group()) for match in _PLAIN_NAME.finditer(text)]
    found += [(match.start("name"), match["name"]) for match in _AMBIGUOUS_NAME.finditer(text)]
    if own:
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(own)))})\b", re.IGNORECASE)
        found += [(match.start(), match.group()) for match in pattern.finditer(text)]
    names: dict[str, str] = {}
    for _, name in sorted(found):
        names.setdefault(name.casefold(), name)
    return tuple(names.values())
