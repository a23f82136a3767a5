"""Entry point: renders chat templates under limits, one JSON request and answer a line.

It has no network where the system allows that, can write no files, and may use little memory and
processor time; what runs over is ended by the kernel, and whoever asked says so.
"""

from __future__ import annotations

import json
import resource
import sys

from emojudge.engine.chat_template import render
from emojudge.engine.limits import cut_network, gain_nothing, lower
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
    lower(resource.RLIMIT_CPU, int(spent) + CPU_SECONDS + 1)


def main() -> None:
    """Answer requests until stdin closes."""
    lower(resource.RLIMIT_AS, MEMORY_BYTES, for_good=True)
    lower(resource.RLIMIT_FSIZE, 0, for_good=True)
    lower(resource.RLIMIT_CORE, 0, for_good=True)
    gain_nothing()
    cut_network()
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
