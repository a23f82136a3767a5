"""The report files: their structure, what they say, and that nothing of a study is markup."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import random
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from emojudge.config import Config
from emojudge.config_file import load_config
from emojudge.domain import (
    Candidate,
    Criterion,
    Message,
    ModelFile,
    Prompt,
    RatedItem,
    Rating,
    Response,
    Specs,
)
from emojudge.pipeline.exchange import export_text, import_ratings
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.reporting import write_report
from emojudge.pipeline.results import SECTION_SOURCES, build_sections
from emojudge.pipeline.study import Study
from emojudge.provenance import (
    config_sha256,
    fingerprint,
    package_versions,
    prompts_sha256,
    provenance_of,
    ratings_sha256,
)
from emojudge.report.charts import figures_of
from emojudge.report.html import render_html
from emojudge.report.json_report import build_comparisons, build_report, json_bytes
from emojudge.report.markdown import escaped, render_summary
from emojudge.report.schema import comparisons_schema, report_schema
from emojudge.report.write import Written, write_reports
from emojudge.sections import ReportKey, Section
from emojudge.view import StudyView
from tests.studies import SCRIPTED, judged_study, write_study
from tests.test_rating import rate

HOSTILE = '</td><script>alert("x")</script>|`@octocat`\n# <b>**bold**</b> \x1b[2J\u202e'
PLAIN_NAMES = ("model-F16", "model-Q8_0", "model-Q5_0", "model-Q4_0", "model-Q2_K")
ALL_PHASES = ("discover", "ai-judge", "human-judge", "rank")


def candidate(name: str, size: int, *, baseline: bool = False) -> Candidate:
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    return Candidate(
        name=name,
        files=(
            ModelFile(path=f"/models/{size}.gguf", size=size, sha256=digest, mtime_ns=0, inode=0),
        ),
        specs=Specs(
            architecture="llama",
            model_name=None,
            parameters=135_000_000,
            quantization="F16",
            bits_per_weight=16,
            tensor_types={"F16": 3},
            context_length=2048,
            vocabulary_size=1000,
            chat_template=None,
        ),
        is_baseline=baseline,
    )


def response(owner: Candidate, prompt: Prompt, text: str) -> Response:
    return Response(
        id=f"{owner.sha256[:8]}/{prompt.id}",
        candidate=owner.sha256,
        prompt_id=prompt.id,
        sample=0,
        seed=7,
        text=text,
        finish="end",
        prompt_tokens=1,
        tokens=12,
        first_token_seconds=0.1,
        seconds=1,
        rendered_sha256="",
        engine="llama-cpp-python 0.3.36",
        batch_width=32,
        created="",
    )


def study_view(
    *,
    items: int = 60,
    raters: tuple[str, ...] = ("ana", "ben"),
    names: tuple[str, ...] = PLAIN_NAMES,
    said: str = "I am here.",
    loss: float = 0.06,
    seed: int = 5,
    ai_slope: float = 1.0,
) -> StudyView:
    """A rated study of 30 prompts; each rung is ``loss`` worse than the one above.

    The AI sees ``ai_slope`` times people's differences. Every third prompt is common to the
    raters, and each rater rates one item a second time.
    """
    draw = random.Random(seed)
    candidates = tuple(
        candidate(name, (100 - place) * 1_000_000, baseline=place == 0)
        for place, name in enumerate(names)
    )
    prompts = tuple(
        Prompt(
            id=f"p{number}",
            messages=(Message(role="user", content=f"{said} {number}"),),
            category="comfort in crisis",
        )
        for number in range(30)
    )
    true = {one.sha256: 0.7 - loss * place for place, one in enumerate(candidates)}
    responses = [response(one, prompt, said) for prompt in prompts for one in candidates]
    ai = {
        one.id: 0.7 + ai_slope * (true[one.candidate] - 0.7) + draw.gauss(0.2, 0.08)
        for one in responses
    }
    rated: list[RatedItem] = []

    def score(sha: str) -> int:
        return min(5, max(1, round(1 + 4 * (true[sha] + draw.gauss(0, 0.15)))))

    def add(rater: str, prompt: Prompt, repeat_of: str | None = None) -> None:
        shown = draw.sample(candidates, min(4, len(candidates)))
        if repeat_of is not None:
            before = next(one for one in rated if one.id == repeat_of)
            known = {one.sha256: one for one in candidates}
            shown = [known[one.candidate] for one in before.ratings]
        rated.append(
            RatedItem(
                id=f"{rater}-{len(rated)}",
                rater=rater,
                number=len(rated) + 1,
                prompt_id=prompt.id,
                sample=0,
                ratings=tuple(
                    Rating(
                        candidate=one.sha256,
                        response_id=f"{one.sha256[:8]}/{prompt.id}",
                        scores={name: score(one.sha256) for name in Criterion},
                        comment=said,
                    )
                    for one in shown
                ),
                seconds=40,
                submitted=f"2026-11-03T12:{len(rated):02d}:00+00:00",
                repeat_of=repeat_of,
            )
        )

    for number in range(items):
        place, turn = divmod(number, max(1, len(raters)))
        add(raters[turn], prompts[(place * 2 + (turn if place % 3 else 0)) % len(prompts)])
    if items > 10:
        for rater in raters:
            first = next(one for one in rated if one.rater == rater)
            add(rater, next(one for one in prompts if one.id == first.prompt_id), first.id)
    return StudyView(
        config=Config(name=said if said == HOSTILE else "companion-v3"),
        seed=11,
        candidates=candidates,
        unusable=(),
        prompts=prompts,
        responses=tuple(responses),
        failures=(),
        judgements=(),
        rated=tuple(rated),
        ai_scores=ai,
        part_scores={"similarity": ai},
    )


VIEWS = {
    "nothing rated": {"items": 0},
    "one item": {"items": 1, "raters": ("ana",)},
    "a few items": {"items": 6},
    "one candidate": {"items": 0, "names": PLAIN_NAMES[:1]},
    "two raters": {},
    "a clear winner": {"loss": 0.25, "names": PLAIN_NAMES[:2], "items": 120},
    "all the same": {"loss": 0.0, "names": PLAIN_NAMES[:3], "items": 120},
    "in dispute": {"loss": 0.25, "names": PLAIN_NAMES[:2], "items": 120, "ai_slope": -1.0},
}


@pytest.fixture(scope="module", params=VIEWS, ids=lambda name: name.replace(" ", "-"))
def view(request: pytest.FixtureRequest) -> StudyView:
    return study_view(**VIEWS[request.param])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rated_view() -> StudyView:
    return study_view()


@pytest.fixture(scope="module")
def hostile_view() -> StudyView:
    names = tuple(f"{name}{HOSTILE}" for name in PLAIN_NAMES[:3])
    return study_view(names=names, said=HOSTILE, raters=(HOSTILE, "ben"))


def report_of(view: StudyView) -> dict[str, Any]:
    """As it is read back from its file."""
    report: dict[str, Any] = json.loads(
        json_bytes(build_report(view, build_sections(view), ALL_PHASES))
    )
    return report


def page_of(view: StudyView) -> str:
    return render_html(view, build_sections(view), ALL_PHASES, "3 Nov 2026, 12:00")


def summary_of(view: StudyView) -> str:
    return render_summary(view, build_sections(view), ALL_PHASES)


def problems(report: dict[str, Any]) -> list[str]:
    found = Draft202012Validator(report_schema()).iter_errors(report)
    return [f"{one.json_path}: {one.message}" for one in found]


# JSON


def test_the_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(report_schema())
    Draft202012Validator.check_schema(comparisons_schema())


def test_reports_keep_to_the_schema(view: StudyView) -> None:
    assert problems(report_of(view)) == []


def test_comparisons_keep_to_the_schema(view: StudyView) -> None:
    comparisons = json.loads(json_bytes(build_comparisons(view)))
    Draft202012Validator(comparisons_schema()).validate(comparisons)


def test_the_views_reach_all_that_they_are_meant_to_reach() -> None:
    kinds = set()
    for settings in VIEWS.values():
        report = report_of(study_view(**settings))  # type: ignore[arg-type]
        kinds.add(report["final_rankings"]["verdict"]["kind"])
    assert kinds == {None, "inconclusive", "winner", "smallest_as_good", "in_dispute"}


BROKEN: dict[str, tuple[str, Any]] = {
    "a top key more": ("surprise", {}),
    "an unknown verdict": ("final_rankings.verdict.kind", "probably"),
    "an inconclusive recommendation": ("final_rankings.verdict.recommended", 3),
    "a score as text": ("final_rankings.ranking.ranking.0.final_score", ".712"),
    "one end only": (
        "final_rankings.ranking.ranking.0.minus_leader",
        {
            "estimate": 0.1,
            "fixed_n_interval": [0.0],
            "deciding_interval": [0, 1],
            "evidence": 1,
            "prompts": 9,
        },
    ),
    "a short hash": ("pass2_execution.provenance.ratings_sha256", "5f3a"),
    "an agreement without n": (
        "human_judging_results.agreement.order_agreement",
        {"value": 0.6, "interval": None},
    ),
    "a loss without its floor": (
        "ai_judging_results.fidelity.candidates.model-Q8_0.emotional_degradation",
        {"value": 0.01, "interval": None, "n": 3},
    ),
    "an unknown fault": (
        "ai_judging_results.fidelity.baseline_warnings",
        [{"fault": "ugly", "sentence": "It is."}],
    ),
    "an unknown phase": ("pass2_execution.phases_completed", ["discover", "dream"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_report_does_not(name: str, rated_view: StudyView) -> None:
    report = copy.deepcopy(report_of(rated_view))
    path, value = BROKEN[name]
    *parents, last = path.split(".")
    part: Any = report
    for key in parents:
        part = part[int(key)] if key.isdigit() else part[key]
    part[last] = value
    assert problems(report)


def test_no_required_part_can_be_left_out(rated_view: StudyView) -> None:
    for path in (
        ("pass2_execution", "provenance"),
        ("final_rankings", "verdict"),
        ("final_rankings", "ranking"),
        ("human_judging_results", "agreement"),
        ("candidate_discovery", "candidates"),
    ):
        report = copy.deepcopy(report_of(rated_view))
        del report[path[0]][path[1]]
        assert problems(report), path


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for own in value.values():
            yield from numbers_in(own)
    elif isinstance(value, list | tuple):
        for own in value:
            yield from numbers_in(own)


def test_sections_hold_no_figure_that_json_cannot_say(view: StudyView) -> None:
    for section in build_sections(view):
        assert all(math.isfinite(one) for one in numbers_in(section.data)), section.name


def test_a_figure_that_json_cannot_say_becomes_null(rated_view: StudyView) -> None:
    bad = Section("odd", "odd", ReportKey.AI, (), {"nan": math.nan, "ends": (-math.inf, 1.0)})
    report = build_report(rated_view, [bad], [])
    assert report["ai_judging_results"]["odd"] == {"nan": None, "ends": [None, 1.0]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes({"value": math.nan})


def test_the_report_holds_what_a_repeat_needs(rated_view: StudyView) -> None:
    execution = report_of(rated_view)["pass2_execution"]
    provenance = execution["provenance"]
    again = Config.model_validate(execution["config"])
    assert provenance["config_sha256"] == config_sha256(again) == fingerprint(execution["config"])
    assert provenance["prompts_sha256"] == prompts_sha256(rated_view.prompts)
    assert provenance["ratings_sha256"] == ratings_sha256(rated_view.rated)
    assert [one["sha256"] for one in provenance["candidates"]] == [
        one.sha256 for one in rated_view.candidates
    ]
    assert provenance["candidates"][0]["files"][0] == {
        "name": "100000000.gguf",
        "size_bytes": 100_000_000,
        "sha256": rated_view.candidates[0].sha256,
    }
    assert (provenance["engines"], provenance["batch_widths"], provenance["seed"]) == (
        ["llama-cpp-python 0.3.36"],
        [32],
        11,
    )
    assert (provenance["responses"], provenance["rated_items"]) == (150, 62)
    assert provenance["packages"] == package_versions()
    assert package_versions()["numpy"]


def test_hashes_change_with_content_and_not_with_order(rated_view: StudyView) -> None:
    rated = rated_view.rated
    assert ratings_sha256(rated[::-1]) == ratings_sha256(rated)
    assert ratings_sha256(rated[1:]) != ratings_sha256(rated)
    said = rated[0].ratings[0].model_copy(update={"comment": "other"})
    changed = rated[0].model_copy(update={"ratings": (said, *rated[0].ratings[1:])})
    assert ratings_sha256((changed, *rated[1:])) != ratings_sha256(rated)
    assert prompts_sha256(rated_view.prompts[::-1]) == prompts_sha256(rated_view.prompts)
    assert config_sha256(Config(name="a")) != config_sha256(Config(name="b"))


def test_a_fingerprint_is_the_sha256_of_canonical_json() -> None:
    expected = hashlib.sha256('{"a":[1,null],"ü":"x"}'.encode()).hexdigest()
    assert fingerprint({"ü": "x", "a": (1, None)}) == expected


def test_comparisons_keep_repeats_apart(rated_view: StudyView) -> None:
    prompts = build_comparisons(rated_view)["prompts"]
    responses = [one for prompt in prompts for one in prompt["responses"]]
    counted = sum(len(one["ratings"]) for one in responses)
    assert counted == sum(len(item.ratings) for item in rated_view.counted_items)
    repeats = [again for one in responses for again in one["repeats"]]
    assert len(repeats) == 8
    assert {again["repeat_of"] for again in repeats} == {"ana-0", "ben-1"}
    assert all(one["ai_parts"] == {"similarity": one["ai_score"]} for one in responses)


# HTML


class Page(HTMLParser):
    """Every tag with its attributes; refuses what is not closed or not nested."""

    VOID = frozenset({"meta", "br", "line", "rect", "circle", "polygon", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_loads_nothing_and_runs_nothing(view: StudyView) -> None:
    text = page_of(view)
    page = Page(text)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "base", "form", "image", "use"}
    attributes = {name for _, own in page.tags for name in own}
    assert not attributes & {"src", "href", "xlink:href", "srcset", "style", "action"}
    assert not {name for name in attributes if name.startswith("on")}
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_is_for_eyes_ears_phones_and_night(rated_view: StudyView) -> None:
    text = page_of(rated_view)
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    for query in ("prefers-color-scheme: dark", "@media print", "max-width: 34rem"):
        assert query in text
    assert len(page.all("svg")) == len(page.all("figcaption")) == 5
    for picture in page.all("svg"):
        assert picture["role"] == "img"
        assert picture["aria-label"]
        assert (picture["viewbox"] or "").startswith("0 0 360 ")
        assert "width" not in picture
    assert all(one.get("scope") in {"row", "col"} for one in page.all("th"))
    assert len(page.all("table")) == text.count('class="scroll"')


def test_plots_are_there_when_there_is_something_to_draw() -> None:
    def drawn(**settings: Any) -> dict[str, int]:
        view = study_view(**settings)
        return {one.name: len(figures_of(view, one)) for one in build_sections(view)}

    nothing = drawn(items=0)
    assert (nothing["ranking"], nothing["agreement"]) == (1, 0)
    assert (nothing["fidelity"], nothing["frontier"]) == (0, 1)
    assert "criteria" not in nothing
    rated = drawn()
    assert (rated["ranking"], rated["agreement"], rated["criteria"]) == (2, 1, 1)


def test_captions_name_n_interval_and_settings(rated_view: StudyView) -> None:
    sections = {one.name: one for one in build_sections(rated_view)}
    forest, voices = figures_of(rated_view, sections["ranking"])
    for said in ("0.6 people, 0.4 AI", "n = rated items", "deciding interval, 95%", "fixed-n"):
        assert said in forest.caption
    prompts = sections["verdict"].data["prompts"]
    assert prompts > 20
    assert f"from {prompts} prompts" in forest.caption
    assert "within 0.075 of F16" in forest.caption
    assert "n = judged responses" in voices.caption
    (trend,) = figures_of(rated_view, sections["agreement"])
    agreement = sections["agreement"].data
    assert f"n = {agreement['pairs']} pairs from {agreement['items']} items" in trend.caption
    assert f"from {agreement['ceiling']['n']} pairs that were rated twice" in trend.caption


def places(svg: str, kind: str) -> list[tuple[float, float]]:
    """The two ends of the lines of a kind."""
    found = re.findall(rf'<line x1="(\S+)" y1="\S+" x2="(\S+)" y2="\S+" class="{kind}"/>', svg)
    return [(float(one), float(other)) for one, other in found]


def test_the_forest_draws_the_figures_of_the_report(rated_view: StudyView) -> None:
    """Differences of places on the drawing are in the ratio of differences of figures."""
    sections = {one.name: one for one in build_sections(rated_view)}
    forest = figures_of(rated_view, sections["ranking"])[0]
    rows = sections["ranking"].data["ranking"]
    intervals = [row["minus_baseline"] for row in rows if row["minus_baseline"] is not None]
    ((x, width),) = re.findall(r'<rect x="(\S+)" y="0" width="(\S+)" \S+ class="band"', forest.svg)
    unit = float(width) / 0.15
    level = float(x) + float(width) / 2
    drawn = places(forest.svg, "deciding")
    assert len(drawn) == len(intervals) == 4
    for (left, right), own in zip(drawn, intervals, strict=True):
        low, high = own["deciding_interval"]
        assert left == pytest.approx(level + unit * low, abs=0.3)
        assert right == pytest.approx(level + unit * high, abs=0.3)
    ticks = [one for one, _ in places(forest.svg, "fixed")]
    expected = [level + unit * end for own in intervals for end in own["fixed_n_interval"]]
    assert ticks == pytest.approx(expected, abs=0.3)


def test_an_interval_that_nothing_bounds_is_drawn_as_open() -> None:
    view = study_view(items=2)
    sections = {one.name: one for one in build_sections(view)}
    forest = figures_of(view, sections["ranking"])[0].svg
    assert 'class="open"' in forest
    assert 'class="deciding"' not in forest


def test_the_verdict_stands_on_top_with_what_is_missing_and_behind() -> None:
    view = study_view(items=6)
    verdict = build_sections(view)[0].data
    words = "".join(Page(page_of(view)).words)
    at = [
        words.index(one)
        for one in (
            verdict["sentence"],
            "what is still missing",
            verdict["missing"][0],
            "behind it",
            verdict["behind"][0],
            "how to repeat this",
            provenance_of(view)["ratings_sha256"],
        )
    ]
    assert at == sorted(at)


def test_nothing_of_a_study_is_markup_in_the_page(hostile_view: StudyView) -> None:
    text = page_of(hostile_view)
    page = Page(text)
    assert {name for name, _ in page.tags} <= {name for name, _ in Page(page_of(study_view())).tags}
    assert "&lt;script&gt;alert" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


# Markdown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Q8_0 is as good as F16 (within .075)", "Q8_0 is as good as F16 (within .075)"),
        ("−.012 [−.05, .03]", "−.012 [−.05, .03]"),
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("`x` *y* _z_ ~~w~~", "\\`x\\` \\*y\\* \\_z\\_ \\~\\~w\\~\\~"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("[a](b) ![c](d)", "[a]\\(b) !\\[c]\\(d)"),
        ("@octocat #12", "@\u200boctocat #\u200b12"),
        ("https://x.y www.x.y", "https\\://x.y www\u200b.x.y"),
        ("two\nlines", "two⏎lines"),
        ("\x1b[2J", "␛[2J"),
    ],
)
def test_markdown_shows_text_as_it_is(said: str, shown: str) -> None:
    assert escaped(said) == shown


def test_the_summary_is_short_and_says_what_counts(rated_view: StudyView) -> None:
    text = summary_of(rated_view)
    verdict = build_sections(rated_view)[0].data
    assert f"**{escaped(verdict['sentence'])}**" in text
    assert "confidence" in text
    assert "AI and people put a pair in the same order in" in text
    rows = [one for one in text.splitlines() if one.startswith("| ")]
    assert len(rows) == 1 + 5
    assert all(row.count("|") == 9 for row in rows)
    assert f"ratings {ratings_sha256(rated_view.rated)[:12]}" in text
    assert len(text) < 2500


def test_the_summary_says_what_is_missing() -> None:
    assert "- missing: at least 10 rated items of each candidate" in summary_of(study_view(items=0))


def test_nothing_of_a_study_is_markup_in_the_summary(hostile_view: StudyView) -> None:
    text = summary_of(hostile_view)
    assert "<script" not in text
    assert "@octocat" not in text
    assert not re.search(r"(?<!\\)`", text)
    rows = [one for one in text.splitlines() if one.startswith("| ")]
    assert len(rows) == 4
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 9 for row in rows)
    headings = [one for one in text.splitlines() if re.match(r"\s*#", one)]
    assert len(headings) == 1


# Files


def read(written: Written) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(written.report.read_text())
    return report


async def test_reports_of_a_real_study_at_every_stage(tmp_path: Path) -> None:
    study = await judged_study(tmp_path, human_judging={"repeat_share": 0.3})
    assert problems(read(write_report(study))) == []
    for number, value in enumerate((2, 4, 5)):
        for rater in ("ana", "ben"):
            session = RaterSession(Study(study.loaded), rater)
            rate(session, value)
            session.close()
        current = Study(study.loaded)
        written = write_report(current, html=True)
        report = read(written)
        assert problems(report) == []
        provenance = report["pass2_execution"]["provenance"]
        assert provenance["rated_items"] == 2 * (number + 1)
        assert provenance["ratings_sha256"] == ratings_sha256(current.view().rated)
        assert written.html is not None
        Page(written.html.read_text())
        assert written.comparisons is not None
        comparisons = json.loads(written.comparisons.read_text())
        Draft202012Validator(comparisons_schema()).validate(comparisons)


async def test_the_way_to_repeat_a_run_leads_to_the_same_report(tmp_path: Path) -> None:
    """The page's own steps: config out of the report, run, export and import of the ratings."""
    study = await judged_study(tmp_path / "one", human_judging={"repeat_share": 0.3})
    for rater in ("ana", "ben"):
        session = RaterSession(Study(study.loaded), rater)
        for value in (2, 4, 5):
            rate(session, value)
        session.close()
    study = Study(study.loaded)
    first = read(write_report(study))
    (tmp_path / "ratings.jsonl").write_text(export_text(study, "jsonl"))

    folder = tmp_path / "two"
    write_study(folder)
    config = first["pass2_execution"]["config"]
    (folder / "phase2_config.json").write_text(json.dumps(config))
    again = Study(load_config(folder))
    run = HeadlessRun(again, SCRIPTED)
    again.lead()
    await run.discover()
    await run.ai_judge()
    again.close()
    import_ratings(Study(again.loaded), tmp_path / "ratings.jsonl")
    second = read(write_report(Study(again.loaded)))
    assert second["pass2_execution"] == first["pass2_execution"]
    assert second["pass2_execution"]["provenance"]["ratings"] == 18
    for part in ("final_rankings", "human_judging_results"):
        assert second[part] == first[part]


