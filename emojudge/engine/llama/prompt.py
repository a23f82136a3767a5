"""From a conversation to token ids, without letting its text steer the model.

A message may hold the text of a control token, such as ``<|im_end|>``. Read as that token it would
end the turn and speak in another's name. Such text is replaced by a mark before the template sees
it, and put back as plain text: only what the template itself writes becomes control tokens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from emojudge.domain import Message
from emojudge.engine.chat_template import Turn
from emojudge.engine.llama.model import LlamaModel
from emojudge.engine.template_process import TemplateProcess, TemplateStopped
from emojudge.errors import EngineError

_MOST_STOPS = 3
"""Each stop costs seconds; a template that ran out of time this often is not tried again."""

_PRIVATE_USE = range(0xE000, 0xF900)


@dataclass(frozen=True)
class BuiltPrompt:
    """A prompt as text and as token ids."""

    rendered: str
    tokens: tuple[int, ...]

    @property
    def opening(self) -> str:
        """The thinking tag that the template ends with: it belongs to the answer's record."""
        opened = re.search(r"<think>\s*$", self.rendered)
        return opened.group() if opened else ""

    @property
    def sha256(self) -> str:
        """The digest of the text, stored with responses."""
        return hashlib.sha256(self.rendered.encode("utf-8", "replace")).hexdigest()


class PromptBuilder:
    """Renders and tokenizes conversations for one model."""

    def __init__(self, model: LlamaModel, template: str | None, renderer: TemplateProcess) -> None:
        """``template`` None means the model's own."""
        self._model = model
        self._template = template or model.template
        self._renderer = renderer
        self._stops = 0
        self._stopped: TemplateStopped | None = None

    def build(self, messages: Sequence[Message], longest: int | None = None) -> BuiltPrompt:
        """The prompt up to where the assistant begins.

        Raises EngineError when there is no template, when it fails, or when the prompt must have
        more than ``longest`` tokens.
        """
        if self._template is None:
            raise EngineError(
                "This model has no chat template. Set generation.chat_template in the config."
            )
        model = self._model
        mark = _unused_character(messages)
        hidden: list[str] = []
        turns: list[Turn] = [
            {"role": one.role, "content": self._hide(one.content, mark, hidden)} for one in messages
        ]
        marked = self._render(turns)
        # Pieces alternate: text the template may steer with, then the number of a hidden text.
        pieces = re.split(f"{mark}(\\d+){mark}", marked)
        if any(int(number) >= len(hidden) for number in pieces[1::2]):
            raise EngineError(
                "The chat template writes private-use characters of its own, so texts cannot be "
                "told from it. Set generation.chat_template in the config to one that does not."
            )
        plain = [hidden[int(number)] for number in pieces[1::2]]
        written = pieces[0::2]
        rendered = "".join(chain.from_iterable(zip(written, [*plain, ""], strict=True)))
        self._refuse_endless(rendered, longest)
        bos = model.bos_text
        tokens = model.tokenize(
            written[0],
            add_special=not (bos and written[0].startswith(bos)),
            parse_special=True,
        )
        for harmless, rest in zip(plain, written[1:], strict=True):
            tokens += model.tokenize(harmless, add_special=False, parse_special=False)
            tokens += model.tokenize(rest, add_special=False, parse_special=True)
        return BuiltPrompt(rendered, tuple(tokens))

    def _render(self, turns: Sequence[Turn]) -> str:
        """Render, unless this template had to be stopped too often to be tried again."""
        assert self._template is not None
        if self._stops >= _MOST_STOPS and self._stopped is not None:
            raise self._stopped
        try:
            return self._renderer.render(
                self._template, turns, self._model.bos_text, self._model.eos_text
            )
        except TemplateStopped as stopped:
            self._stops += 1
            self._stopped = stopped
            raise

    def _hide(self, content: str, mark: str, hidden: list[str]) -> str:
        pattern = self._model.control_pattern
        if pattern is None:
            return content

        def replace(match: re.Match[str]) -> str:
            hidden.append(match.group())
            return f"{mark}{len(hidden) - 1}{mark}"

        return pattern.sub(replace, content)

    def _refuse_endless(self, rendered: str, longest: int | None) -> None:
        """Refuse before tokenizing what cannot fit however it is cut into tokens."""
        if longest is None:
            return
        size = len(rendered.encode("utf-8", "replace"))
        least = size // self._model.longest_piece
        if least > longest:
            raise EngineError(
                f"The prompt has {size:,} bytes, so at least {least:,} tokens, but the context "
                f"holds {longest}. Shorten the prompt, or raise "
                "performance_config.context_length if the model can do more."
            )


def _unused_character(messages: Sequence[Message]) -> str:
    """A private-use character that none of the messages holds."""
    text = "".join(one.content for one in messages)
    free = next((chr(code) for code in _PRIVATE_USE if chr(code) not in text), None)
    if free is None:
        raise EngineError(
            "The prompt uses every private-use character there is. Remove some of them."
        )
    return free
