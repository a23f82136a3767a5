"""A deploy target: a copy of the core on another disk, and a log of what stood there."""

import os
import shutil
from pathlib import Path


class Shelf:
    """Put its folder into EMOJUDGE_SHELF, and ``"targets": ["shelf"]`` into replacement_config."""

    def deploy(self, model: Path) -> None:
        """Copy beside the old one, then rename, so that whoever opens it finds a whole model."""
        folder = Path(os.environ["EMOJUDGE_SHELF"])
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / "model.gguf.new"
        new.unlink(missing_ok=True)
        shutil.copyfile(model, new)
        new.replace(folder / "model.gguf")
        with (folder / "log").open("a") as log:
            log.write(f"{model}\n")
