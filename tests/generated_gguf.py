"""Hypothesis draws headers: mostly sound, with any number of things wrong."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_EDGES = (0, 1, 31, 32, 2**31, 2**32, 2**50, 2**61, 2**63 - 1, 2**63, 2**64 - 1)
_count = st.one_of(st.integers(0, 8), st.sampled_from(_EDGES))


@st.composite
def _string(draw: st.DrawFn) -> bytes:
    raw = draw(st.binary(max_size=12))
    length = draw(st.one_of(st.just(len(raw)), st.just(len(raw)), _count))
    return struct.pack("<Q", length) + raw


@st.composite
def _name(draw: st.DrawFn) -> bytes:
    known = ("general.alignment", "general.architecture", "split.no", "a", "b", "c", "d", "")
    raw = draw(st.sampled_from(known)).encode()
    return struct.pack("<Q", len(raw)) + raw


@st.composite
def _pair(draw: st.DrawFn) -> bytes:
    kind = draw(st.one_of(st.sampled_from([*_SIZES, 8, 9]), st.integers(0, 20)))
    head = draw(st.one_of(_name(), _string())) + struct.pack("<I", kind)
    if kind == 8:
        return head + draw(_string())
    if kind != 9:
        size = _SIZES.get(kind, 4)
        return head + draw(st.one_of(st.binary(min_size=size, max_size=size), st.just(bytes(size))))
    inner, count = draw(st.sampled_from([*_SIZES, 8, 9])), draw(_count)
    values = b"".join(draw(_string()) if inner == 8 else bytes(_SIZES.get(inner, 1))
                      for _ in range(min(count, 8)))  # fmt: skip
    return head + struct.pack("<IQ", inner, count) + values


@st.composite
def _tensor(draw: st.DrawFn) -> bytes:
    shape = draw(st.lists(st.one_of(st.sampled_from((1, 32, 256)), _count), max_size=5))
    dimensions = draw(st.one_of(st.just(len(shape)), st.integers(0, 6)))
    kind = draw(st.one_of(st.sampled_from((0, 1, 2, 8, 12)), st.integers(0, 50)))
    offset = draw(st.one_of(st.integers(0, 64).map(lambda one: 32 * one), _count))
    return (
        draw(st.one_of(_name(), _string()))
        + struct.pack("<I", dimensions)
        + b"".join(struct.pack("<Q", width) for width in shape)
        + struct.pack("<IQ", kind, offset)
    )


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """The bytes of one file."""
    pairs = draw(st.lists(_pair(), max_size=4))
    tensors = draw(st.lists(_tensor(), max_size=3))
    counts = [draw(st.one_of(*(3 * [st.just(len(one))]), _count)) for one in (tensors, pairs)]
    version = draw(st.one_of(st.just(3), st.just(3), st.integers(0, 5)))
    content = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join((*pairs, *tensors))
    content += bytes(-len(content) % 32)
    return content + bytes(draw(st.sampled_from((0, 32, 2048, 8192))))
