"""``emojudge agree``, ``rank`` and ``simulate``: statistics on files, and on planted truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from emojudge.commands.options import EncodingOption, JsonOption, result


def agree(
    file: Annotated[Path, typer.Argument(help="CSV or JSONL; - is standard input.")],
    columns: Annotated[
        str | None, typer.Option("--columns", help="The raters' columns: a,b[,c…].")
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", help="One row per rating: the items' column.")
    ] = None,
    rater: Annotated[str | None, typer.Option("--rater", help="… the raters' column.")] = None,
    value: Annotated[str | None, typer.Option("--value", help="… the ratings' column.")] = None,
    level: Annotated[
        Literal["nominal", "ordinal", "interval"],
        typer.Option("--level", help="What the values are."),
    ] = "ordinal",
    encoding: EncodingOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far raters agree, in anybody's file, with intervals."""
    from emojudge.ranking.agree_file import agree_file, chosen_form, chosen_level

    form = chosen_form(columns, item, rater, value)
    found = agree_file(file, form, chosen_level(level), encoding)
    result(found.as_json(), as_json, found.lines(), found.notes)


def rank(
    file: Annotated[
        Path, typer.Argument(help="CSV or JSONL with left, right, winner; - is standard input.")
    ],
    encoding: EncodingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bradley-Terry strengths from pairwise votes, with intervals."""
    from emojudge.ranking.rank_file import rank_file

    found = rank_file(file, encoding)
    result(found.as_json(), as_json, found.lines(), found.notes)


def simulate(
    strengths: Annotated[
        str, typer.Option("--strengths", help="True scores, the baseline's first.")
    ] = "0.60,0.60,0.60,0.50",
    ai_strengths: Annotated[
        str | None, typer.Option("--ai-strengths", help="With the AI; unset: the same.")
    ] = None,
    prompts: Annotated[int, typer.Option("--prompts", min=2, help="Prompts of the study.")] = 100,
    raters: Annotated[int, typer.Option("--raters", min=1, help="People who rate.")] = 2,
    panes: Annotated[
        int, typer.Option("--panes", min=2, max=4, help="Responses beside each other.")
    ] = 4,
    noise: Annotated[
        float, typer.Option("--noise", min=0, help="sd that one rating adds.")
    ] = 0.2236,
    text: Annotated[float, typer.Option("--text", min=0, help="sd of a candidate's texts.")] = 0.1,
    interaction: Annotated[
        float, typer.Option("--interaction", min=0, help="sd of prompt × candidate.")
    ] = 0.05,
    taste: Annotated[float, typer.Option("--taste", min=0, help="sd of rater × candidate.")] = 0.0,
    prompt_sd: Annotated[float, typer.Option("--prompt-sd", min=0, help="sd of prompts.")] = 0.1,
    rater_sd: Annotated[
        float, typer.Option("--rater-sd", min=0, help="sd of raters' bias.")
    ] = 0.08,
    correlation: Annotated[
        float, typer.Option("--ai-correlation", min=-1, max=1, help="AI with a text's quality.")
    ] = 0.5,
    ai_weight: Annotated[
        float, typer.Option("--ai-weight", min=0, max=1, help="The AI's share.")
    ] = 0.4,
    studies: Annotated[
        int | None, typer.Option("--studies", min=1, help="Unset: 200, for --acceptance 2000.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="What is drawn.")] = 0,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write an SVG of ratings until a verdict.")
    ] = None,
    acceptance: Annotated[
        bool,
        typer.Option("--acceptance", help="Every promise beside its bound; 1 if one is missed."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What to expect of a study, on planted truth."""
    from emojudge.commands.simulate import numbers, run_acceptance, run_simulation
    from emojudge.ranking.simulate.planted import Design, Truth
    from emojudge.ranking.simulate.summary import Question

    if acceptance:
        found = run_acceptance(studies)
        result(found.as_json(), as_json, found.lines())
        if not found.reached:
            raise typer.Exit(1)
        return
    people = numbers("--strengths", strengths)
    truth = Truth(
        people=people,
        ai=numbers("--ai-strengths", ai_strengths) if ai_strengths is not None else people,
        noise=noise,
        text=text,
        interaction=interaction,
        taste=taste,
        prompt=prompt_sd,
        rater=rater_sd,
        correlation=correlation,
    )
    design = Design(prompts, raters, panes)
    summary = run_simulation(Question(truth, design, ai_weight, studies or 200, seed), plot)
    result(summary.as_json(), as_json, summary.lines())
