"""Choosing the next token: llama.cpp's own chain, behind a cheaper first cut.

llama.cpp's top-p sorts the whole vocabulary (about .6 ms a token at 49,152). The cut here keeps
every token above a threshold and counts their probability mass over the *whole* vocabulary. If
that mass reaches top-p, the kept tokens contain the nucleus: the nucleus is the shortest prefix
of the sorted order that reaches it, and the kept ones are a prefix that does. Only they are
sorted, and what llama.cpp's temperature and distribution samplers then see is what its top-p
would have handed them, up to the rounding of its own single-precision sum.
"""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

_FIRST_CUT = 7.0
_CUT_STEP = 4.0
_LOWEST_CUT = 40.0
_TOKEN_DATA = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])


class Nucleus:
    """Finds top-p nuclei; one per vocabulary, because it keeps its scratch rows."""

    def __init__(self, vocabulary_size: int) -> None:
        self._weights = np.empty(vocabulary_size, np.float32)
        self.everything = np.arange(vocabulary_size, dtype=np.int32)

    def of(self, logits: npt.NDArray[np.float32], top_p: float) -> npt.NDArray[np.int32]:
        """Token ids whose probability sums to at least ``top_p``, most probable first."""
        weights = self._weights
        np.subtract(logits, logits.max(), out=weights)
        np.exp(weights, out=weights)
        wanted = top_p * float(weights.sum(dtype=np.float64))
        kept: npt.NDArray[np.intp]
        cut = _FIRST_CUT
        while cut < _LOWEST_CUT:
            kept = np.flatnonzero(weights > np.exp(-cut))
            mass = weights[kept]
            if float(mass.sum(dtype=np.float64)) >= wanted:
                break
            cut += _CUT_STEP
        else:
            kept, mass = self.everything.astype(np.intp), weights
        # By logits: probabilities of neighbours may be equal after rounding.
        order = np.argsort(-logits[kept], kind="stable")
        reached = np.cumsum(mass[order], dtype=np.float64)
        count = int(np.searchsorted(reached, wanted)) + 1
        return kept[order[:count]].astype(np.int32)


class Sampler:
    """The choice of one sequence: greedy at temperature 0, else top-p, temperature, draw.

    ``top_p`` is applied before the temperature, as llama.cpp's own chain does.
    """

    def __init__(self, nucleus: Nucleus, temperature: float, top_p: float, seed: int) -> None:
        self._nucleus = nucleus
        self._greedy = temperature <= 0
        self._top_p = top_p
        self._chain = None
        if not self._greedy:
            self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
            lib.llama_sampler_chain_add(self._chain, lib.llama_sampler_init_temp(temperature))
            lib.llama_sampler_chain_add(self._chain, lib.llama_sampler_init_dist(seed))

    def pick(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token for logits of shape (vocabulary,)."""
        if self._greedy:
            return int(logits.argmax())
        if self._top_p >= 1:
            ids = self._nucleus.everything
        else:
            ids = self._nucleus.of(logits, self._top_p)
        entries = np.empty(len(ids), _TOKEN_DATA)
        entries["id"] = ids
        entries["logit"] = logits[ids]
        entries["p"] = 0
        pointer = entries.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
        candidates = lib.llama_token_data_array(pointer, len(ids), -1, self._top_p < 1)
        lib.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        # The samplers may have reordered the entries in place; ``selected`` is an index into them.
        chosen = int(candidates.data[candidates.selected].id)
        lib.llama_sampler_accept(self._chain, chosen)
        return chosen

    def close(self) -> None:
        """Free the chain."""
        if self._chain is not None:
            lib.llama_sampler_free(self._chain)
            self._chain = None
