"""The live line: how often AI and the rater put two responses in the same order."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from emojudge.ranking.agreement import OrderAgreement
from emojudge.ranking.agreement_text import agreement_parts
from emojudge.text import visible_line
from emojudge.theme import VOICE_STYLES
from emojudge.widgets.trend import trend_bars


class AgreementLine(Widget):
    """Updates with every submitted item; says what is missing before the first."""

    DEFAULT_CSS = (
        "AgreementLine { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }"
    )

    agreement: reactive[OrderAgreement | None] = reactive(None)
    shown_items: reactive[int] = reactive(0)
    """Items to count, repeats among them: a number that stands still would tell them."""

    note: reactive[str] = reactive("")
    """A short message that stands here instead, until the next key."""

    waiting: reactive[bool] = reactive(False)
    """Whether the responses have not begun to show."""

    def render(self) -> Content:
        """One line."""
        if self.waiting and not self.note:
            return Content.styled(
                "the responses are on their way; all panes begin together", "$quiet"
            )
        if self.note:
            return Content.styled(visible_line(self.note), "bold")
        agreement = self.agreement
        if agreement is None or agreement.share is None:
            return Content.assemble(
                ("AI", "$ai"),
                (" vs ", "$quiet"),
                ("you", "$people"),
                (
                    " · the AI has judged none of your items yet"
                    if self.shown_items
                    else " · after the first submitted item",
                    "$quiet",
                ),
            )
        said = agreement_parts(agreement, self.shown_items or agreement.items)
        parts = [(text, VOICE_STYLES[voice.value]) for text, voice in said]
        return Content.assemble(*parts, " ", (trend_bars(agreement.trend), "$ai"))
