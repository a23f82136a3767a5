"""The sections that judges contribute to the Results screen and the report."""

from __future__ import annotations

from collections import defaultdict

from emojudge.sections import Column, ReportKey, Row, Section, Sentence, Table, Voice
from emojudge.view import StudyView, mean_over_prompts


def similarity_section(view: StudyView) -> Section | None:
    """Likeness of each candidate's responses to the baseline's, and generation speed."""
    scores: dict[str, list[tuple[str, float]]] = defaultdict(list)
    tokens: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for response in view.responses:
        tokens[response.candidate] += response.tokens
        seconds[response.candidate] += response.seconds
        if response.id in view.ai_scores:
            scores[response.candidate].append((response.prompt_id, view.ai_scores[response.id]))
    rows: list[Row] = []
    data: dict[str, object] = {}
    for candidate in view.candidates:
        sha = candidate.sha256
        similarity = mean_over_prompts(scores[sha])
        speed = tokens[sha] / seconds[sha] if seconds[sha] else None
        failed = sum(one.candidate == sha for one in view.failures)
        rows.append(
            Row(
                (view.labels[sha], similarity, len(scores[sha]), failed, speed),
                Voice.BASELINE if candidate.is_baseline else Voice.PLAIN,
            )
        )
        data[candidate.name] = {
            "similarity": similarity,
            "ai_score": similarity,
            "judged_responses": len(scores[sha]),
            "failed_responses": failed,
            "tokens_per_second": speed,
        }
    if not any(scores.values()):
        return None
    columns = (
        Column("candidate"),
        Column("likeness to baseline", Voice.AI, decimals=3),
        Column("judged", Voice.DIM),
        Column("failed", Voice.DIM),
        Column("tokens/s", Voice.DIM, decimals=0),
    )
    note = Sentence(
        "likeness, not quality: by construction no candidate can beat the baseline here except "
        "by chance; 1 is the baseline against itself",
        Voice.DIM,
    )
    return Section(
        "similarity", "AI judges", ReportKey.AI, (Table(columns, tuple(rows)), note), data
    )
