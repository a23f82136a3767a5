"""The verdict as the HTML page and the Markdown summary show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emojudge.sections import Section, Sentence
from emojudge.text import counted

_KINDS = {
    "in_dispute": "in dispute (AI and people are each sure, and disagree)",
    "winner": "winner (better than every rival)",
    "smallest_as_good": "smallest as good (as the baseline, within the margin)",
    "inconclusive": "inconclusive",
    None: "none yet",
}


@dataclass(frozen=True)
class VerdictPart:
    """The verdict's sentence, remarks on it, what is missing, and what is behind it.

    ``behind`` are sentences, ``figures`` pairs of a figure's name and its value.
    """

    sentence: str
    remarks: tuple[str, ...]
    missing: tuple[str, ...]
    behind: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def verdict_part(section: Section) -> VerdictPart:
    """From the verdict's section; its sentences that are told elsewhere are not remarks."""
    data = section.data
    told = {data["sentence"], *(f"missing: {one}" for one in data["missing"])}
    remarks = [
        one.text for one in section.blocks if isinstance(one, Sentence) and one.text not in told
    ]
    return VerdictPart(
        sentence=data["sentence"],
        remarks=tuple(remarks),
        missing=tuple(data["missing"]),
        behind=tuple(data["behind"]),
        figures=tuple(_figures(data)),
    )


def _figures(data: dict[str, Any]) -> list[tuple[str, str]]:
    settings, effective = data["settings"], data["effective_weights"]
    weights = f"people {settings['human_judge_weight']:g}, AI {settings['ai_judge_weight']:g}" + (
        f"; in effect {effective['people']:.2f} and {effective['ai']:.2f}" if effective else ""
    )
    figures = [
        ("verdict", _KINDS.get(data["kind"], str(data["kind"]))),
        ("n", f"{counted(data['items'], 'item')} on {counted(data['prompts'], 'prompt')}"),
        ("raters", ", ".join(data["raters"]) or "none"),
        ("weights", weights),
    ]
    if data["confidence"] is not None:
        sure = (
            f"{data['confidence']:.2f}: probability, over a bootstrap of prompts, that AI and "
            f"people prefer the same of {data['leader']} and {data['runner_up']}"
        )
        figures.append(("confidence", sure))
    if data["holds_for_ai_weights"] is not None:
        low, high = data["holds_for_ai_weights"]
        figures.append(("holds for AI weights", f"{low:.2f} to {high:.2f}"))
    if len(data["raters"]) > 1 and data["kind"] not in (None, "inconclusive"):
        resting = ", ".join(data["rests_on_raters"])
        text = f"another verdict without {resting}" if resting else "the same without each"
        figures.append(("leaving one rater out", text))
    if data["more_items"] is not None:
        figures.append(("more items", _ahead(data["more_items"])))
    figures.append(
        (
            "settings",
            f"margin {settings['equivalence_margin']:g}, α {settings['alpha']:g}, prior of "
            f"differences {settings['prior_sd']:g}; nothing is decided before "
            f"{settings['minimum_prompts']} prompts and {settings['minimum_human_samples']} rated "
            "items of each candidate",
        )
    )
    return figures


def _ahead(ahead: dict[str, Any]) -> str:
    if ahead["items"] is not None:
        return f"about {ahead['items']} of the {ahead['remaining']} left, in 9 of 10 simulations"
    ending = (
        f"about {ahead['on_new_prompts']} on new prompts would do"
        if ahead["on_new_prompts"] is not None
        else "new prompts may not do either"
    )
    return (
        f"the {ahead['remaining']} left reach a verdict in {ahead['share']:.0%} of simulations; "
        f"{ending}"
    )
