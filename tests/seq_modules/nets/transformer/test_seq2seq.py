"""The encoder-decoder Transformer against torch's and transformers' own, and its steps against the whole target."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import MarianConfig, MarianMTModel

from seq_modules.nets.transformer.positions import sinusoidal_table
from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.nets.transformer.transformers_weights import from_marian
from seq_modules.training.optimizers.muon import hidden_matrices

B, S, T, D, H, F, V = 3, 6, 40, 12, 2, 20, 17
LENGTHS = torch.tensor([6, 3, 1])
MASK = torch.arange(S) < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def make(source_vocab: int = V, **options: Any) -> EncoderDecoderTransformer:
    settings: dict[str, Any] = {"d_model": D, "encoder_layers": 2, "decoder_layers": 2, "num_heads": H, "d_ff": F}
    config = Seq2SeqTransformerConfig(**{**settings, "max_seq_len": T, "dropout": 0.0, **options})
    net = EncoderDecoderTransformer(source_vocab, V, config).double().eval()
    for name, parameter in net.named_parameters():
        if "norm" in name or name.endswith("bias"):
            nn.init.normal_(parameter, mean=float(name.endswith("weight")), std=0.3)
    return net


def inputs(steps: int = T) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randint(4, V, (B, S)).masked_fill(~MASK, 0), MASK, torch.randint(4, V, (B, steps))


def ours(theirs: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """Their tensors by our names: each of ``names`` is a beginning of theirs."""
    found = {}
    for name, value in theirs.items():
        beginning = max((one for one in names if name.startswith(one)), key=len)
        found[names[beginning] + name.removeprefix(beginning)] = value
    return found


def assert_equal_gradients(net: nn.Module, logits: Tensor, ahead: Tensor, expected: dict[str, Tensor]) -> None:
    trained = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    gradients = torch.autograd.grad(logits, list(trained.values()), ahead)
    assert set(trained) == set(expected)
    for name, gradient in zip(trained, gradients, strict=True):
        torch.testing.assert_close(
            gradient, expected[name], rtol=0, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("norm_first", [True, False])
def test_outputs_and_gradients_equal_torchs_transformer(norm_first: bool) -> None:
    net = make(norm_first=norm_first, share_embeddings="none", activation="relu")
    theirs = nn.Transformer(D, H, 2, 2, F, 0.0, "relu", batch_first=True, norm_first=norm_first).double()
    if not norm_first:  # as in the paper, where the last block ends in a norm; torch adds another
        theirs.encoder.norm = theirs.decoder.norm = None
    names: dict[str, str] = {}
    for side, last in (("encoder", "norm2"), ("decoder", "norm3")):
        names[f"{side}.norm."] = f"{side}_norm."
        for layer in range(2):
            parts = {"self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj.": "attention.out."}
            parts |= {"linear1.": "feed_forward.up.", "linear2.": "feed_forward.down.", "norm1.": "attention_norm."}
            parts |= {
                "multihead_attn.out_proj.": "cross.out.",
                "norm2.": "cross_norm.",
                f"{last}.": "feed_forward_norm.",
            }
            parts |= {"multihead_attn.in_proj_": "cross.in."}
            names |= {f"{side}.layers.{layer}.{a}": f"{side}.{layer}.{b}" for a, b in parts.items()}

    def converted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        found = ours(tensors, names)
        for name in [name for name in found if ".cross.in." in name]:
            joined = found.pop(name)
            found[name.replace(".in.", ".q.")], found[name.replace(".in.", ".kv.")] = joined[:D], joined[D:]
        return found

    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    tables = {name: value for name, value in net.state_dict().items() if "embedding" in name or "head" in name}
    net.load_state_dict({**tables, **converted(dict(theirs.state_dict()))})
    source_ids, mask, target_ids = inputs()
    positions = sinusoidal_table(T, D).double()
    x = tables["source_embedding.weight"][source_ids] * math.sqrt(D) + positions[:S]
    y = tables["target_embedding.weight"][target_ids] * math.sqrt(D) + positions
    causal = torch.ones(T, T, dtype=torch.bool).triu(1)
    out = theirs(x, y, tgt_mask=causal, src_key_padding_mask=~mask, memory_key_padding_mask=~mask)
    expected = out @ tables["head.weight"].T
    logits = net(source_ids, mask, target_ids)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-11)
    ahead = torch.randn_like(logits)
    names_of_theirs = [name for name, _ in theirs.named_parameters()]
    theirs_gradients = torch.autograd.grad(expected, list(theirs.parameters()), ahead)
    for name in ("source_embedding", "target_embedding", "head"):
        net.get_submodule(name).requires_grad_(False)
    trained = nn.ModuleDict({name: module for name, module in net.named_children() if "norm" in name})
    trained.update({"encoder": net.encoder, "decoder": net.decoder})
    expected_gradients = converted(dict(zip(names_of_theirs, theirs_gradients, strict=True)))
    assert_equal_gradients(trained, logits, ahead, expected_gradients)


def test_logits_and_gradients_equal_marians() -> None:
    """Post-norm, one table for source, target and head, as in transformers' translation model."""
    config = MarianConfig(
        vocab_size=V, d_model=D, encoder_layers=2, decoder_layers=2, encoder_attention_heads=H,
        decoder_attention_heads=H, encoder_ffn_dim=F, decoder_ffn_dim=F, activation_function="gelu", dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, scale_embedding=True, max_position_embeddings=T,
        pad_token_id=0, eos_token_id=3, decoder_start_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    theirs = MarianMTModel(config).double().eval()
    net = make(norm_first=False, share_embeddings="all", activation="gelu", positions="learned")
    assert net.source_positions is not None
    assert net.target_positions is not None
    for positions in (net.source_positions, net.target_positions):  # Marian's are fixed
        positions.requires_grad_(False)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    state = dict(theirs.state_dict())
    net.load_state_dict(from_marian(state))
    source_ids, mask, target_ids = inputs()
    expected = theirs(input_ids=source_ids, attention_mask=mask.long(), decoder_input_ids=target_ids).logits
    logits = net(source_ids, mask, target_ids)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    ahead = torch.randn_like(logits)
    parameters = [(name, one) for name, one in theirs.named_parameters() if one.requires_grad]
    gradients = torch.autograd.grad(expected, [one for _, one in parameters], ahead)
    found = dict(zip((name for name, _ in parameters), gradients, strict=True))
    expected_gradients = from_marian({name: found.get(name, torch.zeros_like(one)) for name, one in state.items()})
    for name in ("source_positions", "target_positions", "target_embedding.weight", "head.weight"):
        del expected_gradients[name]  # fixed ones, and further names of one table
    expected_gradients["source_embedding.weight"] = found["model.shared.weight"]
    assert_equal_gradients(net, logits, ahead, expected_gradients)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_and_neighbours_change_nothing(attention: str, norm_first: bool) -> None:
    net, (source_ids, mask, target_ids) = make(attention=attention, norm_first=norm_first), inputs(5)
    whole = net(source_ids, mask, target_ids)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = net(
            source_ids[row : row + 1, :length], mask[row : row + 1, :length], target_ids[row : row + 1, : row + 2]
        )
        torch.testing.assert_close(whole[row : row + 1, : row + 2], alone, rtol=0, atol=1e-12)
    other = source_ids.masked_fill(~mask, 9)
    assert torch.equal(net(other, mask, target_ids), whole)


def test_a_step_depends_on_no_later_one() -> None:
    net, (source_ids, mask, target_ids) = make(), inputs()
    changed = target_ids.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % V
    before, after = net(source_ids, mask, target_ids), net(source_ids, mask, changed)
    assert torch.equal(before[:, :20], after[:, :20])
    assert (before[:, 20] != after[:, 20]).any(1).all()


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "none"])
def test_steps_equal_the_whole_target_for_reordered_beams_too(positions: Any, norm_first: bool) -> None:
    net, (source_ids, mask, target_ids) = make(positions=positions, norm_first=norm_first), inputs()
    whole = net(source_ids, mask, target_ids)
    logits, state = net.prefill(source_ids, mask, target_ids[:, :2])
    torch.testing.assert_close(logits, whole[:, 1], rtol=0, atol=1e-12)
    rows = torch.arange(B).repeat_interleave(4)
    beams = torch.tensor([1, 0, 3, 3, 5, 4, 7, 6, 8, 8, 8, 9])  # which beam each continues, from step to step
    state = net.reorder(state, rows)
    source_keys = state.source.store
    for step in range(2, T):
        logits, state = net.decode_step(target_ids[rows, step], state)
        torch.testing.assert_close(logits, whole[rows, step], rtol=0, atol=1e-12)
        if step < 10:
            assert state.source.store is source_keys  # never copied while beams stay with their sources
        elif step == 10:  # the second source has ended
            kept, beams = torch.tensor([0, 1, 2, 8, 9, 10]), torch.tensor([2, 1, 0, 4, 4, 3])
            state, rows = net.reorder(state, kept), rows[kept]
            assert state.source.store.shape[2] == state.target.store.shape[2] == 2
        elif step == 20:  # beams in any order
            kept, beams = torch.tensor([5, 0, 4, 1]), torch.tensor([2, 3, 0, 1])
            state, rows = net.reorder(state, kept), rows[kept]
        state, rows = net.reorder(state, beams), rows[beams]


