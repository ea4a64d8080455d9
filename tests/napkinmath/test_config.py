"""A config.json in transformers' format as a spec: equal to the presets, and refused by the name of the field where ours would be wrong."""

import json

import pytest
import transformers

from napkinmath import from_config
from napkinmath.cli import main
from napkinmath.errors import InputError
from napkinmath.references.encoder_decoder import _config_fields
from napkinmath.specs import preset
from napkinmath.specs.architectures import ARCHITECTURES, ENCODER_DECODERS
from napkinmath.specs.config import config_fields, read_config

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
#: A preset of each architecture that has one, the smallest names first.
PRESETS = (
    "bert-base distilbert albert-base roberta-base longformer-base-4096 gpt2 opt-125m llama-3-8b mistral-7b qwen2.5-0.5b gemma-2b "
    "gemma-2-9b mixtral-8x7b deepseek-v3"
).split()


def write(folder, config):
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return path


def test_a_file_of_the_hub_is_the_preset(tmp_path):
    spec = from_config(write(tmp_path, LLAMA))
    assert spec.dimensions() == preset("llama-3-8b").dimensions()
    assert spec.params() == 8_030_261_248
    assert spec.name == tmp_path.name


@pytest.mark.parametrize("name", PRESETS)
def test_what_transformers_writes_is_read_back(name, tmp_path):
    """Through transformers' own config class: its names, its defaults, and what it adds of its own."""
    spec = preset(name)
    config = {"bert": "Bert", "distilbert": "DistilBert", "gpt2": "GPT2", "opt": "OPT", "deepseek_v3": "DeepseekV3"}.get(
        spec.reference, spec.reference.title()
    )
    getattr(transformers, f"{config}Config")(**config_fields(spec)).save_pretrained(tmp_path)
    assert from_config(tmp_path / "config.json").dimensions() == spec.dimensions()


#: google-t5/t5-base's file, without the texts of its tasks.
T5 = {
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 3072,
    "d_kv": 64,
    "d_model": 768,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "n_positions": 512,
    "num_heads": 12,
    "num_layers": 12,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "task_specific_params": {"summarization": {"early_stopping": True, "num_beams": 4}},
    "vocab_size": 32128,
}


@pytest.mark.parametrize(("name", "config"), [("t5-base", "T5"), ("t5-v1.1-base", "T5"), ("bart-base", "Bart"), ("bart-large", "Bart")])
def test_encoder_decoders_are_read_back(name, config, tmp_path):
    spec = preset(name)
    getattr(transformers, f"{config}Config")(**_config_fields(spec, spec.resolve())).save_pretrained(tmp_path)
    read = from_config(tmp_path / "config.json").dimensions()
    free = {"tied_embeddings"} if name == "t5-v1.1-base" else set()  # T5's config class says yes whatever it was given
    assert {k: v for k, v in read.items() if k not in free} == {k: v for k, v in spec.dimensions().items() if k not in free}


def test_an_encoder_decoder_of_the_hub_is_the_preset(tmp_path):
    spec = from_config(write(tmp_path, T5))
    assert spec.dimensions() == preset("t5-base").dimensions()
    assert spec.params() == 222_903_552
    gated = {**T5, "feed_forward_proj": "gated-gelu", "d_ff": 2048, "tie_word_embeddings": False}
    assert from_config(write(tmp_path, gated)).dimensions() == preset("t5-v1.1-base").dimensions()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feed_forward_proj": "wide-gelu"}, r"feed_forward_proj='wide-gelu' is not known"),
        ({"feed_forward_proj": 2}, r"feed_forward_proj=2 is not known"),
        ({"num_heads": None}, r"has no 'num_heads', which t5 needs; add it"),
        ({"relative_attention_num_buckets": 33}, r"buckets=33: half are for each direction"),
        ({"is_encoder_decoder": False}, r"is_encoder_decoder=False is not counted here, only True"),
        ({"hidden_size": 768}, r"hidden_size=768 is not known for t5"),
    ],
)
def test_an_encoder_decoder_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        from_config(write(tmp_path, {k: v for k, v in {**T5, **change}.items() if v is not None}))


