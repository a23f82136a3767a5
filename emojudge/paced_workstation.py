"""The real workstation on workers without weights: what ``emojudge bench --ui`` opens and times."""

from __future__ import annotations

import sys
from pathlib import Path

from emojudge.engine.modules import EngineModules
from emojudge.opening import open_workstation

_WORKER = "emojudge.engine.paced_worker"
_MODULES = EngineModules(worker=_WORKER, encoder=_WORKER)


def main() -> None:
    """``python -m emojudge.paced_workstation STUDY``: rating in the study of that folder."""
    open_workstation(Path(sys.argv[1]), screen="rate", rater="bench", modules=_MODULES)


if __name__ == "__main__":
    main()
