"""Entry point: prints what this llama.cpp can use, as JSON on stdout."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Ask llama.cpp with its own prints sent to stderr."""
    answer = os.dup(1)
    os.dup2(2, 1)
    import llama_cpp

    report = {
        "gpu_offload": bool(llama_cpp.llama_supports_gpu_offload()),
        "system": llama_cpp.llama_print_system_info().decode(errors="replace"),
    }
    os.write(answer, json.dumps(report).encode())
    sys.exit(0)


if __name__ == "__main__":
    main()
