"""A language model behind an OpenAI-compatible ``/v1`` endpoint: llama-server, Ollama, vLLM.

Asked for one token whose alternatives come with log-probabilities; where an endpoint has none to
give, for a choice under a JSON schema; where it knows no schemas, for one in plain text. Nothing
that it says is trusted: sizes are bounded, and what cannot be true is no answer.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

import httpx2
import tenacity
from pydantic import BaseModel, ValidationError

from emojudge.domain import Message
from emojudge.errors import EngineError
from emojudge.text import visible_line

_ATTEMPTS = 4
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 20.0
_MOST_BYTES = 1 << 20
_TOP = 20
_CHOICE_TOKENS = 24
_GIVEN_UP_AFTER = 3
_SHOWN = 160
_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
_TOLERANCE = 1e-3
_MOST_CHARACTERS_PER_TOKEN = 10
"""No text that judges are asked about has tokens this long on average."""


class EndpointError(EngineError):
    """An endpoint could not be asked, or gave no answer that can be used."""


class ContextExceeded(EndpointError):
    """The endpoint says that the question is longer than its model's context."""


class _Passing(Exception):
    """A failure that may be over in a moment; ``wait`` is how long the endpoint asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _Refused(Exception):
    """The endpoint does not take this kind of request."""


class _Way(Enum):
    """How a choice is asked for, the best first."""

    LOG_PROBABILITIES = "log-probabilities"
    JSON_SCHEMA = "a JSON schema"
    JSON_OBJECT = "a JSON object with a schema"
    PLAIN = "plain text"


class _TopToken(BaseModel):
    token: str
    logprob: float


class _TokenLogprobs(BaseModel):
    token: str
    logprob: float
    top_logprobs: list[_TopToken] | None = None


class _Logprobs(BaseModel):
    content: list[_TokenLogprobs] | None = None


class _Said(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Said
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None


class _Completion(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


def _wait(state: tenacity.RetryCallState) -> float:
    """Exponential with jitter, but as long as the endpoint itself asks for."""
    problem = state.outcome.exception() if state.outcome is not None else None
    asked = problem.wait if isinstance(problem, _Passing) else None
    if asked is not None:
        return min(asked, _LONGEST_WAIT)
    return float(tenacity.wait_exponential_jitter(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)(state))


class Endpoint:
    """One model behind one endpoint. ``key`` goes into a header and nowhere else."""

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None,
        *,
        timeout_seconds: float,
        at_once: int = 4,
    ) -> None:
        """``url`` ends with ``/v1``.

        Raises EndpointError for a key that cannot go into a header, without repeating it.
        """
        if key and not (key.isascii() and key.isprintable()):
            raise EndpointError(
                f"The key for {model} has characters that no header can carry. Look at the "
                "environment variable that holds it."
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
            follow_redirects=False,
        )
        self._headers = headers
        self._key = key
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._timeout = timeout_seconds
        self._turns = asyncio.Semaphore(at_once)
        self._way: _Way | None = None
        self._failures = 0
        self._given_up: str | None = None

    @property
    def way(self) -> str:
        """How it is asked for choices, as far as that is known."""
        return self._way.value if self._way is not None else "not known yet"

    def try_again(self) -> None:
        """Forget that it was given up."""
        self._failures, self._given_up = 0, None

    async def choose(
        self, messages: Sequence[Message], options: Sequence[str]
    ) -> tuple[tuple[float, ...], bool]:
        """The probability of each option as the answer, and whether it is one choice only.

        Raises EndpointError, at once after several questions in a row had no answer.
        """
        async with self._turns:
            if self._given_up is not None:
                raise EndpointError(self._given_up)
            try:
                found = await self._choose(messages, options)
            except ContextExceeded:
                raise
            except EndpointError as problem:
                self._failures += 1
                if self._failures >= _GIVEN_UP_AFTER:
                    self._given_up = (
                        f"{problem} ({self._failures} questions in a row had no answer; not asked "
                        "again in this run)"
                    )
                    raise EndpointError(self._given_up) from problem
                raise
            self._failures = 0
            return found

    async def _choose(
        self, messages: Sequence[Message], options: Sequence[str]
    ) -> tuple[tuple[float, ...], bool]:
        refusal: _Refused | None = None
        # Once a way has worked it is kept: another would give a judge figures of another kind.
        for way in _Way if self._way is None else (self._way,):
            try:
                completion = await self._ask(_request(self._model, messages, options, way))
                found = _read(completion, options, way)
            except _Refused as refused:
                refusal = refused
                continue
            _refuse_cut(completion, messages)
            self._way = self._way or way
            return found
        raise EndpointError(f"{self._model}: {refusal}")

    async def _ask(self, request: dict[str, Any]) -> _Completion:
        """One request, tried again while failures may pass. Raises EndpointError or _Refused."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    return await self._once(request)
        except _Passing as problem:
            raise EndpointError(
                f"{self._model} at {self._url.removesuffix('/chat/completions')} does not answer: "
                f"{problem} ({_ATTEMPTS} attempts)"
            ) from problem
        raise AssertionError("an attempt returns or raises")

    async def _once(self, request: dict[str, Any]) -> _Completion:
        try:
            # The client's own limits are for each read, and somebody may drip for ever.
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(
                    "POST", self._url, json=request, headers=self._headers
                ) as response,
            ):
                body = await _bounded(response)
        except (TimeoutError, httpx2.TimeoutException) as problem:
            raise _Passing(f"it took too long ({type(problem).__name__})") from problem
        except httpx2.RequestError as problem:
            said = self._shown(f"{type(problem).__name__}: {problem}")
            raise _Passing(said) from problem
        except httpx2.InvalidURL as problem:
            raise EndpointError(f"{self._url} is no address: {problem}.") from problem
        status = response.status_code
        if status == 200:
            try:
                return _Completion.model_validate_json(body)
            except ValidationError as problem:
                raise EndpointError(
                    f"{self._model} answered something that is no chat completion: "
                    f"{self._shown(body)}"
                ) from problem
        said = f"HTTP {status}: {self._shown(body)}"
        if _says_too_long(body):
            raise ContextExceeded(f"{self._model}: {said}")
        if status in _RETRIED and not _names_a_feature(body):
            raise _Passing(said, _retry_after(response))
        if status in (401, 403):
            raise EndpointError(
                f"{self._model} does not let us in: {said}. Check the key that api_key_env names."
            )
        if status == 404:
            raise EndpointError(
                f"{self._model} is not there: {said}. Check the judge's url and model."
            )
        raise _Refused(said)

    def _shown(self, said: bytes | str) -> str:
        """The beginning of what was said, without a key that it may repeat."""
        text = said if isinstance(said, str) else said.decode("utf-8", "replace")
        if self._key:
            text = text.replace(self._key, "…")
        return visible_line(text[:_SHOWN].strip())

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def _bounded(response: httpx2.Response) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > _MOST_BYTES:
            raise EndpointError(f"The endpoint answered more than {_MOST_BYTES >> 20} MB.")
    return body


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _says_too_long(body: bytes) -> bool:
    text = body.decode("utf-8", "replace").lower()
    return "context" in text and any(one in text for one in ("exceed", "length", "maximum"))


