"""GPT against transformers' GPT-2, and properties that hold for every option."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from seq_modules.nets.hashing.hashed_ngrams import NgramEmbedding
from seq_modules.nets.transformer.block import Block
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, MixedBlock, NgramConfig
from seq_modules.nets.transformer.transformers_weights import from_gpt2

V, D, L, H, S = 17, 16, 3, 2, 12
SIZES: dict[str, Any] = {"d_model": D, "num_layers": L, "num_heads": H, "max_seq_len": S}
SPEEDRUN: dict[str, Any] = {
    "positions": "rotary",
    "norm": "rms",
    "activation": "relu2",
    "bias": False,
    "tie_weights": False,
    "ngrams": NgramConfig([2, 3, 4], buckets=64, dim=4),
    "extras": ExtrasConfig(qk_norm=True, value_embeddings=True, residual_mix=True, logit_softcap=15.0),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "sinusoidal": {"positions": "sinusoidal"},
    "rotary": {"positions": "rotary"},
    "alibi": {"positions": "alibi"},
    "alibi_eager": {"positions": "alibi", "attention": "eager"},
    "none": {"positions": "none"},
    "rms": {"norm": "rms"},
    "gelu": {"activation": "gelu", "bias": False},
    "swiglu": {"activation": "swiglu", "d_ff": 20},
    "relu2": {"activation": "relu2"},
    "untied": {"tie_weights": False},
    "qk_norm": {"extras": ExtrasConfig(qk_norm=True)},
    "eager": {"attention": "eager"},
    "ngrams": {"ngrams": NgramConfig([2, 4], buckets=64, dim=4)},
    "values": {"extras": ExtrasConfig(value_embeddings=True)},
    "mix": {"extras": ExtrasConfig(residual_mix=True)},
    "softcap": {"extras": ExtrasConfig(logit_softcap=5.0)},
    "speedrun": SPEEDRUN,
    "speedrun_layer": SPEEDRUN | {"positions": "learned", "norm": "layer", "bias": True, "attention": "eager"},
}


def make(name: str, **options: Any) -> GPT:
    """A net in float64 whose every parameter is random: fresh ones hide behind zeros, ones and small numbers."""
    torch.manual_seed(0)
    net = GPT(V, GPTConfig(**SIZES | OPTIONS[name] | options)).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net.eval()


def gpt2(**options: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=V, n_positions=S, n_embd=D, n_layer=L, n_head=H, bos_token_id=0, eos_token_id=0, **options
    )
    theirs = GPT2LMHeadModel(config).double().eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return theirs


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_logits_and_gradients_equal_transformers_gpt2(kind: str) -> None:
    torch.manual_seed(0)
    theirs, ours = gpt2(), make("gpt2", attention=kind)
    ours.load_state_dict(from_gpt2(theirs.state_dict()))
    ids = torch.randint(V, (4, S))
    one, other = ours(ids), theirs(ids).logits
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    for logits in (one, other):
        F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    expected = from_gpt2({name: parameter.grad for name, parameter in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-10, msg=name)


def bloom(net: GPT) -> Any:
    """transformers' BLOOM, which has ALiBi, with a GPT's weights; without its norm of the embedding."""
    from transformers import BloomConfig, BloomForCausalLM

    theirs = BloomForCausalLM(BloomConfig(vocab_size=V, hidden_size=D, n_layer=L, n_head=H)).double().eval()
    theirs.transformer.word_embeddings_layernorm = torch.nn.Identity()
    theirs.transformer.word_embeddings.weight = theirs.lm_head.weight = net.token_embedding.weight
    theirs.transformer.ln_f = net.norm
    for block, other in zip(net.blocks, theirs.transformer.h, strict=True):
        assert isinstance(block, Block)
        other.input_layernorm, other.post_attention_layernorm = block.attention_norm, block.feed_forward_norm
        other.mlp.dense_h_to_4h, other.mlp.dense_4h_to_h = block.feed_forward.up, block.feed_forward.down
        other.self_attention.dense = block.attention.out
        fused, split = other.self_attention.query_key_value, block.attention.qkv
        for mine, given in ((fused.weight, split.weight), (fused.bias, split.bias)):  # by head, then queries, keys, ...
            mine.data = given.data.unflatten(0, (3, H, D // H)).transpose(0, 1).flatten(0, 2)
    return theirs


@pytest.mark.parametrize("name", ["alibi", "alibi_eager"])
def test_alibi_equals_transformers_bloom_with_gradients(name: str) -> None:
    ours = make(name)
    theirs, ids = bloom(ours), torch.randint(V, (4, S))
    one, other = ours(ids), theirs(ids).logits
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)  # its softmax is computed in float32
    weights = [ours.token_embedding.weight, ours.blocks[0].attention.out.weight]  # type: ignore[union-attr]
    grads = [
        torch.autograd.grad(F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()), weights)
        for logits in (one, other)
    ]
    for mine, expected in zip(*grads, strict=True):
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-6)


def test_sinusoids_are_added_to_scaled_embeddings() -> None:
    net, plain = make("sinusoidal"), make("none")
    plain.load_state_dict(net.state_dict())
    ids = torch.randint(V, (2, S))
    angles = torch.arange(S).double()[:, None] / 10000 ** (torch.arange(0, D, 2).double() / D)
    table = torch.zeros(S, D, dtype=torch.float64)
    table[:, ::2], table[:, 1::2] = angles.sin(), angles.cos()
    embedded = math.sqrt(D) * net.token_embedding(ids) + table
    plain.token_embedding.forward = lambda _: embedded  # type: ignore[method-assign]
    torch.testing.assert_close(net(ids), plain(ids), rtol=0, atol=1e-5)  # the net's table is float32


@pytest.mark.parametrize("name", ["sinusoidal", "rotary", "alibi", "none"])
def test_a_longer_context_takes_the_same_weights(name: str) -> None:
    net, longer = make(name), make(name, max_seq_len=2 * S)
    longer.load_state_dict(net.state_dict())
    ids = torch.randint(V, (2, 2 * S))
    torch.testing.assert_close(longer(ids)[:, :S], net(ids[:, :S]), rtol=0, atol=1e-12)


def test_learned_positions_have_no_vector_beyond_those_that_were_trained() -> None:
    with pytest.raises(RuntimeError, match="size mismatch for position_table"):
        make("gpt2", max_seq_len=2 * S).load_state_dict(make("gpt2").state_dict())


def test_names_that_are_not_gpt2s_are_told() -> None:
    with pytest.raises(ValueError, match=r"weights has 'transformer.h.0.rope'"):
        from_gpt2({"transformer.h.0.rope": torch.zeros(1)})


def test_initialisation_is_gpt2s() -> None:
    torch.manual_seed(0)
    net = GPT(1000, GPTConfig(d_model=128, num_layers=4, num_heads=2))
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            scale = 0.02 / math.sqrt(8) if name.endswith(("out.weight", "down.weight")) else 0.02
            assert parameter.std().item() == pytest.approx(scale, rel=0.05), name
    loss = F.cross_entropy(net(torch.randint(1000, (4, 64))).flatten(0, 1), torch.randint(1000, (256,)))
    assert loss.item() == pytest.approx(math.log(1000), abs=0.1)


def test_zero_init_starts_with_even_odds_and_silent_branches() -> None:
    net = GPT(V, GPTConfig(**SIZES | SPEEDRUN | {"extras": replace(SPEEDRUN["extras"], zero_init=True)}))
    ids = torch.randint(V, (2, S))
    assert not net(ids).any()
    for block in net.blocks:
        x = torch.randn(2, S, D)
        values = torch.randn(2, H, S, D // H)
        assert torch.equal(block(x, x0=torch.randn(2, S, D), rotary=net.rotary, values=values), x)
    tied = GPT(V, GPTConfig(**SIZES, extras=ExtrasConfig(zero_init=True)))
    assert tied.head.weight is tied.token_embedding.weight
    assert tied(ids).any()


@pytest.mark.parametrize("name", OPTIONS)
def test_no_step_sees_a_later_one(name: str) -> None:
    net = make(name)
    ids = torch.randint(V, (3, S))
    logits = net(ids)
    for t in (1, S // 2, S - 1):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + 1) % V
        after = net(changed)
        torch.testing.assert_close(after[:, :t], logits[:, :t], rtol=0, atol=1e-12)
        assert (after[:, t:] - logits[:, t:]).abs().amax(-1).min() > 1e-9  # and every one sees those before it


@pytest.mark.parametrize("name", OPTIONS)
def test_padding_on_the_right_changes_nothing_before_it(name: str) -> None:
    net = make(name)
    ids = torch.randint(V, (3, S))
    for t in (1, 5):
        torch.testing.assert_close(net(ids[:, :t]), net(ids)[:, :t], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_parameter_learns(name: str) -> None:
    net = make(name).train()
    ids = torch.randint(V, (8, S))
    F.cross_entropy(net(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("mode", ["mixed", "true"])
def test_half_precision_stays_near_and_parameters_stay_as_they_are(name: str, mode: str) -> None:
    net = make(name).float()
    for parameter in net.parameters():
        parameter.data.mul_(0.3)
    ids = torch.randint(V, (3, S))
    expected = net(ids)
    dtypes: set[torch.dtype] = set()
    for block in net.blocks:
        block.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    if mode == "true":
        net.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=mode == "mixed"):
        logits = net(ids)
        F.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    assert dtypes == {torch.bfloat16}
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().mean() < 0.05 * expected.abs().mean() + 0.01
    assert {p.dtype for p in net.parameters()} == {torch.float32 if mode == "mixed" else torch.bfloat16}


@pytest.mark.parametrize("name", ["gpt2", "rotary", "alibi", "speedrun"])
def test_attention_maps_give_the_attention(name: str) -> None:
    net = make(name)
    ids = torch.randint(V, (2, 9))
    maps = net.attention_maps(ids)
    assert maps.shape == (2, L, H, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps[..., 0]))
    assert not maps.triu(1).any()
    block = net.blocks[0]
    assert isinstance(block, Block)
    found: list[Any] = []
    block.register_forward_pre_hook(lambda module, inputs, named: found.append((*inputs, named)), with_kwargs=True)
    net(ids)
    x, named = found[0]
    gate: Any = None
    if isinstance(block, MixedBlock):
        mix, gate = block.mix, block.value_gate
        x = x if mix is None else mix[0] * x + mix[1] * named["x0"]
    q, k, v = block.attention.project(block.attention_norm(x), named["rotary"])
    v = v if gate is None else v + gate * named["values"]
    mask = named["mask"]
    y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
    torch.testing.assert_close(maps[:, 0] @ v, y, rtol=0, atol=1e-12)


def test_dropout_is_for_training_alone_and_follows_the_seed() -> None:
    net, ids = make("speedrun", dropout=0.3), torch.randint(V, (2, S))
    assert torch.equal(net(ids), net(ids))
    net.train()
    torch.manual_seed(5)
    one, two = net(ids), net(ids)
    torch.manual_seed(5)
    assert torch.equal(net(ids), one)
    assert not torch.equal(one, two)


def test_value_embeddings_go_to_the_outer_blocks() -> None:
    net = GPT(V, GPTConfig(**SIZES | {"num_layers": 6}, extras=ExtrasConfig(value_embeddings=True)))
    gates = [block.value_gate for block in net.blocks]
    assert [gate is not None for gate in gates] == [True, True, False, False, True, True]


def test_softcap_bounds_the_logits() -> None:
    net, free = make("softcap"), make("gpt2")
    ids = torch.randint(V, (2, S))
    for each in (net, free):
        each.norm.weight.data.mul_(10)  # type: ignore[union-attr,operator]
    free.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(ids), 5 * torch.tanh(free(ids) / 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, r"net.num_layers must be at least 1"),
        ({"max_seq_len": 0}, r"net.max_seq_len must be at least 1"),
        ({"d_ff": 0}, r"net.d_ff must be at least 1"),
        ({"num_heads": 3}, r"net.num_heads 3 must divide net.d_model 16"),
        ({"positions": "relative"}, r"net.positions must be one of"),
        ({"norm": "batch"}, r"net.norm must be one of"),
        ({"activation": "tanh"}, r"net.activation must be one of"),
        ({"attention": "flash"}, r"net.attention must be one of"),
        ({"dropout": 1.0}, r"net.dropout must be at least 0"),
        ({"positions": "rotary", "num_heads": 16}, r"net.positions rotary needs an even head size"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        GPTConfig(**SIZES | options)


@pytest.mark.parametrize(
    ("group", "options", "message"),
    [
        (NgramConfig, {"orders": [2, 2]}, r"net.ngrams.orders must be different"),
        (NgramConfig, {"orders": [0]}, r"net.ngrams.orders must be different and at least 1"),
        (NgramConfig, {"buckets": 1}, r"net.ngrams.buckets must be at least 2"),
        (NgramConfig, {"dim": 0}, r"net.ngrams.dim must be at least 1"),
        (NgramConfig, {"dropout": 1.0}, r"net.ngrams.dropout must be at least 0 and below 1"),
        (ExtrasConfig, {"logit_softcap": 0.0}, r"net.extras.logit_softcap must be above 0"),
    ],
)
def test_groups_name_their_fields(group: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        group(**options)
    with pytest.raises(ValueError, match=r"^vocab_size must be at least 1"):
        GPT(0)


def test_too_long_a_sequence_is_told() -> None:
    with pytest.raises(ValueError, match="at most max_seq_len 12"):
        make("gpt2")(torch.zeros(1, S + 1, dtype=torch.long))


@pytest.mark.parametrize("name", ["gpt2", "speedrun", "swiglu"])
@pytest.mark.parametrize("mixed", [False, True], ids=["full", "mixed"])
# The compiler looks at this of tensors, and hides the warning unless warnings are errors.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_blocks_compile_in_place_without_breaks(name: str, mixed: bool) -> None:
    torch._dynamo.reset()
    net = make(name, num_layers=4 if name == "gpt2" else 5, dropout=0.5).float().train()
    for parameter in net.parameters():
        parameter.data.mul_(0.3)
    ids = torch.randint(V, (3, S))
    names, counter = list(net.state_dict()), CompileCounterWithBackend("aot_eager")

    def results() -> list[Tensor]:
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = F.cross_entropy(net(ids).flatten(0, 1), ids.flatten())
        return [loss, *torch.autograd.grad(loss, list(net.parameters()))]

    expected = results()
    for block in net.blocks:
        block.compile(dynamic=False, fullgraph=True, backend=counter)
    for one, other in zip(results(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.05 if mixed else 1e-5)
    kinds = 2 if name == "speedrun" else 1  # of blocks: with and without value embeddings
    assert counter.frame_count == kinds
    assert list(net.state_dict()) == names


def test_ngrams_are_dropped_as_a_whole() -> None:
    ngrams = NgramEmbedding(12, [2, 3, 4], buckets=64, dim=4, dropout=0.5).train()
    torch.nn.init.eye_(ngrams.projection.weight)  # what comes out is the n-grams' numbers side by side
    ids = torch.randint(V, (64, 40))
    hashes = ngrams.hashes(ids)
    whole = ngrams.eval()(hashes).view(64, 40, 3, 4)
    torch.manual_seed(0)
    dropped = ngrams.train()(hashes).view(64, 40, 3, 4)
    is_zero = (dropped == 0).all(-1)
    assert torch.equal(dropped, torch.where(is_zero[..., None], 0, 2 * whole))
    assert is_zero.float().mean(dim=(0, 1)) == pytest.approx(torch.full((3,), 0.5), abs=0.05)
