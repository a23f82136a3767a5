"""The real workstation on workers without weights: what ``emojudge bench --ui`` opens and times."""

from __future__ import annotations

import sys
from pathlib import Path

from emojudge.cli_support import load_for_command, open_workstation
from emojudge.pipeline.workspace import EngineModules

_WORKER = "emojudge.engine.paced_worker"


def main() -> None:
    """``python -m emojudge.paced_workstation STUDY``: rating in the study of that folder."""
    modules = EngineModules(worker=_WORKER, encoder=_WORKER)
    loaded = load_for_command(Path(sys.argv[1]), None)
    open_workstation(loaded, screen="rate", rater="bench", modules=modules)


if __name__ == "__main__":
    main()
