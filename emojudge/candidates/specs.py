"""What a model's headers say of it."""

from __future__ import annotations

from collections import Counter

from emojudge.candidates.ggml_types import FILE_TYPES, honest_quantization
from emojudge.candidates.gguf import GgufHeader
from emojudge.domain import Specs

_HALF_PRECISION = 2


def specs_of(headers: list[GgufHeader]) -> Specs:
    """The specs of a model from its header, or from the headers of all its shards."""
    first = headers[0]
    by_type: Counter[str] = Counter()
    tensor_types: Counter[str] = Counter()
    parameters = total_bits = 0
    for header in headers:
        for tensor in header.tensors:
            parameters += tensor.elements
            total_bits += 8 * tensor.size
            tensor_types[tensor.type.name] += 1
            if len(tensor.shape) > 1 and not tensor.name.startswith(("token_embd", "output")):
                by_type[tensor.type.name] += tensor.elements
    dominant = max(by_type or tensor_types, key=lambda name: (by_type or tensor_types)[name])
    architecture = first.architecture or "unknown"
    number = first.integer("general.file_type")
    return Specs(
        architecture=architecture,
        model_name=first.text("general.name"),
        parameters=parameters,
        quantization=honest_quantization(
            FILE_TYPES.get(number) if number is not None else None, dominant
        ),
        bits_per_weight=total_bits / parameters,
        tensor_types=dict(sorted(tensor_types.items())),
        context_length=first.integer(f"{architecture}.context_length"),
        vocabulary_size=first.vocabulary_size,
        chat_template=first.text("tokenizer.chat_template"),
        kv_bytes_per_token=_kv_bytes_per_token(first, architecture),
    )


def _kv_bytes_per_token(header: GgufHeader, architecture: str) -> int | None:
    """Keys and values of all layers, in half precision; an upper bound where layers differ."""

    def number(name: str) -> int | None:
        return header.integer(f"{architecture}.{name}")

    layers, heads, width = (
        number("block_count"),
        number("attention.head_count"),
        number("embedding_length"),
    )
    if not layers or not heads or not width:
        return None
    kv_heads = number("attention.head_count_kv") or heads
    key = number("attention.key_length") or width // heads
    value = number("attention.value_length") or width // heads
    return layers * kv_heads * (key + value) * _HALF_PRECISION
