"""Entry point: renders chat templates under limits, one JSON request and answer a line.

It has no network use, opens no files after its imports, and may use little memory and processor
time; what runs over is ended by the kernel, and whoever asked says so.
"""

from __future__ import annotations

import json
import resource
import sys

from emojudge.engine.chat_template import render
from emojudge.errors import EngineError

MEMORY_BYTES = 512 << 20
CPU_SECONDS = 2
"""Processor time of one rendering; rendering takes milliseconds."""

LARGEST_PROMPT = 8 << 20
"""Characters of a rendered prompt; many times the longest context there is."""


def _allow_seconds() -> None:
    """Renew the allowance: the soft limit counts from the start of the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    _limit(resource.RLIMIT_CPU, int(spent) + CPU_SECONDS + 1)


def _limit(what: int, most: int) -> None:
    """Lower a soft limit, within the hard one that a sandbox may have set."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, hard))


def main() -> None:
    """Answer requests until stdin closes."""
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        _allow_seconds()
        try:
            text = render(**request)
            if len(text) > LARGEST_PROMPT:
                raise EngineError(
                    f"The chat template made {len(text):,} characters of this conversation. Set "
                    "generation.chat_template in the config to one that does not."
                )
            answer = {"text": text}
        except EngineError as problem:
            answer = {"problem": str(problem)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