def _names_a_feature(body: bytes) -> bool:
    """Some servers answer 500 to what they do not know."""
    text = body.decode("utf-8", "replace").lower()
    return any(one in text for one in ("logprobs", "logits_all", "response_format", "grammar"))


def _request(
    model: str, messages: Sequence[Message], options: Sequence[str], way: _Way
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": model,
        "messages": [one.model_dump() for one in messages],
        "temperature": 0,
        "max_tokens": 1 if way is _Way.LOG_PROBABILITIES else _CHOICE_TOKENS,
        "stream": False,
    }
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": list(options)}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    match way:
        case _Way.LOG_PROBABILITIES:
            request |= {"logprobs": True, "top_logprobs": _TOP}
        case _Way.JSON_SCHEMA:
            named = {"name": "answer", "strict": True, "schema": schema}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        case _Way.JSON_OBJECT:
            request["response_format"] = {"type": "json_object", "schema": schema}
        case _Way.PLAIN:
            pass
    return request


def _read(
    completion: _Completion, options: Sequence[str], way: _Way
) -> tuple[tuple[float, ...], bool]:
    """Raises _Refused where this way is not offered, EndpointError where the answer is a lie."""
    if not completion.choices:
        raise EndpointError("The endpoint answered without any choice.")
    choice = completion.choices[0]
    if way is _Way.LOG_PROBABILITIES:
        tokens = choice.logprobs.content if choice.logprobs is not None else None
        if not tokens:
            raise _Refused("it gives no log-probabilities")
        return _probabilities(tokens[0], options), False
    text = (choice.message.content or "").strip()
    if way is _Way.PLAIN:
        said = text.strip(" .*\"'`\n")
    else:
        try:
            parsed = json.loads(text)
            said = str(parsed["answer"]).strip()
        except (ValueError, TypeError, KeyError, RecursionError) as problem:
            # It took the schema and did not keep to it, so it does not know schemas.
            raise _Refused("it does not keep to a schema") from problem
    if said not in options:
        # It chose none of them, which is an answer: no probability on any.
        return (0.0,) * len(options), True
    return tuple(float(one == said) for one in options), True


def _refuse_cut(completion: _Completion, messages: Sequence[Message]) -> None:
    """Some servers cut what is too long and say nothing; then they have read too few tokens."""
    read = completion.usage.prompt_tokens if completion.usage is not None else None
    asked = sum(len(one.content) for one in messages)
    if read and read < asked / _MOST_CHARACTERS_PER_TOKEN:
        raise ContextExceeded(f"The endpoint read {read} tokens of {asked} characters.")


def _probabilities(first: _TokenLogprobs, options: Sequence[str]) -> tuple[float, ...]:
    alternatives = first.top_logprobs or [_TopToken(token=first.token, logprob=first.logprob)]
    totals = dict.fromkeys(options, 0.0)
    for one in alternatives:
        if math.isnan(one.logprob) or one.logprob > _TOLERANCE:
            raise EndpointError(
                f"The endpoint's log-probabilities cannot be: {one.logprob} for a token."
            )
        if one.token.strip() in totals:
            totals[one.token.strip()] += math.exp(one.logprob)
    if math.fsum(totals.values()) > 1 + _TOLERANCE:
        raise EndpointError("The endpoint's probabilities sum to more than 1.")
    return tuple(totals.values())
