"""The short summary for a pull request, in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emojudge.provenance import provenance_of
from emojudge.report.cells import cell_text
from emojudge.report.json_report import is_complete
from emojudge.report.verdict_part import verdict_part
from emojudge.sections import Cell, Column, Interval, Section, Sentence
from emojudge.text import human_bytes, visible_line
from emojudge.view import StudyView

# What would be markup, or would make GitHub link or notify somebody.
_MARKUP = re.compile(
    r"[\\`*|~$<>&]|(?<![^\W_])_|_(?![^\W_])|\]\(|!\[|(?<=[a-z]):(?=//)|\bwww(?=\.)|[@#](?=\w)",
    re.IGNORECASE,
)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_ZERO_WIDTH_SPACE = "\u200b"
_HASH_DIGITS = 12
_SCORE = Column("", decimals=3)
_SIGNED = Column("", decimals=3, signed=True)


def _harmless(found: re.Match[str]) -> str:
    text = found.group()
    if text in _ENTITIES:
        return _ENTITIES[text]
    # GitHub looks for names and numbers after Markdown is done, where no escape is left.
    if text in "@#" or text.lower() == "www":
        return text + _ZERO_WIDTH_SPACE
    return "\\" + text if len(text) == 1 else text[0] + "\\" + text[1:]


def escaped(text: str) -> str:
    """``text`` on one line, shown by Markdown as it is: no markup, no link, nobody mentioned."""
    return _MARKUP.sub(_harmless, visible_line(text))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _difference(difference: dict[str, Any] | None) -> tuple[Cell, Cell]:
    if difference is None:
        return None, None
    low, high = difference["deciding_interval"]
    open_end = float("inf")
    interval = Interval(
        -open_end if low is None else low,
        open_end if high is None else high,
    )
    return difference["estimate"], interval


def _candidates(view: StudyView, section: Section) -> list[str]:
    base = next(
        (escaped(view.labels[one.sha256]) for one in view.candidates if one.is_baseline), ""
    )
    lines = [
        _row(["candidate", "size", "final", "people", "AI", f"− {base}", "95% at every look", "n"]),
        "|---|--:|--:|--:|--:|--:|---|--:|",
    ]
    for row in section.data["ranking"]:
        estimate, interval = _difference(row["minus_baseline"])
        name = escaped(view.labels[row["sha256"]])
        lines.append(
            _row(
                [
                    f"{name} (baseline)" if row["is_baseline"] else name,
                    human_bytes(row["size_bytes"]),
                    *(
                        cell_text(row[score], _SCORE)
                        for score in ("final_score", "human_score", "ai_score")
                    ),
                    cell_text(estimate, _SIGNED),
                    cell_text(interval, _SIGNED),
                    str(row["rated_items"]),
                ]
            )
        )
    return lines


def _repeat_line(view: StudyView) -> str:
    provenance = provenance_of(view)
    hashes = ", ".join(
        f"{name} {provenance[f'{name}_sha256'][:_HASH_DIGITS]}"
        for name in ("config", "prompts", "responses", "ratings")
    )
    engines = ", ".join(provenance["engines"]) or "nothing generated"
    return (
        f"<sub>emojudge {provenance['emojudge']} · {escaped(engines)} · seed {provenance['seed']} "
        f"· sha256: {hashes}</sub>"
    )


def render_summary(
    view: StudyView, sections: Sequence[Section], phases_completed: Sequence[str]
) -> str:
    """Verdict, candidates, agreement, what is missing, and hashes; ends with a newline."""
    by_name = {section.name: section for section in sections}
    lines = [f"### emojudge: {escaped(view.config.name)}", ""]
    if not is_complete(phases_completed):
        lines += ["Incomplete: not every phase that a ranking needs is done.", ""]
    verdict = by_name.get("verdict")
    if verdict is not None:
        part = verdict_part(verdict)
        lines += [f"**{escaped(part.sentence)}**", ""]
        lines += [f"- {escaped(one)}" for one in part.remarks]
        lines += [f"- missing: {escaped(one)}" for one in part.missing]
    agreement = by_name.get("agreement")
    if agreement is not None:
        said = next((one.text for one in agreement.blocks if isinstance(one, Sentence)), "")
        lines += [f"- agreement: {escaped(said)}"]
    fidelity = by_name.get("fidelity")
    if fidelity is not None and fidelity.data["sentence"] is not None:
        lines += [f"- fidelity: {escaped(fidelity.data['sentence'])}"]
    ranking = by_name.get("ranking")
    if ranking is not None:
        lines += ["", *_candidates(view, ranking)]
        lines += ["", "n: rated items; final, people and AI from 0 to 1."]
    return "\n".join([*lines, "", _repeat_line(view), ""])
