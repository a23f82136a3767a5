"""Entry point: a model worker behind limits, for a file that is not trusted yet.

``python -m emojudge.engine.sandboxed_worker '{"memory": …}'``. llama.cpp is imported only after
the limits are in force.
"""

from __future__ import annotations

import os
import sys

from emojudge.engine.sandbox import SandboxLimits, enter


def main() -> None:
    """Limit this process, then serve like any worker."""
    # A namespace can be entered with one thread only, and numpy starts its own when imported.
    network_cut = enter(SandboxLimits.model_validate_json(sys.argv[1]))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from emojudge.engine.protocol import Sandboxed, encode

    os.write(1, encode(Sandboxed(network_cut=network_cut)))
    from emojudge.engine.worker import main as serve

    serve()


if __name__ == "__main__":
    main()
