"""Pretrained encoders: read from safetensors, made anew from their configuration; prompts, low-rank changes, depths."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from seq_modules.nets.pretrained.chunks import ChunkConfig
from seq_modules.nets.pretrained.encoder import LoRAConfig, PrefixConfig, PretrainedEncoder, layers_of
from seq_modules.nets.pretrained.loading import config_text, from_config_text, load_pretrained
from seq_modules.nets.pretrained.lora import LoRALinear, adapt, merge

V = 40
SIZES: dict[str, Any] = {
    "vocab_size": V, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 20, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
LENGTHS = torch.tensor([6, 2, 4])
MASK = torch.arange(6) < LENGTHS[:, None]
IDS = torch.randint(2, V, (3, 6), generator=torch.Generator().manual_seed(0)).masked_fill(~MASK, 0)


def tiny(**changes: Any) -> BertModel:
    torch.manual_seed(0)
    model = BertModel(BertConfig(**{**SIZES, **changes}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def encoder(pooling: Any = "mean", tuning: Any = "full", **options: Any) -> PretrainedEncoder:
    return PretrainedEncoder(tiny(), **{"pooling": pooling, "tuning": tuning, "dropout": 0.0, **options})


@pytest.mark.parametrize("tuning", ["full", "prefix", "lora"])
@pytest.mark.parametrize("pooling", ["pooler", "first", "mean", "max", "attention"])
def test_more_padding_changes_nothing(pooling: str, tuning: str) -> None:
    net = encoder(pooling, tuning, prefix=PrefixConfig(3, deep=True)).eval()
    together = net(IDS, MASK)
    torch.testing.assert_close(net(F.pad(IDS, (0, 8)), F.pad(MASK, (0, 8))), together, rtol=0, atol=1e-6)
    alone = [net(IDS[i : i + 1, :n], MASK[i : i + 1, :n])[0] for i, n in enumerate(LENGTHS.tolist())]
    torch.testing.assert_close(torch.stack(alone), together, rtol=0, atol=1e-6)


def test_a_folder_with_safetensors_and_the_configuration_alone_give_the_same_net(tmp_path: Path) -> None:
    model = tiny()
    model.save_pretrained(tmp_path / "tiny")
    assert (tmp_path / "tiny/model.safetensors").is_file()
    loaded: Any = load_pretrained(str(tmp_path / "tiny"))
    made: Any = from_config_text(config_text(loaded))
    made.load_state_dict(loaded.state_dict())
    for other in (loaded, made):
        expected = model.eval()(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state
        got = other.eval()(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state
        torch.testing.assert_close(got, expected)
    assert str(tmp_path) not in config_text(loaded)


def test_the_attention_drops_as_much_as_is_asked(tmp_path: Path) -> None:
    tiny(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5).save_pretrained(tmp_path)

    def wavers(net: Any) -> bool:
        first, again = (net.train()(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state for _ in range(2))
        return not torch.equal(first, again)

    own = load_pretrained(str(tmp_path))
    assert wavers(own)
    none = load_pretrained(str(tmp_path), attention_dropout=0.0)
    assert not wavers(none)
    assert not wavers(from_config_text(config_text(none)))  # a checkpoint keeps it
    assert wavers(from_config_text(config_text(none), attention_dropout=0.3))
    with pytest.raises(ValueError, match=r"net.attention_dropout: a xlnet encoder has no attention dropout"):
        from_config_text('{"model_type": "xlnet", "n_layer": 1, "d_model": 8, "n_head": 2}', attention_dropout=0.1)


def test_pickled_weights_and_what_is_no_encoder_are_refused(tmp_path: Path) -> None:
    model = tiny()
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"^net.pretrained .*safetensors"):
        load_pretrained(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "none such"}')
    with pytest.raises(ValueError, match=r"^net.pretrained "):
        load_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match=r"^net.pretrained \./gone: no such folder"):
        load_pretrained("./gone")


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nfrom transformers import BertModel as Evil\n")
    config |= {"auto_map": {"AutoModel": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_pretrained(str(tmp_path))
    assert isinstance(loaded, BertModel)
    assert "auto_map" not in config_text(loaded)
    assert isinstance(from_config_text(json.dumps(config)), BertModel)
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"model_type": "none such"}', " " * 200_000, '{"model_type": 3}', "[" * 50_000,
        *(json.dumps(config) for config in (
            {"model_type": "bert", "hidden_act": "none such"}, {"model_type": "bert", "hidden_size": "wide"},
            {"model_type": "bert", "num_attention_heads": 7}, {"model_type": "bert", "num_attention_heads": 0},
            {"model_type": "bert", "vocab_size": -1}, {"model_type": "bert", "id2label": 3},
            {"model_type": "bert", "hidden_size": 10**12}, {"model_type": "timm_wrapper", "architecture": "resnet18"},
            {"model_type": "detr", "use_pretrained_backbone": True, "backbone": "resnet50"},
            {"model_type": "llava"}, {"model_type": "vit"}, {"model_type": "rag"},
        )),
    ],
)  # fmt: skip
def test_a_text_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^net.encoder_config"):
        from_config_text(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"attn_implementation": "kernels-community/flash-attn2"},
        {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation_internal": "kernels-community/flash-attn2"},
        {"experts_implementation": "none such"},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        {"dtype": "system", "torch_dtype": "none such"},
        {"_name_or_path": "somebody/else", "return_dict": False},
        {"auto_map": {"AutoModel": "somebody/else--evil.Evil", "AutoConfig": "somebody/else--evil.Config"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_how_a_checkpoints_net_is_run_and_where_it_is_from_does_not_count(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any) -> None:
        raise AssertionError("asks the network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    plain = json.loads(config_text(tiny()))
    made: Any = from_config_text(json.dumps(plain | changes))
    made.load_state_dict(tiny().state_dict())
    expected = tiny().eval()(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state
    torch.testing.assert_close(made.eval()(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state, expected)
    assert json.loads(config_text(made)) == plain


@pytest.mark.parametrize("config", [{"model_type": "t5", "d_model": 8, "num_layers": 1, "d_ff": 8, "num_heads": 1}])
def test_nets_that_are_no_encoders_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^net.pretrained T5Model: not an encoder alone"):
        PretrainedEncoder(from_config_text(json.dumps(config)))


def test_a_folder_of_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for changes in ({"hidden_act": "none such"}, {"hidden_size": "wide"}, {"attn_implementation": "none such"}):
        (tmp_path / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ValueError, match=r"^net.pretrained "):
            load_pretrained(str(tmp_path))


def test_prompts_are_what_a_longer_text_would_be() -> None:
    """A prompt made of a word's embedding does what that word does; and nothing else of the net is trained."""
    net = encoder("mean", "prefix", prefix=PrefixConfig(2)).eval()
    assert net.prefix is not None
    words = torch.tensor([5, 9])
    with torch.no_grad():
        net.prefix.copy_(net.model.get_input_embeddings().weight[words][None])
    longer = torch.cat((words.expand(3, -1), IDS), dim=1)
    states = net.model(input_ids=longer, attention_mask=F.pad(MASK, (2, 0), value=True).long()).last_hidden_state
    mask = MASK[..., None].float()
    expected = (states[:, 2:] * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(net(IDS, MASK), expected)
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["prefix"]


def test_deep_prompts_stand_before_every_layer() -> None:
    net = encoder("first", "prefix", prefix=PrefixConfig(2, deep=True)).eval()
    assert net.prefix is not None
    assert net.prefix.shape == (3, 2, 16)
    seen: list[Tensor] = []
    for layer in net.layers:  # called after the hooks that were there before
        layer.register_forward_pre_hook(lambda _, args, kwargs: seen.append(args[0].detach()), with_kwargs=True)
    out = net(IDS, MASK)
    for layer in (1, 2):
        torch.testing.assert_close(seen[layer][:, :2], net.prefix[layer].detach().expand(3, -1, -1))
    grad = torch.autograd.grad(out.sum(), net.prefix)[0]
    assert (grad.flatten(1).abs().sum(1) > 0).all()  # each layer's prompts are felt


def test_low_rank_changes_are_the_merged_weights_with_their_gradients() -> None:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(7, 5), rank=3, alpha=6.0).double()
    x = torch.randn(4, 7, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), layer.base(x), rtol=0, atol=0)  # it starts as it was
    nn.init.normal_(layer.up)
    torch.testing.assert_close(layer(x), layer.merged().double()(x))
    weight = (layer.base.weight + 2 * layer.up @ layer.down).detach().requires_grad_()
    cotangent = torch.randn(4, 5, dtype=torch.float64)
    dx, ddown, dup = torch.autograd.grad((layer(x) * cotangent).sum(), [x, layer.down, layer.up])
    ex, dw = torch.autograd.grad((F.linear(x, weight, layer.base.bias) * cotangent).sum(), [x, weight])
    torch.testing.assert_close(dx, ex)
    torch.testing.assert_close(dup, 2 * dw @ layer.down.T)
    torch.testing.assert_close(ddown, 2 * layer.up.T @ dw)
    assert not layer.base.weight.requires_grad


