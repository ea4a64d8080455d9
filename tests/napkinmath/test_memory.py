"""Memory: closed forms against published figures and against what a real module keeps; traced peaks against the allocator."""

import math

import pandas as pd
import pytest
import sympy
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import napkinmath as nm
from napkinmath.errors import InputError
from napkinmath.footprint import OPTIMIZERS, RECIPES, memory, state_bytes_of
from napkinmath.peak import fake_copy, measured_peak, peak_memory
from napkinmath.whiteboard import memory as forms

# Closed forms --------------------------------------------------------------------------------------------------------


def test_zero_papers_gpt2():
    """Rajbhandari et al. 2020, section 3.1: 1.5B parameters take 3 GB in fp16 and at least 24 GB of model states."""
    assert forms.model_state_bytes(1.5e9) == 24e9
    recipe = RECIPES["mixed_bf16"]
    assert recipe.weights + recipe.gradients + recipe.master + OPTIMIZERS["adam"].state_values * recipe.state == 16


def test_megatrons_eighteen_bytes():
    """NVIDIA/Megatron-LM, theoretical_memory_usage.py: 18 bytes per parameter without a distributed optimizer."""
    recipe = RECIPES["megatron"]
    assert recipe.weights + recipe.gradients + recipe.master + 2 * recipe.state == 18


@pytest.mark.parametrize(("seq", "d_model", "heads"), [(2048, 12288, 96), (2048, 20480, 128), (1024, 1024, 16)])
def test_korthikanti_equation_2(seq, d_model, heads):
    """Korthikanti et al. 2022: s b h (34 + 5 a s / h), and 34 s b h with selective recomputation. The first two are GPT-3 and MT-NLG."""
    arguments = (4, seq, d_model, 4 * d_model, heads, heads, d_model // heads)
    assert forms.layer_saved_bytes(*arguments, dropout=1) == 4 * seq * d_model * (34 + 5 * heads * seq / d_model)
    assert forms.layer_saved_bytes(*arguments, dropout=1, keep_scores=0) == 34 * 4 * seq * d_model


def test_qlora_constants():
    """Dettmers et al. 2023, section 3: 0.5 bits per parameter become 0.127, which saves about 3 GB on 65B parameters."""
    saved = forms.quantized_weight_bytes(65e9, double_quantization=0) - forms.quantized_weight_bytes(65e9)
    assert round(saved / 1e9, 1) == 3.0


def test_paged_cache_rounds_up_windows_cut_and_scales_add():
    exact = nm.kv_cache_bytes(32, 8, 128, 4, 1024, "bf16")
    paged = forms.allocated_kv_cache_bytes
    assert paged(32, 8, 128, 4, 1024) == paged(32, 8, 128, 4, 1009) == exact
    assert paged(32, 8, 128, 4, 1025) == exact * 1040 / 1024
    assert paged(32, 8, 128, 4, 10**6, window=1024) == exact
    assert paged(32, 8, 128, 4, 1024, dtype="int4", scale_group=32) == exact / 4 * (1 + 1 / 8)


@given(st.integers(1, 10**6), st.integers(1, 512))
def test_a_page_loses_less_than_a_block(context, block):
    values = forms.allocated_kv_cache_bytes(1, 1, 1, 1, context, dtype=1, block=block)
    assert 2 * context <= values < 2 * (context + block)
    assert values % (2 * block) == 0


def test_closed_forms_take_columns_and_symbols():
    contexts = pd.Series([10, 17, 100])
    assert list(forms.allocated_kv_cache_bytes(1, 1, 1, 1, contexts, dtype=1, window=64)) == [32, 64, 128]
    batch = sympy.Symbol("b")
    formula = forms.layer_saved_bytes(batch, 128, 64, 256, 4, 4, 16)
    assert formula.subs(batch, 3) == forms.layer_saved_bytes(3, 128, 64, 256, 4, 4, 16)
    assert forms.lora_params(8, sympy.Symbol("n"), 2).has(sympy.Symbol("n"))


class GPTLayer(nn.Module):
    """The layer of Korthikanti et al., figure 2: dropout after the softmax, the projection and the FFN."""

    def __init__(self, d_model, heads, dropout):
        super().__init__()
        self.heads, self.drop = heads, dropout
        self.norms = nn.ModuleList([nn.LayerNorm(d_model), nn.LayerNorm(d_model)])
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.up, self.down = nn.Linear(d_model, 4 * d_model), nn.Linear(4 * d_model, d_model)

    def forward(self, x):
        batch, seq, width = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(batch, seq, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)).softmax(-1)
        x = x + self.dropped(self.out((self.dropped(scores) @ v).transpose(1, 2).reshape(batch, seq, width)))
        return x + self.dropped(self.down(F.gelu(self.up(self.norms[1](x)))))

    def dropped(self, x):
        """CUDA's operator, with a mask of a byte per value; F.dropout on CPU keeps one as wide as the values."""
        return torch.native_dropout(x, self.drop, True)[0] if self.drop else x


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_activation_formula_is_what_a_layer_keeps(dropout):
    """The traced forward pass ends with the formula's bytes alive, beside the norms' statistics (2 values a token) and the output."""
    batch, seq, width, heads = 2, 64, 128, 4
    with torch.device("meta"):
        layer, x = GPTLayer(width, heads, dropout), torch.zeros(batch, seq, width)
    traced = peak_memory(layer, x, mode="training", optimizer=None)
    first_of_backward = next(i for i, (phase, _) in enumerate(traced.events) if phase == "backward")
    weights = sum(p.numel() * 4 for p in layer.parameters())
    kept = traced.events[first_of_backward - 1][1] - weights
    formula = forms.layer_saved_bytes(batch, seq, width, 4 * width, heads, heads, width // heads, dropout=int(dropout > 0), dtype="fp32")
    statistics, output = 4 * 2 * 2 * batch * seq, 4 * batch * seq * width
    assert kept - statistics - output == pytest.approx(formula, rel=0.001)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "adafactor"])
