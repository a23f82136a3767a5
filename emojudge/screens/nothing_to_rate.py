"""Why there is nothing to rate just now, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from emojudge.actions import shown_key
from emojudge.pipeline.desk import Desk
from emojudge.ranking.evidence import too_few_prompts


def why_nothing(desk: Desk, keymap: Mapping[str, str]) -> str:
    """A sentence for the empty Rate screen; keys are named as the keymap has them."""
    session, study = desk.session, desk.study
    if session is not None and session.upcoming_prompts():
        if study.leader is not None and study.view().failures:
            return (
                "Fewer than two candidates could answer what is left, so there is nothing to "
                f"compare. {shown_key('app.candidates', keymap)} tells why."
            )
        return (
            "No responses are stored for the next item yet. The process that leads this "
            f"study is making them ({study.not_leading_because or 'starting'})"
        )
    if session is not None and session.pairwise:
        return (
            "You have voted on a pair of every prompt. "
            f"{shown_key('rate.to_scores', keymap)} goes back to scores."
        )
    minimum = study.config.judging_config.minimum_human_samples
    few = too_few_prompts(len(study.discovery.prompts), minimum) if study.discovered else None
    return (
        f"You have rated every prompt of this study. {shown_key('app.results', keymap)} shows the "
        f"results; {shown_key('rate.to_pairs', keymap)} votes on pairs, quickly."
        + (f" No verdict comes of that: {few}." if few is not None else "")
    )
