"""Judges behind an endpoint: a stub that fails in each way, and a real llama.cpp server."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emojudge.domain import Message
from emojudge.engine import endpoint as module
from emojudge.engine.endpoint import ContextExceeded, Endpoint, EndpointError
from emojudge.judges.rubric import DIGITS
from tests.fakes.stub_endpoint import DRIP, GONE, SLOW, Reply, completion, refusal, stub_endpoint

ASKED = [Message(role="user", content="Score it.")]
TOP = {"4": math.log(0.6), " 5": math.log(0.2), "3": math.log(0.1), "The": math.log(0.05)}
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Attempts follow each other at once; what they would have waited is kept."""
    waited: list[float | None] = []
    real = module._wait

    def wait(state: Any) -> float:
        waited.append(real(state))
        return 0.0

    monkeypatch.setattr(module, "_wait", wait)
    return waited


def endpoint(url: str, *, timeout: float = 0.5, key: str | None = None) -> Endpoint:
    return Endpoint(url, "judge", key, timeout_seconds=timeout)


async def choose(one: Endpoint) -> tuple[tuple[float, ...], bool]:
    try:
        return await one.choose(ASKED, DIGITS)
    finally:
        await one.close()


async def test_log_probabilities_of_the_first_token() -> None:
    with stub_endpoint(lambda body: completion("4", TOP)) as stub:
        row, single = await choose(endpoint(stub.url))
    assert row == pytest.approx((0, 0, 0.1, 0.6, 0.2))
    assert not single
    assert stub.requests[0]["logprobs"] is True
    assert stub.requests[0]["max_tokens"] == 1


@pytest.mark.parametrize(
    ("offered", "way"),
    [
        ("json_schema", "a JSON schema"),
        ("json_object", "a JSON object with a schema"),
        ("plain", "plain text"),
    ],
)
async def test_without_log_probabilities_a_constrained_digit(offered: str, way: str) -> None:
    def behave(body: dict[str, Any]) -> Reply:
        form = body.get("response_format", {}).get("type", "plain")
        if "logprobs" in body:
            return refusal(500, "logprobs is not supported for models with logits_all=False")
        if form != offered:
            return refusal(400, f"response_format {form} is not known")
        return completion("**4**." if form == "plain" else '{"answer": "4"}')

    with stub_endpoint(behave) as stub:
        one = endpoint(stub.url)
        assert await one.choose(ASKED, DIGITS) == ((0, 0, 0, 1, 0), True)
        assert one.way == way
        before = len(stub.requests)
        # What is not offered is not asked for again.
        await choose(one)
        assert len(stub.requests) == before + 1


async def test_an_answer_that_is_no_option_is_no_choice() -> None:
    def behave(body: dict[str, Any]) -> Reply:
        return completion("It is a lovely reply", {"It": -0.1, "A": -3.0})

    with stub_endpoint(behave) as stub:
        assert (await choose(endpoint(stub.url)))[0] == (0, 0, 0, 0, 0)


async def test_what_may_pass_is_tried_again_and_as_late_as_asked(
    no_waiting: list[float | None],
) -> None:
    replies = iter(
        [refusal(503, "loading model"), refusal(429, "slow down", retry_after="7"), GONE]
    )
    with stub_endpoint(lambda body: next(replies, completion("4", TOP))) as stub:
        row, _ = await choose(endpoint(stub.url))
    assert row[3] == pytest.approx(0.6)
    assert len(stub.requests) == 4
    first, second, third = no_waiting
    assert first is not None
    assert second == 7.0
    assert third is not None
    assert third > first


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, b"<html>welcome</html>", {}), "no chat completion: <html>"),
        ((200, b'{"choices": []}', {}), "without any choice"),
        ((200, b"\xff\xfe\x00" * 10, {}), "no chat completion"),
        (completion("4", {"4": 3.0}), "cannot be"),
        ((200, completion("4", {"4": math.nan})[1], {}), ""),
        (completion("4", {"4": -0.01, "5": -0.01, "3": -0.01}), "more than 1"),
        ((200, b"x" * (2 << 20), {}), "more than 1 MB"),
        (refusal(401, "no such key"), "api_key_env"),
        (refusal(404, "model not found"), "url and model"),
        (refusal(302, "elsewhere", location="http://127.0.0.1:1/"), "302"),
        (refusal(500, "\x1b[2Jboom"), "4 attempts"),
        (SLOW, "took too long"),
        (GONE, "4 attempts"),
        ((200, b"not gzip", {"content_encoding": "gzip"}), "4 attempts"),
    ],
)
async def test_a_broken_or_lying_endpoint_gives_no_answer(reply: Reply, words: str) -> None:
    with stub_endpoint(lambda body: reply) as stub, pytest.raises(EndpointError) as caught:
        await choose(endpoint(stub.url, timeout=0.3))
    assert words in str(caught.value)
    assert "\x1b" not in str(caught.value)