@pytest.mark.usefixtures("noon")
async def test_a_run_writes_the_four_files(tmp_path: Path) -> None:
    study = Study(write_study(tmp_path))
    run = HeadlessRun(study, SCRIPTED)
    study.lead()
    await run.discover()
    await run.ai_judge()
    written = run.rank()
    study.close()
    assert sorted(one.name for one in (tmp_path / "results").iterdir()) == [
        "model_comparisons_20261103_120000.json",
        "pass2_complete_report_20261103_120000.html",
        "pass2_complete_report_20261103_120000.json",
        "pass2_summary_20261103_120000.md",
    ]
    assert "Incomplete" in written.summary.read_text()


@pytest.mark.usefixtures("noon")
def test_only_what_is_wanted_is_written(rated_view: StudyView, tmp_path: Path) -> None:
    config = rated_view.config.model_copy(
        update={
            "output_config": rated_view.config.output_config.model_copy(
                update={"save_comparisons": False}
            )
        }
    )
    view = dataclasses.replace(rated_view, config=config, memo={})
    written = write_reports(view, build_sections(view), (), tmp_path, html=False)
    assert (written.comparisons, written.html) == (None, None)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_page_of_many_candidates_stays_small() -> None:
    names = tuple(f"model-{number:03d}" for number in range(60))
    view = study_view(names=names, items=0)
    page = page_of(view)
    assert "The first 40 of 60 are drawn." in page
    assert len(page) < 200_000


def test_every_section_is_in_the_page(rated_view: StudyView) -> None:
    words = "".join(Page(page_of(rated_view)).words)
    for section in build_sections(rated_view, SECTION_SOURCES):
        assert section.title in words