def test_a_bart_of_unlike_stacks_is_refused():
    bart = {"model_type": "bart", "vocab_size": 9, "d_model": 8, "encoder_layers": 2, "decoder_layers": 1, "max_position_embeddings": 16}
    both = {f"{stack}_{field}": 4 for stack in ("encoder", "decoder") for field in ("attention_heads", "ffn_dim")}
    spec = read_config({**bart, **both}, name="x")
    assert (spec.n_layers, spec.n_decoder_layers, spec.max_source) == (2, 1, 16)
    with pytest.raises(InputError, match=r"decoder_ffn_dim=5 where another field has d_ff=4; they must agree"):
        read_config({**bart, **both, "decoder_ffn_dim": 5}, name="x")


def test_every_architecture_has_a_preset_or_is_known_to_have_none():
    assert set(ARCHITECTURES) - {preset(name).reference for name in PRESETS} == {"starcoder2"}
    assert set(ENCODER_DECODERS) == {"t5", "bart"}


def test_old_configs_leave_out_what_they_did_not_know():
    gpt2 = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024}
    assert read_config(gpt2, name="gpt2").dimensions() == preset("gpt2").dimensions()
    llama_1 = {k: v for k, v in LLAMA.items() if k not in ("num_key_value_heads", "tie_word_embeddings")}
    assert read_config(llama_1, name="x").n_kv_heads == 32
    window = {**LLAMA, "model_type": "mistral", "sliding_window": None}
    assert read_config(window, name="x").window == 0
    assert read_config({k: v for k, v in window.items() if k != "sliding_window"}, name="x").window == 4096


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, r"model_type='mamba' is not known; known are bert, .*napkinmath.trace"),
        ({"model_type": None}, r"has no 'model_type'; add"),
        ({"model_type": ["llama"]}, r"model_type=\['llama'\] is not known"),
        ({"hidden_act": {"name": "silu"}}, r"hidden_act=\{'name': 'silu'\} is not known"),
        ({"hidden_size": [4096]}, r"hidden_size=\[4096\] is not a whole number"),
        ({"model_type": "mistral", "sliding_window": [[4096]]}, r"sliding_window=\[4096\] is not a whole number"),
        ({"num_hidden_layers": 10**12, "layer_types": ["full_attention"]}, r"layer_types is not the order that llama has"),
        ({"layer_types": 32}, r"layer_types is not the order that llama has"),
        ({"qk_layernorm": True}, r"qk_layernorm=True is not known for llama; remove it if it changes no shape"),
        ({"hidden_size": None}, r"has no 'hidden_size', which llama needs; add it"),
        ({"hidden_size": "4096"}, r"hidden_size='4096' is not a whole number"),
        ({"hidden_size": 0}, r"hidden_size=0 is out of range"),
        ({"num_key_value_heads": 5}, r"n_kv_heads=5 does not divide n_heads=32"),
        ({"hidden_act": "sillu"}, r"hidden_act='sillu' is not known. Did you mean 'silu'"),
        ({"attention_bias": True, "mlp_bias": False}, r"mlp_bias=False where another field has bias=True; they must agree"),
        ({"tie_word_embeddings": "no"}, r"tie_word_embeddings='no' is neither true nor false"),
        ({"model_type": "qwen2", "use_sliding_window": True}, r"use_sliding_window=True is not counted here, only False"),
        ({"model_type": "mistral", "layer_types": ["full_attention"] * 32}, r"layer_types is not the order that mistral has"),
    ],
)
def test_what_is_not_known_is_refused_by_name(tmp_path, change, message):
    path = write(tmp_path, {k: v for k, v in {**LLAMA, **change}.items() if v is not None})
    with pytest.raises(InputError, match=message) as caught:
        from_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "holds no JSON object"), ("\xff", "is not JSON"), ("[" * 10**5, "is nested too deeply")],
)
def test_a_file_that_is_no_config(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        from_config(write(tmp_path, text))


def test_a_name_that_no_terminal_should_see_is_made_printable(tmp_path):
    assert from_config(write(tmp_path, {**LLAMA, "_name_or_path": "a\nb\ud800"})).name == "a?b?"


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="give the path of a model's config.json"):
        from_config(tmp_path / "config.json")


def test_the_command_line_takes_the_path(tmp_path, capsys):
    path = write(tmp_path, LLAMA)
    assert main(["cost", str(path), "--mode", "decode", "--context", "8192", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kv_cache_bytes"] == 2**30
    assert main(["cost", str(tmp_path / "nothing.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