async def test_a_dead_endpoint_is_given_up_after_three_questions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    one = endpoint(f"http://127.0.0.1:{port}/v1")
    said = []
    for _ in range(5):
        with pytest.raises(EndpointError) as caught:
            await one.choose(ASKED, DIGITS)
        said.append(str(caught.value))
    await one.close()
    assert "not asked again" not in said[1]
    assert all("not asked again in this run" in text for text in said[2:])


async def test_one_unlucky_question_changes_no_way() -> None:
    def behave(body: dict[str, Any]) -> Reply:
        if "bad" in body["messages"][-1]["content"]:
            return refusal(400, "this content is not allowed")
        return completion("4", TOP)

    with stub_endpoint(behave) as stub:
        one = endpoint(stub.url)
        with pytest.raises(EndpointError, match="not allowed"):
            await one.choose([Message(role="user", content="bad")], DIGITS)
        row, single = await one.choose(ASKED, DIGITS)
        assert not single
        with pytest.raises(EndpointError, match="not allowed"):
            await one.choose([Message(role="user", content="bad")], DIGITS)
        assert await choose(one) == (row, False)


async def test_an_endpoint_that_cuts_in_silence_is_noticed() -> None:
    long = [Message(role="user", content="and then it rained " * 500)]
    reply = completion("4", TOP, usage={"prompt_tokens": 100})
    with stub_endpoint(lambda body: reply) as stub:
        one = endpoint(stub.url)
        with pytest.raises(ContextExceeded, match="read 100 tokens"):
            await one.choose(long, DIGITS)
        await choose(one)


async def test_an_endpoint_that_drips_is_too_slow() -> None:
    with stub_endpoint(lambda body: DRIP) as stub, pytest.raises(EndpointError, match="too long"):
        await choose(endpoint(stub.url, timeout=0.3))


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é", f"{KEY}\x00"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    with pytest.raises(EndpointError, match="no header can carry") as caught:
        endpoint("http://127.0.0.1:1/v1", key=key)
    assert KEY not in str(caught.value)


async def test_too_long_is_told_apart_from_other_failures() -> None:
    reply = refusal(400, "the request exceeds the available context size (4096 tokens)")
    with stub_endpoint(lambda body: reply) as stub, pytest.raises(ContextExceeded):
        await choose(endpoint(stub.url))


async def test_the_key_goes_into_a_header_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    reply = refusal(401, f"bad key {KEY}")
    with stub_endpoint(lambda body: reply) as stub, pytest.raises(EndpointError) as caught:
        await choose(endpoint(stub.url, key=KEY))
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text
    assert KEY not in str(stub.requests)


# A real server


@pytest.fixture(scope="module", params=["logprobs", "schema"])
def server(request: pytest.FixtureRequest, model_cache: Path) -> Iterator[tuple[str, str]]:
    """llama-cpp-python's server on loopback, with and without log-probabilities."""
    model = next((model_cache / "emojudge" / "ladders").glob("*/models/*-Q8_0/*.gguf"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    logits = "true" if request.param == "logprobs" else "false"
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port),
         "--host", "127.0.0.1", "--n_ctx", "1024", "--logits_all", logits, "--verbose", "false",
         "--n_threads", str(len(os.sched_getaffinity(0)))],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(600):
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.fail(process.stderr.read().decode()[-2000:])
            try:
                with urllib.request.urlopen(f"{url}/models", timeout=1):
                    break
            except OSError:
                asyncio.run(asyncio.sleep(0.1))
        yield url, request.param
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.models
async def test_a_real_llama_cpp_server(server: tuple[str, str]) -> None:
    url, kind = server
    one = Endpoint(url, "any", None, timeout_seconds=60)
    asked = [Message(role="user", content="How warm is this, from 1 to 5? Answer with one digit.")]
    row, single = await one.choose(asked, DIGITS)
    assert single is (kind == "schema")
    assert one.way == ("log-probabilities" if kind == "logprobs" else "a JSON object with a schema")
    assert len(row) == 5
    assert 0 < sum(row) <= 1.001
    if kind == "logprobs":
        assert sum(value > 0 for value in row) > 1
    too_long = [Message(role="user", content="and then it rained " * 2000)]
    with pytest.raises(ContextExceeded):
        await one.choose(too_long, DIGITS)
    await one.close()
