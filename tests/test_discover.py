from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from emojudge.candidates.discover import discover
from emojudge.domain import ModelFile
from emojudge.errors import NoCandidates, UsageError
from tests.gguf_files import F16, F32, Q4_0, Q8_0, Gguf, language_model, string_pair, write_ladder


def test_a_ladder_is_found_with_its_baseline(tmp_path: Path) -> None:
    found = discover(write_ladder(tmp_path))
    assert [one.name for one in found.candidates] == ["tiny-F16", "tiny-Q8_0", "tiny-Q4_0"]
    assert found.baseline.name == "tiny-F16"
    assert found.candidates[2].compression_ratio > 2
    assert all(len(one.sha256) == 64 for one in found.candidates)


def test_what_is_no_language_model_is_named_and_left_out(tmp_path: Path) -> None:
    write_ladder(tmp_path)
    projector = Gguf(pairs=[string_pair("general.architecture", "clip")])
    projector.tensors = [("v.weight", (32,), F32)]
    projector.write(tmp_path / "mmproj.gguf")
    adapter = Gguf(
        pairs=[string_pair("general.type", "adapter"), string_pair("general.architecture", "llama")]
    )
    adapter.write(tmp_path / "lora" / "lora.gguf")
    Gguf(pairs=[string_pair("general.architecture", "llama")]).write(tmp_path / "vocab.gguf")
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"x")
    (tmp_path / "notes.gguf").write_text("shopping list, long enough to be looked at")
    found = discover(tmp_path)
    reasons = {one.name: f"{one.reason} → {one.remedy}" for one in found.unusable}
    assert len(found.candidates) == 3
    assert "vision projector" in reasons["mmproj"]
    assert "LoRA adapter" in reasons["lora"]
    assert "vocabulary only" in reasons["vocab"]
    assert "convert_hf_to_gguf.py" in reasons["hf"]
    assert "not a GGUF file" in reasons["notes"]


def test_a_truncated_model_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_ladder(tmp_path)
    file = tmp_path / "tiny-Q4_0" / "tiny-Q4_0.gguf"
    file.write_bytes(file.read_bytes()[:-1000])
    found = discover(tmp_path)
    assert [one.name for one in found.unusable] == ["tiny-Q4_0"]
    assert "truncated" in found.unusable[0].reason


def test_split_sets_are_one_candidate_and_must_be_whole(tmp_path: Path) -> None:
    for number in (1, 2):
        language_model(fill=number).write(tmp_path / f"big-0000{number}-of-00002.gguf")
    found = discover(tmp_path)
    assert [one.name for one in found.candidates] == ["big"]
    assert len(found.candidates[0].files) == 2
    (tmp_path / "big-00002-of-00002.gguf").unlink()
    with pytest.raises(NoCandidates, match="shard 2 of 2 is missing"):
        discover(tmp_path)


def test_missing_empty_and_unmatched_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoCandidates, match="does not exist"):
        discover(tmp_path / "nowhere")
    with pytest.raises(NoCandidates, match="which holds none"):
        discover(tmp_path)
    write_ladder(tmp_path)
    with pytest.raises(NoCandidates, match=r"'tiny-Q8' \(near: tiny-Q8_0"):
        discover(tmp_path, wanted=("tiny-Q8",))


def test_the_baseline_can_be_named_or_lie_elsewhere(tmp_path: Path) -> None:
    folder = write_ladder(tmp_path / "models")
    assert discover(folder, baseline="tiny-Q8_0").baseline.name == "tiny-Q8_0"
    outside = language_model(F32, fill=9).write(tmp_path / "original.gguf")
    found = discover(folder, baseline=str(outside))
    assert found.baseline.name == "original"
    assert len(found.candidates) == 4
    with pytest.raises(UsageError, match="Near: tiny-Q8_0"):
        discover(folder, baseline="tiny-Q80")


def test_the_same_file_twice_is_compared_once(tmp_path: Path) -> None:
    language_model(F16, fill=1).write(tmp_path / "a.gguf")
    language_model(F16, fill=1).write(tmp_path / "b.gguf")
    found = discover(tmp_path)
    assert len(found.candidates) == 1
    assert "byte for byte" in found.unusable[0].reason


def test_pass_1_metadata_is_read_and_broken_metadata_is_told(tmp_path: Path) -> None:
    write_ladder(tmp_path)
    (tmp_path / "tiny-Q8_0" / "quantization_metadata.json").write_text(
        json.dumps({"quantization_method": "gguf", "emotional_degradation": 0.03, "extra": 1})
    )
    (tmp_path / "tiny-Q4_0" / "quantization_metadata.json").write_text("{")
    by_name = {one.name: one for one in discover(tmp_path).candidates}
    eight = by_name["tiny-Q8_0"].pass1
    assert eight is not None
    assert eight.emotional_degradation == 0.03
    assert "cannot be read" in by_name["tiny-Q4_0"].problems[0]
    broken = tmp_path / "tiny-Q4_0" / "quantization_metadata.json"
    broken.unlink()
    os.mkfifo(broken)
    by_name = {one.name: one for one in discover(tmp_path).candidates}
    assert "is not a regular file" in by_name["tiny-Q4_0"].problems[0]


def test_known_files_are_not_hashed_again(tmp_path: Path) -> None:
    first = discover(write_ladder(tmp_path))
    known = {
        file.path: ModelFile(**{**file.model_dump(), "sha256": "known"})
        for one in first.candidates
        for file in one.files
    }
    again = discover(tmp_path, known=known)
    assert {file.sha256 for one in again.candidates for file in one.files} == {"known"}
    language_model(Q8_0, fill=77, rows=4096).write(tmp_path / "tiny-Q8_0" / "tiny-Q8_0.gguf")
    changed = {one.name: one.files[0].sha256 for one in discover(tmp_path, known=known).candidates}
    assert changed["tiny-Q8_0"] != "known"
    assert changed["tiny-F16"] == "known"


def test_a_differing_template_is_marked(tmp_path: Path) -> None:
    language_model(F16, fill=1).write(tmp_path / "a.gguf")
    language_model(Q4_0, fill=2, template="{{ other }}").write(tmp_path / "b.gguf")
    assert [one.template_differs for one in discover(tmp_path).candidates] == [False, True]


def test_hostile_names_are_shown_harmless(tmp_path: Path) -> None:
    language_model(F16).write(tmp_path / "evil\x1b[31m.gguf")
    assert discover(tmp_path).candidates[0].name == "evil␛[31m"
