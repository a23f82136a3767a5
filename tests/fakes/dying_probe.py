"""A probe of llama.cpp that was built for another processor."""

import os
import signal

os.kill(os.getpid(), signal.SIGILL)