@pytest.mark.parametrize(("targets", "count"), [("queries_values", 6), ("all", 18)])
def test_lora_trains_the_chosen_layers_alone_and_equals_the_merged_net(targets: Any, count: int) -> None:
    net = encoder("mean", "lora", lora=LoRAConfig(2, targets=targets)).eval()
    changed = [module for module in net.modules() if isinstance(module, LoRALinear)]
    assert len(changed) == count
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * count
    assert all(name.endswith((".down", ".up")) for name in trained)
    torch.testing.assert_close(net(IDS, MASK), encoder("mean").eval()(IDS, MASK))
    for module in changed:
        nn.init.normal_(module.up, std=0.3)
    out = net(IDS, MASK)
    merge(net)
    assert not any(isinstance(module, LoRALinear) for module in net.modules())
    torch.testing.assert_close(net(IDS, MASK), out, rtol=1e-5, atol=1e-5)


def test_lora_that_finds_nothing_says_so() -> None:
    assert adapt(nn.Sequential(nn.Linear(2, 2)), lambda name: False, 1, 1.0) == 0
    with pytest.raises(ValueError, match=r"^net.lora.rank"):
        encoder("mean", "lora", lora=LoRAConfig(17))


def test_depths_hold_every_parameter_once_in_its_layer() -> None:
    net = encoder("pooler")
    depths = dict(net.by_depth())
    assert list(depths) == [0, 1, 2, 3, 4]
    counted = [p for group in depths.values() for p in group]
    assert len(counted) == len(set(counted)) == len(list(net.model.parameters()))
    names = {p: name for name, p in net.model.named_parameters()}
    for depth, start in ((0, "embeddings."), (1, "encoder.layer.0."), (3, "encoder.layer.2."), (4, "pooler.")):
        assert all(names[p].startswith(start) for p in depths[depth])