def test_optimizer_state_is_what_torch_allocates(optimizer):
    module = nn.Sequential(nn.Linear(48, 64), nn.Linear(64, 32, bias=False))
    ledger = nm.trace(module, torch.zeros(2, 48))
    traced = peak_memory(module, torch.zeros(2, 48), mode="training", optimizer=optimizer).parts().get("optimizer", 0)
    counters = 0 if optimizer in ("sgd", "momentum") else 4 * 3  # a step count for each parameter
    assert traced - counters == state_bytes_of(ledger, optimizer, 4)


def test_the_table_adds_up_and_knows_its_recipe():
    table = memory("llama-3-8b", 1, 4096)
    params = nm.preset("llama-3-8b").params()
    assert table.total_bytes == sum(table.rows.values()) == table.frame()["bytes"].sum()
    assert sum(table.rows[part] for part in ("weights", "gradients", "master_weights", "optimizer")) == 16 * params
    assert math.isclose(table.frame()["share"].sum(), 1)
    assert "GB" in str(table)


def test_each_choice_saves_what_it_should():
    def rows(**choice):
        return memory("gpt2", 4, 512, **choice).rows

    assert rows(checkpoint="full")["activations"] < rows(checkpoint="selective")["activations"] < rows(attention="eager")["activations"]
    assert rows(attention="eager", checkpoint="selective") == rows(attention="fused")
    assert rows(optimizer="adam8bit")["optimizer"] < rows(optimizer="momentum")["optimizer"] < rows()["optimizer"]
    assert "optimizer" not in rows(optimizer="sgd")
    inference = memory("gpt2", 4, 1, 512, mode="inference", recipe="bf16").rows
    assert inference["kv_cache"] == nm.preset("gpt2").kv_cache_bytes(4, 512)
    assert set(inference) == {"weights", "kv_cache", "activations"}


@pytest.mark.parametrize("name", ["mamba-130m", "lstm-ptb-large", "t5-small"])
def test_a_model_keeps_its_state_or_both_its_caches(name):
    spec = nm.preset(name)
    rows = memory(spec, mode="inference", recipe="bf16").rows
    kept = {part: size for part, size in spec.kept_bytes(spec.resolve(), "bf16").items() if size}
    assert kept and {f"{part}_bytes": size for part, size in rows.items() if part in ("kv_cache", "state")} == kept


def test_the_best_segment_is_the_least_memory():
    """Chen et al. 2016: sqrt(n) segments, if a layer keeps no more than its input; a transformer's layers are segments of their own."""

    def least(layer_bytes):
        sizes = {"n_layers": 64, "layer_bytes": layer_bytes, "dtype": "int8"}
        kept = {segment: nm.checkpoint_bytes(1, 1, 1, **sizes, segment=segment) for segment in (1, 2, 4, 8, 16, 32, 64)}
        return min(kept, key=kept.get)

    assert least(1) == nm.checkpoint_segment(64, 1, 1) == 8
    assert least(16) == nm.checkpoint_segment(64, 1, 16) == 2
    assert least(64) == 1


