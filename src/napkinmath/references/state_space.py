"""transformers' own Mamba, in plain PyTorch: the CUDA kernels that it can load are left out."""

from __future__ import annotations

from typing import Any

import torch

from ..specs.state_space import StateSpaceSpec
from .plan import How, Plan

_NAMES = {
    "/embeddings/": "embeddings",
    "/mixer/": "layers/mixer",
    "/norm/": "layers/norm",
    "/norm_f/": "final_norm",
    "^lm_head/": "lm_head",
}


def plan(spec: StateSpaceSpec, sizes: dict[str, int], how: How) -> Plan:
    """Token ids of ``[batch, seq]``, and the states of all layers where the context is longer."""
    import transformers as hf

    batch, seq = sizes["batch"], sizes["seq"]
    config = hf.MambaConfig(
        vocab_size=spec.vocab, hidden_size=spec.d_model, num_hidden_layers=spec.n_layers, intermediate_size=spec.d_inner,
        state_size=spec.d_state, time_step_rank=spec.dt_rank, conv_kernel=spec.conv_kernel, tie_word_embeddings=spec.tied_embeddings,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip

    def module() -> torch.nn.Module:
        config.intermediate_size = spec.d_inner  # the config doubles d_model, whatever it is told
        return hf.MambaForCausalLM(config)

    def inputs() -> dict[str, Any]:
        given: dict[str, Any] = {"input_ids": torch.zeros((batch, seq), dtype=torch.long), "use_cache": sizes["context"] > seq}
        if sizes["context"] > seq:
            given["cache_params"] = _states(spec, config, batch)
        return given

    return Plan(module, inputs, _NAMES)


def _states(spec: StateSpaceSpec, config: Any, batch: int) -> Any:
    """Of each layer the convolution's last inputs ``[batch, d_inner, conv_kernel]`` and the state ``[batch, d_inner, d_state]``."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    for layer in range(spec.n_layers):
        cache.update_conv_state(torch.zeros((batch, spec.d_inner, spec.conv_kernel)), layer, conv_kernel_size=spec.conv_kernel)
        cache.update_recurrent_state(torch.zeros((batch, spec.d_inner, spec.d_state)), layer)
    return cache
