"""llama.cpp's batch structure behind arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from llama_cpp import llama_cpp as lib


class DecodeBatch:
    """Tokens to evaluate together. Filled with :meth:`add`, emptied with :meth:`clear`."""

    def __init__(self, capacity: int, sequences: int = 1) -> None:
        """``capacity`` tokens, each in at most ``sequences`` sequences at once."""
        self.native = lib.llama_batch_init(capacity, 0, sequences)
        self.capacity = capacity
        self._token = np.ctypeslib.as_array(self.native.token, (capacity,))
        self._position = np.ctypeslib.as_array(self.native.pos, (capacity,))
        self._count = np.ctypeslib.as_array(self.native.n_seq_id, (capacity,))
        self._wanted = np.ctypeslib.as_array(self.native.logits, (capacity,))
        self._ids = [
            np.ctypeslib.as_array(self.native.seq_id[index], (sequences,))
            for index in range(capacity)
        ]
        self._count[:] = 1

    def __len__(self) -> int:
        return int(self.native.n_tokens)

    def clear(self) -> None:
        """Empty the batch."""
        self.native.n_tokens = 0

    def add(
        self, tokens: Sequence[int], position: int, sequence: int, *, all_logits: bool = False
    ) -> int:
        """Append tokens of one sequence from ``position`` on; returns the last one's index.

        Logits are computed for none of them, or with ``all_logits`` for all; see :meth:`want`.
        """
        start = len(self)
        end = start + len(tokens)
        if end > self.capacity:
            raise ValueError(f"a batch of {self.capacity} tokens cannot take {end}")
        self._token[start:end] = tokens
        self._position[start:end] = range(position, position + len(tokens))
        self._wanted[start:end] = all_logits
        self._count[start:end] = 1
        for index in range(start, end):
            self._ids[index][0] = sequence
        self.native.n_tokens = end
        return end - 1

    def add_shared(self, tokens: Sequence[int], position: int, sequences: Sequence[int]) -> None:
        """Append tokens that belong to several sequences at once, without logits."""
        start = len(self)
        if not tokens:
            return
        end = self.add(tokens, position, sequences[0]) + 1
        self._count[start:end] = len(sequences)
        for index in range(start, end):
            self._ids[index][: len(sequences)] = sequences

    def add_one(self, token: int, position: int, sequence: int) -> int:
        """Like :meth:`add` for one token, without arrays; decoding does this all the time."""
        index = len(self)
        if index >= self.capacity:
            raise ValueError(f"a batch of {self.capacity} tokens is full")
        native = self.native
        native.token[index] = token
        native.pos[index] = position
        native.seq_id[index][0] = sequence
        native.logits[index] = False
        native.n_tokens = index + 1
        return index

    def want(self, index: int) -> None:
        """Compute logits at this index."""
        self._wanted[index] = True

    def close(self) -> None:
        """Free the arrays."""
        lib.llama_batch_free(self.native)
