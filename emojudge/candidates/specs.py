"""What a model's headers say of it."""

from __future__ import annotations

from collections import Counter

from emojudge.candidates.ggml_types import FILE_TYPES, honest_quantization
from emojudge.candidates.gguf import GgufHeader
from emojudge.domain import Specs


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
    )
