"""Reading probabilities off real models: judges' scores, likelihoods, perplexity, divergence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest

from emojudge.engine.llama import native
from emojudge.engine.llama.batcher import Batcher, Request
from emojudge.engine.llama.fidelity import ForcedText, Reference, perplexity
from emojudge.engine.llama.model import LlamaModel, Placement
from emojudge.engine.llama.scoring import Scorer, log_softmax
from emojudge.errors import EngineError
from emojudge.prompts import bundled_prompts

pytestmark = pytest.mark.models
SUFFIXES = ["\nWarmth: ", "\nFit: ", "\nBelievable: "]
PREFIX = "Person: My dog died this morning.\nCompanion: I am so sorry. Tell me about him."
OTHER = "Person: My dog died this morning.\nCompanion: Buy another one, they are cheap."


def file_of(cache: Path, kind: str) -> Path:
    return next((cache / "emojudge" / "ladders").glob(f"*/models/*-{kind}/*.gguf"))


@pytest.fixture(scope="module")
def model(model_cache: Path) -> Iterator[LlamaModel]:
    native.start()
    loaded = LlamaModel(str(file_of(model_cache, "Q8_0")), Placement())
    yield loaded
    loaded.close()


@pytest.fixture
def scorer(model: LlamaModel) -> Iterator[Scorer]:
    one = Scorer(model, 2, None)
    yield one
    one.close()


def plain(model: LlamaModel, text: str) -> list[int]:
    return model.tokenize(text, add_special=False, parse_special=False)


def digits(model: LlamaModel) -> list[int]:
    return [plain(model, str(digit))[-1] for digit in range(1, 6)]


def whole(scorer: Scorer, tokens: list[int]) -> npt.NDArray[np.float64]:
    """Log-probabilities after ``tokens``, evaluated from nothing and alone."""
    _, row = next(scorer.rows([*tokens, 0], len(tokens), keep=False))
    return log_softmax(row)


def test_suffixes_score_as_if_each_had_been_read_alone(model: LlamaModel, scorer: Scorer) -> None:
    prefix, options = plain(model, PREFIX), digits(model)
    suffixes = [plain(model, one) for one in SUFFIXES]
    scores = scorer.suffix_log_probs(prefix, suffixes, options)
    assert scores.shape == (3, 5)
    assert np.all(np.exp(scores).sum(axis=1) <= 1)
    for row, suffix in zip(scores, suffixes, strict=True):
        alone = whole(scorer, [*prefix, *suffix])[options]
        assert np.allclose(row, alone, atol=0.25)
        assert np.argsort(row)[-1] == np.argsort(alone)[-1]


def test_the_constant_part_of_the_prefix_is_kept(model: LlamaModel, scorer: Scorer) -> None:
    options = digits(model)
    suffixes = [plain(model, one) for one in SUFFIXES]
    first, second = plain(model, PREFIX), plain(model, OTHER)
    scorer.suffix_log_probs(first, suffixes, options)
    assert scorer.reused_tokens == 0
    kept = scorer.suffix_log_probs(second, suffixes, options)
    common = next(at for at, token in enumerate(first) if second[at] != token)
    assert scorer.reused_tokens == common
    fresh = Scorer(model, 2, None)
    assert np.allclose(kept, fresh.suffix_log_probs(second, suffixes, options), atol=0.25)
    fresh.close()
    again = scorer.suffix_log_probs(second, suffixes, options)
    assert scorer.reused_tokens == len(second) - 1
    assert np.allclose(kept, again, atol=0.25)


def test_many_and_long_suffixes_and_a_growing_context(model: LlamaModel, scorer: Scorer) -> None:
    prefix, options = plain(model, PREFIX), digits(model)
    many = [plain(model, f" number {number}:") for number in range(150)]
    assert scorer.suffix_log_probs(prefix, many, options).shape == (150, 5)
    long = plain(model, "and then it rained " * 120)
    scorer.suffix_log_probs(prefix * 40, [long[:400], long[:300]], options)
    with pytest.raises(EngineError, match="too long"):
        scorer.suffix_log_probs(prefix, [long * 2], options)
    with pytest.raises(EngineError, match="at least one token"):
        scorer.suffix_log_probs([], many, options)
    small = Scorer(model, 2, 64)
    with pytest.raises(EngineError, match="holds 64"):
        small.suffix_log_probs(prefix * 10, many, options)
    small.close()


def test_log_likelihoods_are_those_of_the_high_level_interface(
    model: LlamaModel, scorer: Scorer, model_cache: Path
) -> None:
    prompt, text = plain(model, PREFIX), plain(model, " He was a good dog, and he knew it.")
    own = scorer.log_likelihoods(prompt, text)
    rows = reference_logits(file_of(model_cache, "Q8_0"), [*prompt, *text])
    start = len(prompt)
    expected = [log_softmax(rows[start + at - 1])[token] for at, token in enumerate(text)]
    assert own.shape == (len(text),)
    assert np.allclose(own, expected, atol=0.3)
    assert own.sum() == pytest.approx(sum(expected), rel=0.02)


def reference_logits(path: Path, tokens: list[int]) -> npt.NDArray[np.float32]:
    """All logits of a text by the high-level interface."""
    llama = llama_cpp.Llama(
        str(path), n_ctx=512, n_threads=2, flash_attn=True, logits_all=True, verbose=False
    )
    llama.eval(tokens)
    rows = np.array(llama.scores[: len(tokens)])
    llama.close()
    return rows


def test_perplexity_is_llama_perplexitys(
    model: LlamaModel, scorer: Scorer, model_cache: Path
) -> None:
    """Its definition worked out again on the high-level interface's logits.

    perplexity.cpp: chunks of n_ctx tokens, BOS first if the model wants one, logits at positions
    n_ctx/2 … n_ctx−2 score the tokens that follow them, exp of the mean negative log-likelihood.
    """
    text = bundled_prompts().decode()[:6000]
    tokens = model.tokenize(text, add_special=True, parse_special=False)
    chunk = 256
    result = perplexity(model, scorer, tokens, chunk, 4)
    losses: list[float] = []
    for number in range(4):
        part = tokens[number * chunk : (number + 1) * chunk]
        given = [model.bos, *part[1:]] if model.wants_bos else part
        rows = reference_logits(file_of(model_cache, "Q8_0"), given)
        losses += [
            -float(log_softmax(rows[at])[part[at + 1]]) for at in range(chunk // 2, chunk - 1)
        ]
    assert result.positions == len(losses) == 4 * (chunk - 1 - chunk // 2)
    assert result.perplexity == pytest.approx(np.exp(np.mean(losses)), rel=0.01)
    assert 0 < result.standard_error < result.perplexity
    with pytest.raises(EngineError, match="needs at"):
        perplexity(model, scorer, tokens[:100], chunk, 4)


def test_divergence_from_itself_is_nothing_and_grows_down_the_ladder(
    model: LlamaModel, scorer: Scorer, model_cache: Path, tmp_path: Path
) -> None:
    texts = [
        ForcedText(tuple(plain(model, PREFIX)), tuple(plain(model, " He was a good dog. " * 4))),
        ForcedText(tuple(plain(model, OTHER)), tuple(plain(model, " What a cold thing to say."))),
    ]
    reference = Reference(tmp_path / "reference")
    size = reference.record(model, scorer, texts, 20, seed=3)
    assert size == 20 * model.vocabulary_size * 2
    itself = reference.compare(model, scorer, texts)
    assert itself.positions == 20
    assert itself.all_positions == sum(len(one.text) for one in texts)
    assert abs(itself.mean_kl) < 1e-3
    assert itself.same_top == 1
    assert itself.first_divergence == (None, None)
    small = LlamaModel(str(file_of(model_cache, "Q4_0")), Placement())
    other = Scorer(small, 2, None)
    worse = reference.compare(small, other, texts)
    other.close()
    small.close()
    assert worse.mean_kl > 10 * abs(itself.mean_kl)
    assert worse.mean_kl > worse.standard_error > 0
    assert 0 < worse.same_top <= 1
    with pytest.raises(EngineError, match="other texts"):
        reference.compare(model, scorer, texts[:1])
    with pytest.raises(EngineError, match="Record them again"):
        Reference(tmp_path / "nowhere").compare(model, scorer, texts)


def test_a_reference_that_does_not_fit_the_disk_is_refused_with_the_numbers(
    model: LlamaModel, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    texts = [ForcedText(tuple(plain(model, PREFIX)), tuple(plain(model, OTHER)))]
    with pytest.raises(EngineError, match=r"need [\d,]+ bytes in .*1,000 free"):
        Reference(tmp_path).record(model, scorer, texts, 4096, seed=1)
    assert not (tmp_path / "log_probs.npy").exists()


# Models whose memory cannot be cut


@pytest.fixture(scope="module")
def recurrent(model_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    """A tiny Mamba of random weights, with the real models' vocabulary."""
    source = gguf.GGUFReader(str(file_of(model_cache, "Q8_0")))
    path = tmp_path_factory.mktemp("recurrent") / "mamba.gguf"
    writer = gguf.GGUFWriter(str(path), "mamba")
    width, inner, state, rank, kernel, layers = 32, 64, 8, 4, 4, 2
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(layers)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    for name in ("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id"):
        field = source.fields.get(f"tokenizer.ggml.{name}")
        if field is not None:
            writer.add_key_value(
                field.name,
                field.contents(),
                field.types[0],
                field.types[1] if len(field.types) > 1 else None,
            )
    vocabulary = len(source.fields["tokenizer.ggml.tokens"].contents())
    draw = np.random.default_rng(2)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (draw.normal(size=shape) * 0.3).astype(np.float32))

    tensor("token_embd.weight", vocabulary, width)
    tensor("output_norm.weight", width)
    for layer in range(layers):
        block = f"blk.{layer}"
        tensor(f"{block}.attn_norm.weight", width)
        tensor(f"{block}.ssm_in.weight", 2 * inner, width)
        tensor(f"{block}.ssm_conv1d.weight", inner, kernel)
        tensor(f"{block}.ssm_conv1d.bias", inner)
        tensor(f"{block}.ssm_x.weight", rank + 2 * state, inner)
        tensor(f"{block}.ssm_dt.weight", inner, rank)
        tensor(f"{block}.ssm_dt.bias", inner)
        writer.add_tensor(f"{block}.ssm_a", -np.ones((inner, state), np.float32))
        tensor(f"{block}.ssm_d", inner)
        tensor(f"{block}.ssm_out.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    loaded = LlamaModel(str(path), Placement())
    yield loaded
    loaded.close()


def test_a_model_that_refuses_partial_removal_starts_anew_and_scores_the_same(
    recurrent: LlamaModel,
) -> None:
    scorer = Scorer(recurrent, 2, None)
    options = digits(recurrent)
    suffixes = [plain(recurrent, one) for one in SUFFIXES]
    first, second = plain(recurrent, PREFIX), plain(recurrent, OTHER)
    scorer.suffix_log_probs(first, suffixes, options)
    after = scorer.suffix_log_probs(second, suffixes, options)
    assert scorer.reused_tokens == 0, "it could not keep a part"
    fresh = Scorer(recurrent, 2, None)
    alone = fresh.suffix_log_probs(second, suffixes, options)
    fresh.close()
    scorer.close()
    assert np.allclose(after, alone, atol=1e-3)
    assert not np.allclose(after[0], after[1], atol=1e-3)


def test_a_recurrent_model_generates_in_batches_what_it_generates_alone(
    recurrent: LlamaModel,
) -> None:
    prompts = [tuple(plain(recurrent, text)) for text in (PREFIX, PREFIX, OTHER, "Hello there.")]

    def texts(width: int) -> list[tuple[int, ...]]:
        batcher = Batcher(recurrent, width, 2)
        for number, prompt in enumerate(prompts):
            batcher.add(Request(str(number), prompt, 12, 0.0, 1.0, 0, 60.0, past_the_end=True))
        done: dict[str, tuple[int, ...]] = {}
        while batcher.busy:
            done |= {one.request.id: one.token_ids for one in batcher.step()}
        batcher.close()
        return [done[str(number)] for number in range(4)]

    assert texts(1) == texts(3)