def test_a_ledger_of_any_module_will_do():
    ledger = nm.trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.zeros(1, 3, 8, 8))
    table = memory(ledger, recipe="fp32")
    assert table.rows["activations"] == 2 * 8 * 36 * 4


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"recipe": "fp23"}, "recipe='fp23'.*fp32"),
        ({"optimizer": "adm"}, "optimizer='adm'.*adam"),
        ({"mode": "train"}, "mode='train'.*training"),
        ({"attention": "flash"}, "attention='flash'"),
        ({"checkpoint": "ful"}, "checkpoint='ful'.*full"),
        ({"seq": 0}, "seq=0"),
    ],
)
def test_bad_choices_get_one_line(choice, message):
    with pytest.raises(InputError, match=message) as caught:
        memory("gpt2", **choice)
    assert "\n" not in str(caught.value)


# Traced and measured peaks -------------------------------------------------------------------------------------------


class First(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)[0]


def bert():
    import transformers as hf

    config = hf.BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return hf.BertModel(config).eval(), {"input_ids": torch.zeros(2, 32, dtype=torch.long)}


TINY = {
    "mlp": lambda: (nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 8)), {"input": torch.zeros(16, 64)}),
    "bert": bert,
    "cnn": lambda: (
        nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 3, stride=2)),
        {"input": torch.zeros(4, 3, 32, 32)},
    ),
    "lstm": lambda: (First(nn.LSTM(32, 64)), {"x": torch.zeros(16, 8, 32)}),
    "gru": lambda: (First(nn.GRU(16, 32)), {"x": torch.zeros(8, 4, 16)}),
}


@pytest.mark.parametrize(("mode", "bar"), [("inference", 0.05), ("training", 0.10)])
@pytest.mark.parametrize("name", TINY)
def test_the_traced_peak_is_what_the_allocator_measures(name, mode, bar):
    module, inputs = TINY[name]()
    fake, _, fake_inputs = fake_copy(module, **inputs)
    traced, measured = peak_memory(fake, mode=mode, **fake_inputs), measured_peak(module, mode=mode, **inputs)
    assert traced.peak_bytes == pytest.approx(measured.peak_bytes, rel=bar)
    assert (traced.origin, measured.origin) == ("trace:cpu", "measured:cpu")
    assert sum(traced.parts().values()) == traced.peak_bytes == max(size for _, size in traced.events)


def test_a_model_of_any_size_has_a_peak_on_meta():
    with torch.device("meta"):
        module, x = nn.Sequential(*(nn.Linear(2**15, 2**15, bias=False) for _ in range(4))), torch.zeros(1024, 2**15)
    peak = peak_memory(module, x, mode="training")
    weights = 4 * 2**30 * 4
    assert peak.parts()["weights"] == peak.parts()["gradients"] == weights
    assert peak.parts()["optimizer"] == 2 * weights + 4 * 4  # and four step counts
    assert peak.phase == "optimizer"
    assert peak.largest(1)["bytes"].iloc[0] == 2**32


def test_checkpointing_lowers_the_peak():
    from torch.utils.checkpoint import checkpoint

    class Deep(nn.Module):
        def __init__(self, checkpointed):
            super().__init__()
            self.checkpointed = checkpointed
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(6))

        def forward(self, x):
            for block in self.blocks:
                x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
            return x

    with FakeTensorMode():
        kept, recomputed = (peak_memory(Deep(flag), torch.zeros(512, 64), mode="training", optimizer="sgd") for flag in (False, True))
    assert recomputed.peak_bytes < 0.6 * kept.peak_bytes


def test_a_timeline_ends_where_it_began(capfd):
    """Only what was there before and the output, which nobody holds any more, are alive after an inference. And the profiler is quiet."""
    module, x = nn.Linear(8, 8), torch.zeros(4, 8)
    held = 4 * (8 * 8 + 8 + 4 * 8)
    assert peak_memory(module, x).events[-1][1] == held
    assert measured_peak(module, x).events[-1][1] == held
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: peak_memory(nn.Linear(2, 2), torch.zeros(1, 2), mode="train"), "mode='train'.*training"),
        (lambda: peak_memory(nn.Linear(2, 2), torch.zeros(1, 3)), "Linear raised RuntimeError"),
        (lambda: peak_memory("bert"), "takes a torch.nn.Module"),
        (lambda: measured_peak(nn.Linear(2, 2, device="meta"), torch.zeros(1, 2, device="meta")), "nothing is allocated on meta"),
    ],
)
def test_bad_requests_for_a_peak_get_one_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
