"""The block as decoder of an encoder-decoder, against torch's; masks of one's own; cross-attention with a KV cache."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import causal_mask
from seq_modules.nets.transformer.block import Block, random_bytes
from seq_modules.nets.transformer.cache import KVCache
from seq_modules.training.optimizers.muon import hidden_matrices

B, T, S, D, H, F = 3, 7, 5, 12, 2, 20
LENGTHS, MEMORY_LENGTHS = torch.tensor([7, 4, 1]), torch.tensor([5, 2, 1])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def present(lengths: Tensor, steps: int) -> Tensor:
    """(B, T), true at the tokens of each row."""
    return torch.arange(steps) < lengths[:, None]


def make(cross_attention: bool = True, **options: Any) -> Block:
    settings: dict[str, Any] = {"activation": "gelu", "cross_attention": cross_attention, **options}
    block = Block(D, H, F, **settings).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    return block


def from_torch(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for Block of torch.nn.TransformerDecoderLayer's, or its gradients by the same names."""
    found = {}
    for name, value in weights.items():
        module, _, rest = name.partition(".")
        kind = rest.rpartition(".")[2].removeprefix("in_proj_")  # weight or bias
        if module == "self_attn":
            found[f"attention.{'out' if 'out' in rest else 'qkv'}.{kind}"] = value
        elif module == "multihead_attn" and "out" in rest:
            found[f"cross.out.{kind}"] = value
        elif module == "multihead_attn":
            found[f"cross.q.{kind}"], found[f"cross.kv.{kind}"] = value[:D], value[D:]
        elif module.startswith("linear"):
            found[f"feed_forward.{'up' if module == 'linear1' else 'down'}.{kind}"] = value
        else:
            norms = {"norm1": "attention_norm", "norm2": "cross_norm", "norm3": "feed_forward_norm"}
            found[f"{norms[module]}.{kind}"] = value
    return found


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_outputs_and_gradients_equal_torchs_decoder_layer(kind: str, padded: bool) -> None:
    theirs = nn.TransformerDecoderLayer(D, H, F, 0.0, "gelu", norm_first=True, batch_first=True).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    ours = make(attention=kind)
    ours.load_state_dict(from_torch(theirs.state_dict()))
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    real, real_memory = present(LENGTHS, T), present(MEMORY_LENGTHS, S)
    masks: dict[str, Any] = {}
    options: dict[str, Any] = {"tgt_mask": nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)}
    if padded:
        causal = torch.ones(T, T, dtype=torch.bool).tril()
        masks = {"mask": causal & real[:, None, None], "memory_mask": real_memory[:, None, None]}
        options = {"tgt_mask": ~causal, "tgt_key_padding_mask": ~real, "memory_key_padding_mask": ~real_memory}
    counted = real if padded else torch.ones_like(real)
    ahead = torch.randn(B, T, D, dtype=torch.float64) * counted[..., None]
    results = []
    for layer, given in ((ours, {"memory": memory, **masks}), (theirs, {"memory": memory, **options})):
        inputs = x.clone().requires_grad_(), given.pop("memory").clone().requires_grad_()
        y = layer(inputs[0], memory=inputs[1], **given)
        gradients = torch.autograd.grad(y, [*inputs, *layer.parameters()], ahead)
        names = [name for name, _ in layer.named_parameters()]
        results.append((y[counted], gradients[:2], dict(zip(names, gradients[2:], strict=True))))
    (y, of_inputs, of_weights), (expected, of_their_inputs, of_their_weights) = results
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
    for one, other in zip(of_inputs, of_their_inputs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)
    expected_gradients = from_torch(of_their_weights)
    assert of_weights.keys() == expected_gradients.keys()
    for name, gradient in of_weights.items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=0, atol=1e-11, msg=name)


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_the_default_mask_is_the_causal_one_in_any_form(kind: str) -> None:
    block, x = make(cross_attention=False, attention=kind), torch.randn(B, T, D, dtype=torch.float64)
    expected = block(x)
    boolean = torch.ones(T, T, dtype=torch.bool).tril()
    added = causal_mask(T, x.device, x.dtype)
    for mask in (boolean, added, boolean.expand(B, 1, T, T), added.expand(1, H, T, T)):
        torch.testing.assert_close(block(x, mask=mask), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_an_encoder_ignores_padding_and_reads_both_sides(kind: str) -> None:
    block, x = make(cross_attention=False, attention=kind), torch.randn(B, T, D, dtype=torch.float64)
    whole = block(x, mask=present(LENGTHS, T)[:, None, None])
    for row, length in enumerate(LENGTHS.tolist()):
        mask = torch.ones(length, length, dtype=torch.bool)
        alone = block(x[row : row + 1, :length], mask=mask)
        torch.testing.assert_close(whole[row : row + 1, :length], alone, rtol=0, atol=1e-12)


@torch.no_grad()
def test_steps_with_a_cache_and_prepared_memory_equal_the_whole_sequence() -> None:
    block = make().eval()
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    mask = present(MEMORY_LENGTHS, S)[:, None, None]
    whole = block(x, memory=memory, memory_mask=mask)
    assert block.cross is not None
    prepared = block.cross.keys_values(memory)
    cache = KVCache(1, B, T, x.device)
    cache.fill(torch.zeros(B, 2, dtype=torch.long), [2] * B)
    steps = [block(x[:, :2], attend=partial(cache.attend_filled, 0), memory=prepared, memory_mask=mask)]
    for step in range(2, T):
        cache.append(torch.zeros(B, 1, dtype=torch.long), [1] * B)
        attend = partial(cache.attend_appended, 0)
        steps.append(block(x[:, step : step + 1], attend=attend, memory=prepared, memory_mask=mask))
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=0, atol=1e-12)


def test_each_branch_is_dropped_by_its_own_bytes() -> None:
    block = make(dropout=0.5)
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    silent = torch.zeros(3, B, T, D, dtype=torch.uint8)  # every number of every branch is dropped
    assert torch.equal(block(x, memory=memory, dropout_bytes=silent), x)
    dropout_bytes = random_bytes(3, B, T, D, device=x.device)
    results = []
    for branch in range(3):
        changed = dropout_bytes.clone()
        changed[branch] = 255 - changed[branch]
        results.append(block(x, memory=memory, dropout_bytes=changed))
    results.append(block(x, memory=memory, dropout_bytes=dropout_bytes))
    assert all(not torch.equal(one, other) for at, one in enumerate(results) for other in results[:at])


def test_muon_orthogonalises_each_projection_apart() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([make()])

    net = Net()
    counts = {name: hidden_matrices(net).get(parameter) for name, parameter in net.blocks[0].named_parameters()}
    matrices = {name: count for name, count in counts.items() if count is not None}
    expected = {"attention.qkv.weight": 3, "attention.out.weight": 1, "cross.q.weight": 1, "cross.kv.weight": 2}
    expected |= {"cross.out.weight": 1, "feed_forward.up.weight": 1, "feed_forward.down.weight": 1}
    assert matrices == expected