def test_different_targets_follow_their_beams() -> None:
    """Reordering moves what a row has read, not only its source."""
    net, (source_ids, mask, _) = make(), inputs()
    written = torch.randint(4, V, (B, 1)).repeat_interleave(2, 0)
    _, state = net.prefill(source_ids, mask, written[::2])
    rows = torch.arange(B).repeat_interleave(2)
    state = net.reorder(state, rows)
    for step in range(12):
        new = torch.randint(4, V, (2 * B,))
        logits, state = net.decode_step(new, state)
        written = torch.cat((written, new[:, None]), dim=1)
        expected = net(source_ids[rows], mask[rows], written)[:, -1]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
        parents = torch.tensor([1, 0, 2, 2, 5, 5] if step % 2 else [0, 0, 3, 2, 5, 4])
        state, written = net.reorder(state, parents), written[parents]


def test_attention_maps_explain_the_output() -> None:
    net, (source_ids, mask, target_ids) = make(), inputs(5)
    maps = net.attention_maps(source_ids, mask, target_ids)
    assert {name: tuple(found.shape) for name, found in maps.items()} == {
        "encoder": (B, 2, H, S, S), "decoder": (B, 2, H, 5, 5), "cross": (B, 2, H, 5, S),
    }  # fmt: skip
    for found in maps.values():
        torch.testing.assert_close(found.sum(-1), torch.ones_like(found[..., 0]))
    for name in ("encoder", "cross"):
        assert (maps[name].transpose(-1, 0)[:, ..., 0][~MASK[0]] == 0).all()
        assert (maps[name][1, ..., 3:] == 0).all()
        assert (maps[name][1, ..., :3] > 0).all()
    assert torch.equal(maps["decoder"] > 0, torch.ones(5, 5).tril().bool().expand_as(maps["decoder"]))
    assert torch.equal(net.cross_attention(source_ids, mask, target_ids), maps["cross"])
    # The last layer's weights, by the definition.
    encoded = net.encode(source_ids, mask)
    assert isinstance(encoded.states, Tensor)
    cross = net.decoder[0].cross
    k, _ = cross.keys_values(encoded.states)
    x = net.target_embedding(target_ids) * net.scale + sinusoidal_table(5, D).double()
    block = net.decoder[0]
    x = x + block.attention(block.attention_norm(x))
    q = cross.q(block.cross_norm(x)).view(B, 5, H, D // H)
    scores = torch.einsum("bthk,bhsk->bhts", q, k) / math.sqrt(D // H)
    expected = scores.masked_fill(~mask[:, None, None], -math.inf).softmax(-1)
    torch.testing.assert_close(maps["cross"][:, 0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("shared", "tables"), [("none", 3), ("decoder", 2), ("all", 1)])
def test_embeddings_are_shared_as_said(shared: Any, tables: int) -> None:
    net = make(share_embeddings=shared)
    weights = {net.source_embedding.weight, net.target_embedding.weight, net.head.weight}
    assert len(weights) == tables
    assert sum(p.numel() for p in net.parameters()) - sum(p.numel() for p in net.blocks.parameters()) == (
        tables * V * D + 4 * D
    )


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^net.share_embeddings all needs one vocabulary .* 20 source .* use decoder"):
        make(20, share_embeddings="all")
    with pytest.raises(ValueError, match=r"^net.num_heads 5 must divide net.d_model 12"):
        make(num_heads=5)
    with pytest.raises(ValueError, match=r"^net.share_embeddings must be one of"):
        make(share_embeddings="both")
    net, (source_ids, mask, target_ids) = make(), inputs()
    with pytest.raises(ValueError, match=r"^net.max_seq_len 40 is less than the 80 tokens"):
        net(source_ids, mask, torch.cat((target_ids, target_ids), dim=1))
    _, state = net.prefill(source_ids, mask, target_ids)
    with pytest.raises(ValueError, match=r"^net.max_seq_len 40 is less than the 41 tokens"):
        net.decode_step(target_ids[:, 0], state)


def test_muon_finds_the_matrices_of_both_sides() -> None:
    net = make()
    found = hidden_matrices(net)
    assert set(found) == {p for p in net.blocks.parameters() if p.ndim == 2}
    assert found[net.decoder[1].cross.kv.weight] == 2


def test_dropout_is_for_training_alone() -> None:
    net, (source_ids, mask, target_ids) = make(dropout=0.3), inputs(5)
    expected = make_same(net, dropout=0.0)(source_ids, mask, target_ids)
    assert torch.equal(net(source_ids, mask, target_ids), expected)
    net.train()
    draws = torch.stack([net(source_ids, mask, target_ids) for _ in range(3)])
    assert (draws[0] != draws[1]).any()
    assert (draws[0] != expected).all(-1).all()


def make_same(net: EncoderDecoderTransformer, **options: Any) -> EncoderDecoderTransformer:
    other = make(**options)
    other.load_state_dict(net.state_dict())
    return other


def test_autocast_keeps_logits_in_float32() -> None:
    net, (source_ids, mask, target_ids) = make().float(), inputs(5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(source_ids, mask, target_ids)
        x = net.decode(target_ids, net.encode(source_ids, mask))
    assert logits.dtype == torch.float32
    assert x.dtype == torch.bfloat16
    torch.testing.assert_close(logits, net(source_ids, mask, target_ids), rtol=0, atol=0.05)


@pytest.mark.parametrize("autocast", [True, False])
def test_steps_in_half_precision_are_near_the_whole_target(autocast: bool) -> None:
    net, (source_ids, mask, target_ids) = make().float(), inputs(20)
    whole = net(source_ids, mask, target_ids)
    if not autocast:
        net = net.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        _, state = net.prefill(source_ids, mask, target_ids[:, :1])
        for step in range(1, 20):
            logits, state = net.decode_step(target_ids[:, step], state)
            assert logits.dtype == torch.float32
            torch.testing.assert_close(logits, whole[:, step], rtol=0, atol=0.08)
            state = net.reorder(state, torch.tensor([0, 1, 2]))
    assert state.target.store.dtype == state.source.store.dtype == torch.bfloat16