@pytest.mark.parametrize(("count", "waiting"), [(0, {0, 1, 2, 3}), (1, {0, 1, 2}), (3, {0}), (4, set())])
def test_unfreezing_goes_from_the_top_down(count: int, waiting: set[int]) -> None:
    net = encoder("pooler", "gradual")
    below = list(net.below(count))
    assert below == [p for depth, group in net.by_depth() if depth in waiting for p in group]


def test_a_frozen_encoder_has_no_dropout_and_no_gradient() -> None:
    net = PretrainedEncoder(tiny(hidden_dropout_prob=0.5), pooling="attention", tuning="frozen", dropout=0.0).train()
    first = net(IDS, MASK)
    assert torch.equal(first, net(IDS, MASK))
    first.sum().backward()
    assert all(p.grad is None for p in net.model.parameters())
    assert net.pooling is not None
    assert all(p.grad is not None for p in net.pooling.parameters())
    full = PretrainedEncoder(tiny(hidden_dropout_prob=0.5), dropout=0.0)
    assert full.model.training  # transformers gives models in evaluation mode
    assert not torch.equal(full(IDS, MASK), full(IDS, MASK))


@pytest.mark.parametrize(
    "model",
    [
        DistilBertModel(DistilBertConfig(vocab_size=V, dim=16, n_layers=3, n_heads=2, hidden_dim=24)),
        RobertaModel(RobertaConfig(**SIZES, pad_token_id=0)),
    ],
    ids=["distilbert", "roberta"],
)
@pytest.mark.parametrize("tuning", ["full", "prefix", "lora"])
def test_other_encoders(model: Any, tuning: Any) -> None:
    net = PretrainedEncoder(
        from_config_text(config_text(model)), pooling="mean", tuning=tuning, prefix=PrefixConfig(deep=True)
    ).eval()
    assert len(net.layers) == 3
    out = net(IDS, MASK)
    assert out.shape == (3, 16)
    torch.testing.assert_close(net(F.pad(IDS, (0, 3)), F.pad(MASK, (0, 3))), out, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"chunks": ChunkConfig(5, 1)}])
