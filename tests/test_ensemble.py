"""The ensemble in whole studies on scripted workers: exams, weights, votes, caching, bad judges."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from emojudge.config import JudgeConfig
from emojudge.config_file import load_config
from emojudge.domain import Judgement, Quality, Vote
from emojudge.errors import ConfigError, UsageError
from emojudge.judges.emotional_judge import consensus_of, ensemble_scores
from emojudge.judges.judge_figures import ensemble_figures
from emojudge.judges.questions import level, score_figures
from emojudge.judges.rubric import COUNTED, PERSONAS
from emojudge.judges.vote_sections import outcome
from emojudge.pipeline.headless import HeadlessRun
from emojudge.pipeline.judges_found import judges_found
from emojudge.pipeline.rating import RaterSession
from emojudge.pipeline.reporting import phases_completed
from emojudge.pipeline.results import build_sections
from emojudge.pipeline.study import Study
from emojudge.report.schema import report_schema
from emojudge.sections import Sentence
from emojudge.store.tables import EXAMS, JUDGEMENTS, UNANSWERED, VOTES
from emojudge.view import JudgeStanding, Standing
from tests.fakes.scripted_minds import situation_of
from tests.fakes.stub_endpoint import Reply, completion, stub_endpoint
from tests.gguf_files import F16, Q4_0, language_model
from tests.studies import SCRIPTED, write_study

KEY = "sk-very-secret-0123456789"


def mind(folder: Path, name: str) -> str:
    """The model file of a scripted judge; a path as a config may hold it."""
    place = folder / "judges" / f"{name}.gguf"
    if not place.exists():
        language_model(F16, fill=50 + len(list(place.parent.glob("*")))).write(place)
    return f"judges/{name}.gguf"


def judge(folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    """``the-longest`` is a judge that thinks like the control of that name."""
    model = mind(folder, name.removeprefix("the-"))
    return {"name": name, "model": model, "persona": "empathic", **changes}


def topics(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"p{number}", "prompt": situation_of(number), "category": "comfort in crisis"}
        for number in range(count)
    ]


async def ai_judge(study: Study) -> int:
    """Run phase 2; returns how many judgements it made."""
    before = len(study.store.all(JUDGEMENTS))
    run = HeadlessRun(study, SCRIPTED)
    study.lead()
    try:
        await run.discover()
        await run.ai_judge()
    finally:
        study.close()
    return len(study.store.all(JUDGEMENTS)) - before


def standing(study: Study, title: str) -> JudgeStanding:
    return next(one for one in study.view().judges if one.title == title)


def rate_one_item(study: Study) -> None:
    session = RaterSession(Study(study.loaded), "ana")
    item = session.next_item()
    assert item is not None
    for _ in range(4 * len(item.panes)):
        session.score(3)
    session.submit()
    session.close()


@pytest.fixture
async def examined(tmp_path: Path) -> Study:
    """Sixty prompts, and judges that are right, guess and mumble."""
    names = ("right-95-1", "random-1", "mumbles")
    loaded = write_study(
        tmp_path,
        prompts=topics(60),
        generation={"samples_per_prompt": 2},
        judging_config={"judges": [judge(tmp_path, one) for one in names]},
    )
    study = Study(loaded)
    await ai_judge(study)
    return study


async def test_a_study_examines_its_judges_and_only_who_passed_counts(examined: Study) -> None:
    view = examined.view()
    right, guessing, mumbling = view.judges
    assert right.standing is Standing.COUNTS
    assert (right.weight, set(right.qualities)) == (1.0, set(COUNTED))
    assert (guessing.standing, guessing.weight) == (Standing.FAILED, 0.0)
    assert (mumbling.standing, mumbling.weight) == (Standing.FAILED, 0.0)
    assert mumbling.exam is not None
    assert mumbling.exam.valid == 0
    assert set(view.control_exams) == {"longest", "shortest", "random", "constant"}
    # Who failed is not asked about candidates; who passed is, and is half of the score.
    assert set(view.part_scores["ensemble"]) == {one.id for one in view.responses}
    assert not view.judge_scores["random-1"]
    found = judges_found(examined).as_json()
    assert [(one["name"], one["weight"]) for one in found["judges"]] == [
        ("right-95-1", 1.0),
        ("random-1", 0.0),
        ("mumbles", 0.0),
    ]
    exchanged = found["judges"][0]["damages"]["exchanged"]
    assert exchanged["passed"]
    assert exchanged["share"] > exchanged["lower"] > 0.6
    assert set(found["judges"][0]["damages"]) == {"exchanged", "shuffled", "cut", "padded"}
    sections = {one.name: one for one in build_sections(view)}
    assert sections["judges"].data["judges"][0]["same_order_as_people"] is None
    assert sections["judges"].data["ai_score_shares"]["ensemble"] == pytest.approx(0.5)
    assert "judges" in json.dumps(report_schema())


async def test_nothing_is_asked_twice(examined: Study, tmp_path: Path) -> None:
    exams, votes = len(examined.store.all(EXAMS)), len(examined.store.all(VOTES))
    again = Study(examined.loaded)
    assert await ai_judge(again) == 0
    assert (len(again.store.all(EXAMS)), len(again.store.all(VOTES))) == (exams, votes)


async def small(folder: Path, *judges: dict[str, Any], **changes: Any) -> Study:
    judging = {"judges": list(judges), **changes.pop("judging_config", {})}
    return Study(write_study(folder, judging_config=judging, **changes))


async def test_a_small_study_examines_nobody_and_shows_what_they_say(tmp_path: Path) -> None:
    study = await small(tmp_path, judge(tmp_path, "the-longest"), judge(tmp_path, "first"))
    await ai_judge(study)
    view = study.view()
    assert {one.standing for one in view.judges} == {Standing.NOT_EXAMINED}
    assert view.part_scores["ensemble"] == {}
    figures = ensemble_figures(view)
    longest = figures.judges["the-longest"]
    assert longest.length is not None
    assert longest.length.value > 0.9
    assert (longest.answered, longest.valid) == (len(view.responses), len(view.responses))
    first = figures.judges["first"]
    # It prefers what it reads first by .8 / .9, in every pair.
    assert first.order_bias is not None
    assert first.order_bias.value == pytest.approx(0.8 / 0.9 - 0.5)
    assert (first.turned, first.flat) == (1.0, True)
    # Every pair with the baseline and next in size, on each prompt.
    assert first.votes == 3 * 3
    assert figures.controls["longest"].length is not None
    assert set(figures.consensus.judges) == {"the-longest", "first"}


async def test_the_exam_of_a_small_study_is_on_the_bundled_prompts(tmp_path: Path) -> None:
    study = await small(tmp_path, judge(tmp_path, "right-95-2"))
    run = HeadlessRun(study, SCRIPTED)
    await run.sit_exams()
    study.close()
    own = standing(study, "right-95-2")
    assert own.exam is not None
    assert own.exam.bundled
    assert sum(one.prompts for one in own.exam.counts) == 240
    assert judges_found(study).as_json()["judges"][0]["exam_on"] == "bundled prompts"
    assert len(study.store.all(EXAMS)) == 1 + 4


async def test_a_new_judge_and_a_new_candidate_cost_only_what_is_new(tmp_path: Path) -> None:
    study = await small(tmp_path, judge(tmp_path, "the-longest"))
    await ai_judge(study)
    responses = len(study.view().responses)
    votes = len(study.store.all(VOTES))
    assert votes == 9
    more = await small(tmp_path, judge(tmp_path, "the-longest"), judge(tmp_path, "the-shortest"))
    assert await ai_judge(more) == responses
    assert len(more.store.all(VOTES)) == 2 * votes
    language_model(Q4_0, fill=77).write(tmp_path / "models" / "tiny-new" / "tiny-new.gguf")
    wider = Study(more.loaded)
    made = await ai_judge(wider)
    new = [one for one in wider.view().responses if one.candidate not in more.view().by_sha]
    # Two judges of the ensemble and three measures, of the new responses only.
    assert made == 5 * len(new) == 5 * 3


async def test_add_judge_and_who_comes_after_ratings_does_not_count(tmp_path: Path) -> None:
    study = await small(tmp_path, judge(tmp_path, "right-95-3"))
    await ai_judge(study)
    rate_one_item(study)
    later = Study(study.loaded)
    later.add_judge("new", {"model": mind(tmp_path, "right-95-4"), "persona": "analytical"})
    assert standing(later, "new").persona == "analytical"
    with pytest.raises(UsageError, match="already"):
        later.add_judge("new", JudgeConfig(name="x", model="y"))
    run = HeadlessRun(later, SCRIPTED)
    await run.sit_exams()
    later.close()
    assert standing(later, "new").standing is Standing.LATE
    assert standing(later, "new").weight == 0
    # The exam of a small study is somebody's choice, and that came after ratings.
    early = standing(later, "right-95-3")
    assert (early.standing, early.weight) == (Standing.LATE, 0.0)
    assert early.weight_before == 1.0
    said = "\n".join(judges_found(later).lines())
    assert "new came, or sat the exam, after people had rated" in said


async def test_a_judge_of_itself_is_allowed_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"name": "self", "model": "models/tiny-Q4_0/tiny-Q4_0.gguf", "persona": "empathic"}
    study = await small(tmp_path, own)
    await ai_judge(study)
    assert standing(study, "self").judges_itself == ("tiny-Q4_0",)
    assert "judges itself" in caplog.text
    assert ensemble_figures(study.view()).judges["self"].answered > 0


async def test_a_judge_that_passed_before_people_rated_goes_on_counting(examined: Study) -> None:
    rate_one_item(examined)
    folder = examined.loaded.file.parent
    config = json.loads(examined.loaded.file.read_text())
    judges = config["judging_config"]["judges"]
    judges[0]["weight"] = 3
    del judges[2]
    examined.loaded.file.write_text(json.dumps(config))
    later = Study(load_config(folder))
    own = standing(later, "right-95-1")
    assert (own.standing, own.weight, own.weight_before) == (Standing.COUNTS, 3.0, 1.0)
    said = "\n".join(judges_found(later).lines())
    assert "right-95-1 1 → 3" in said
    assert "taken out after people had begun to rate: mumbles" in said


async def test_a_prompt_that_the_baseline_never_answers_gives_way_to_another(
    tmp_path: Path,
) -> None:
    prompts = topics(61)
    study = Study(
        write_study(
            tmp_path,
            prompts=prompts,
            judging_config={"judges": [judge(tmp_path, "random-3")]},
        )
    )
    study.lead()
    await study.discover()
    study.close()
    first = study.ensemble.exam_prompts[0]
    for one in prompts:
        if one["id"] == first.id:
            one["prompt"] = f"{one['prompt']} REFUSE"
    again = Study(
        write_study(
            tmp_path,
            prompts=prompts,
            judging_config={"judges": [judge(tmp_path, "random-3")]},
        )
    )
    await ai_judge(again)
    own = standing(again, "random-3")
    assert own.exam is not None
    assert all(one.prompts == 60 for one in own.exam.counts)


async def test_who_fails_after_it_was_asked_keeps_what_it_said_and_the_phase_is_whole(
    tmp_path: Path,
) -> None:
    study = await small(tmp_path, judge(tmp_path, "random-5"))
    await ai_judge(study)
    assert "ai-judge" in phases_completed(study)
    asked = Study(study.loaded)
    await HeadlessRun(asked, SCRIPTED).sit_exams()
    asked.close()
    assert standing(asked, "random-5").standing is Standing.FAILED
    assert "ai-judge" in phases_completed(asked)
    assert ensemble_figures(asked.view()).judges["random-5"].answered > 0
    section = next(one for one in build_sections(asked.view()) if one.name == "judges")
    said = [one.text for one in section.blocks if isinstance(one, Sentence)]
    assert any("before it failed its exam" in one for one in said)
    assert any("none of these judges counts" in one for one in said)


async def test_an_exam_that_nobody_answers_is_not_sat_and_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    study = await small(tmp_path, {"name": "far", "model": "m", "url": url})
    await HeadlessRun(study, SCRIPTED).sit_exams()
    study.close()
    found = judges_found(study)
    assert not found.all_examined
    own = found.as_json()["judges"][0]
    assert (own["standing"], own["damages"]) == ("not examined", {})
    assert "does not answer" in own["unexamined_because"]
    assert "far could not sit its exam" in "\n".join(found.lines())


# Endpoints


async def test_a_dead_endpoint_marks_its_items_and_the_run_goes_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    remote = {"name": "far", "model": "m", "url": url, "persona": "analytical"}
    study = await small(tmp_path, remote, judge(tmp_path, "the-longest"))
    await ai_judge(study)
    view = study.view()
    assert len(view.judge_scores["the-longest"]) == len(view.responses)
    far = ensemble_figures(view).judges["far"]
    assert (far.answered, far.unanswered) == (0, len(view.responses) + 9)
    assert "does not answer" in far.reason
    assert view.ai_scores
    section = next(one for one in build_sections(view) if one.name == "judges")
    assert section.data["judges"][0]["unanswered"] == far.unanswered

    def behave(body: dict[str, Any]) -> Reply:
        if "Reply A" in body["messages"][-1]["content"]:
            return completion("A", {"A": -0.3, "B": -1.5})
        return completion("4", {"4": -0.5, "3": -1.5})

    with stub_endpoint(behave) as stub:
        port = url.rsplit(":", 1)[1].split("/")[0]
        changed = (
            (tmp_path / "phase2_config.json")
            .read_text()
            .replace(f":{port}/", f":{stub.url.rsplit(':', 1)[1].split('/')[0]}/")
        )
        (tmp_path / "phase2_config.json").write_text(changed)
        again = Study(load_config(tmp_path))
        await ai_judge(again)
    near = ensemble_figures(again.view()).judges["far"]
    assert (near.answered, near.unanswered) == (len(view.responses), 0)


async def test_a_key_is_neither_stored_nor_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with stub_endpoint(lambda body: (401, f"who is {KEY}?".encode(), {})) as stub:
        remote = {"name": "far", "model": "m", "url": stub.url, "api_key_env": "JUDGE_KEY"}
        study = await small(tmp_path, remote)
        await ai_judge(study)
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert study.store.all(UNANSWERED)
    assert KEY not in caplog.text
    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert KEY.encode() not in file.read_bytes(), file
    monkeypatch.delenv("JUDGE_KEY")
    silent = Study(study.loaded)
    await ai_judge(silent)
    reason = ensemble_figures(silent.view()).judges["far"].reason
    assert "JUDGE_KEY" in reason
    assert "not set" in reason


# Configuration


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a"}, "either a model or a plugin"),
        ({"name": "a", "model": "m", "plugin": "p"}, "either a model or a plugin"),
        ({"name": "a b", "model": "m"}, "judges"),
        ({"name": "a", "model": "m", "url": "ftp://x/v1"}, "http or https"),
        ({"name": "a", "model": "m", "url": "http://u:pw@x/v1"}, "api_key_env"),
        ({"name": "a", "model": "m", "api_key_env": "K"}, "no url"),
        ({"name": "a", "model": "m", "persona": "stern"}, "empathic, analytical"),
    ],
)
def test_a_wrong_judge_is_refused_with_what_is_wrong(
    tmp_path: Path, entry: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        write_study(tmp_path, judging_config={"judges": [entry]})


def test_two_judges_of_one_name_and_a_shipped_persona_are_refused(tmp_path: Path) -> None:
    entry = {"name": "a", "model": "m"}
    with pytest.raises(ConfigError, match="names must differ"):
        write_study(tmp_path, judging_config={"judges": [entry, entry]})
    with pytest.raises(ConfigError, match="ships with emojudge"):
        write_study(tmp_path, judging_config={"personas": {"empathic": "Be kind."}})
    own = write_study(
        tmp_path,
        judging_config={
            "personas": {"stern": "You are stern."},
            "judges": [{**entry, "persona": "stern"}],
        },
    )
    assert Study(own).ensemble.emotional_judge.members[0].persona == "stern"


async def test_a_judge_without_a_file_is_named_before_anything_is_generated(
    tmp_path: Path,
) -> None:
    study = await small(tmp_path, {"name": "lost", "model": "nowhere.gguf"})
    with pytest.raises(UsageError, match=r"judge lost .*nowhere\.gguf\) does not exist"):
        await ai_judge(study)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("judges", "folder with 2 GGUF models"),
        ("judges/text.gguf", "cannot be used"),
        ("judges/bare.gguf", "no chat template"),
    ],
)
async def test_a_model_that_cannot_judge_is_refused(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges" / "text.gguf").write_text("not a model at all")
    bare = language_model(F16, fill=9)
    bare.pairs = [pair for pair in bare.pairs if b"chat_template" not in pair]
    bare.write(tmp_path / "judges" / "bare.gguf")
    study = await small(tmp_path, {"name": "odd", "model": place})
    with pytest.raises(UsageError, match=words):
        await ai_judge(study)


# Arithmetic


def test_a_vote_that_the_order_decides_is_a_tie() -> None:
    def vote(first: float, second: float) -> Vote:
        return Vote(
            id="v", judge="j", prompt_id="p", sample=0, left="a", right="b",
            responses=("r", "s"), left_first=first, right_first=second, mass=1,
        )  # fmt: skip

    assert outcome(vote(0.9, 0.6)) == 1
    assert outcome(vote(0.1, 0.4)) == 0
    assert outcome(vote(0.9, 0.4)) == 0.5
    assert outcome(vote(0.5, 0.9)) == 0.5


def of(title: str, weight: float, *qualities: Quality) -> JudgeStanding:
    return JudgeStanding(
        title=title,
        name=f"emotional-judge/{title}",
        persona="empathic",
        model="m",
        key=title,
        configured=weight,
        weight=weight,
        standing=Standing.COUNTS,
        exam=None,
        qualities=qualities or COUNTED,
        unexamined="",
        weight_before=None,
        judges_itself=(),
    )


def said(title: str, response: str, *scores: float, mass: float = 1.0) -> Judgement:
    figures: dict[str, float] = {}
    for quality, score in zip(COUNTED, scores, strict=True):
        figures |= {quality.value: score, f"{quality}_mass": mass}
    return Judgement(
        id=f"{title}/{response}", judge=f"emotional-judge/{title}", response_id=response,
        candidate="a", prompt_id="p", sample=0, figures=figures,
    )  # fmt: skip


WEIGHTS = dict(zip(COUNTED, (0.25, 0.3, 0.25, 0.2), strict=True))


def test_the_ensembles_score_by_hand() -> None:
    one, two = of("one", 1.0), of("two", 3.0, Quality.CONNECTION, Quality.APPROPRIATENESS)
    by_judge = {
        one.name: [said("one", "r", 5, 3, 1, 3), said("one", "s", 3, 3, 3, 3)],
        two.name: [said("two", "r", 1, 2, 1, 4), said("two", "s", 3, 3, 3, 3, mass=0.4)],
    }
    scores = ensemble_scores([one, two], by_judge, WEIGHTS)
    # one: (.25·5 + .3·3 + .25·1 + .2·3 − 1) / 4; two: ((.3·2 + .2·4) / .5 − 1) / 4.
    assert scores == {"r": pytest.approx((1 * 0.5 + 3 * 0.45) / 4)}
    assert ensemble_scores([], by_judge, WEIGHTS) == {}


def test_expected_scores_and_masses() -> None:
    from emojudge.judges.questions import Answer

    figures = score_figures(
        Answer(((0.0, 0.0, 0.2, 0.2, 0.4), (0.1, 0.1, 0.1, 0.1, 0.0))),
        (Quality.CONNECTION, Quality.EMPATHY),
        0,
    )
    assert figures["connection"] == pytest.approx((3 * 0.2 + 4 * 0.2 + 5 * 0.4) / 0.8)
    assert figures["empathy_mass"] == pytest.approx(0.4)
    assert level(figures, {Quality.CONNECTION: 1.0}) == pytest.approx((4.25 - 1) / 4)
    # Less than half of the probability on the digits is no score.
    assert level(figures, {Quality.EMPATHY: 1.0}) is None


def test_consensus_is_one_less_the_spread_over_one_half() -> None:
    scores = {"one": {"r": 0.2, "s": 0.5}, "two": {"r": 0.6, "s": 0.5}, "off": {"r": 1.0}}
    found = consensus_of([of("one", 1), of("two", 1)], scores)
    assert found.judges == ("one", "two")
    assert found.agreement == {"r": pytest.approx(1 - 0.2 / 0.5), "s": pytest.approx(1.0)}
    # With fewer than two that count, all are compared.
    assert set(consensus_of([of("one", 1)], scores).judges) == {"one", "two", "off"}


def test_the_two_personas_ship() -> None:
    from emojudge.config import PERSONA_NAMES

    assert set(PERSONAS) == set(PERSONA_NAMES)
    assert len(set(PERSONAS.values())) == 2