@pytest.mark.parametrize("tuning", ["frozen", "prefix"])
def test_the_states_of_several_layers_are_joined(tuning: str, options: dict[str, Any]) -> None:
    net = encoder("mean", tuning, pooled_layers=3, **options).eval()
    vectors = net(IDS, MASK)
    assert vectors.shape == (3, 3 * 16)
    last = encoder("mean", tuning, **options).eval()
    if net.prefix is not None:
        last.load_state_dict(net.state_dict())
    torch.testing.assert_close(vectors[:, 32:], last(IDS, MASK))
    if tuning == "frozen" and not options:
        layers = tiny().eval()(IDS, MASK.long(), output_hidden_states=True).hidden_states[1:]
        means = [(x * MASK[..., None]).sum(1) / MASK.sum(1, keepdim=True) for x in layers]
        torch.testing.assert_close(vectors, torch.cat(means, -1))


def test_standardized_vectors_have_mean_0_and_variance_1(monkeypatch: pytest.MonkeyPatch) -> None:
    net = encoder(tuning="frozen", standardize=True)
    batches = 3 * torch.randn(4, 8, 16, generator=torch.Generator().manual_seed(0)) + 5
    for batch in batches:
        monkeypatch.setattr(net, "pooled", lambda input_ids, mask, batch=batch: batch)
        seen = net.train()(IDS, MASK)
        torch.testing.assert_close(seen.mean(0), torch.zeros(16), rtol=0, atol=1e-5)
        torch.testing.assert_close(seen.var(0, correction=0), torch.ones(16), rtol=0, atol=1e-4)
    # In evaluation, and for one text alone, the means over all batches of training count.
    mean, var = batches.mean(1).mean(0), batches.var(1).mean(0)
    for rows in (batches[0], batches[0, :1]):
        monkeypatch.setattr(net, "pooled", lambda input_ids, mask, rows=rows: rows)
        expected = (rows - mean) / (var + 1e-5).sqrt()
        torch.testing.assert_close(net.train(len(rows) == 1)(IDS, MASK), expected)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"pooling": "last"}, "pooling"),
        ({"pooled_layers": 0}, "pooled_layers"),
        ({"standardize": True}, "standardize .* not full"),
        ({"pooled_layers": 4}, "pooled_layers 4: the encoder has 3 layers"),
        ({"pooled_layers": 2, "pooling": "pooler"}, "pooled_layers 2: net.pooling pooler"),
        ({"tuning": "some"}, "tuning"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_refuses(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^net.{named}"):
        encoder(**arguments)


def test_groups_refuse() -> None:
    with pytest.raises(ValueError, match=r"^net.prefix.length"):
        PrefixConfig(0)
    with pytest.raises(ValueError, match=r"^net.lora.targets"):
        LoRAConfig(targets="keys")  # type: ignore[arg-type]


def test_what_does_not_fit_the_encoder_is_said() -> None:
    with pytest.raises(ValueError, match=r"^tokens.max_seq_len: 21 tokens"):
        encoder()(torch.ones(1, 21, dtype=torch.long), torch.ones(1, 21, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"^tokens.max_seq_len: 18 tokens and 3 prompts"):
        encoder(tuning="prefix", prefix=PrefixConfig(3))(torch.ones(1, 18, dtype=torch.long), torch.ones(1, 18).bool())
    assert encoder().token_weights(IDS, MASK) is None
    model = tiny()
    model.config.num_hidden_layers = 7
    with pytest.raises(ValueError, match=r"^net.pretrained BertModel: it has no list of layers"):
        layers_of(model)


def test_an_encoder_with_the_same_weights_and_another_configuration_has_vectors_of_its_own(tmp_path: Path) -> None:
    def kept(**changes: Any) -> Path:
        net = PretrainedEncoder(tiny(**changes), tuning="frozen")
        net.use_cache(tmp_path, "32-true")
        assert net.cache is not None
        assert net.cache.path is not None
        return net.cache.path

    files = [kept(), kept(num_attention_heads=4), kept(hidden_act="relu"), kept(layer_norm_eps=1.0)]
    assert len(set(files)) == 4
    assert kept() == files[0]
