"""Linear cells in the nets that are made of recurrent layers: each goes on from its state, with rows of any length."""

import pytest
import torch

from seq_modules import ParityModule
from seq_modules.nets.music.frame_backbones import RecurrentBackbone
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.rnn.seq2seq import EncoderDecoderRNN
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.text.text_encoder import TextEncoder, TextEncoderConfig

CELLS = ["mingru", "deltanet"]  # a state as wide as the outputs, and one that is a matrix


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def assert_same(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_language_net_decodes_what_it_computes_at_once(cell: str) -> None:
    layers = RecurrentConfig(cell, 4, num_layers=2)  # type: ignore[arg-type]
    net, ids = RNNNet(7, RNNConfig(3, rnn=layers)), torch.randint(7, (3, 6))
    whole, lengths = net(ids), torch.tensor([4, 2, 3])
    logits, state = net.prefill(ids[:, :4], lengths)
    assert_same(logits, whole[torch.arange(3), lengths - 1])
    rows = torch.tensor([2, 0, 2])
    logits, _ = net.decode_step(ids[rows, lengths[rows]], net.reorder(state, rows))
    assert_same(logits, whole[rows, lengths[rows]])


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_encoder_reads_both_ways_without_its_padding(cell: str) -> None:
    layers = RecurrentConfig(cell, 4, bidirectional=True)  # type: ignore[arg-type]
    net = TextEncoder(9, config=TextEncoderConfig(d_model=3, pooling="last", rnn=layers)).eval()
    ids, mask = torch.randint(1, 9, (2, 6)), torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    vectors = net(ids, mask)
    assert vectors.shape == (2, 8)
    assert_same(vectors[1:], net(ids[1:, :4], mask[1:, :4]))


@pytest.mark.parametrize("cell", CELLS)
def test_frames_and_bits_go_on_from_a_state(cell: str) -> None:
    layers = RecurrentConfig(cell, 4)  # type: ignore[arg-type]
    backbone, x = RecurrentBackbone(layers).eval(), torch.randn(2, 6, 4)
    _, state = backbone.decode_step(x[:, :4], None)
    assert_same(backbone.decode_step(x[:, 4:], state)[0], backbone(x)[:, 4:])
    module, bits = ParityModule(layers).eval(), torch.randint(2, (2, 6))
    _, state = module(bits[:, :4])
    assert_same(module(bits[:, 4:], state=state)[0], module(bits)[0][:, 4:])


def test_an_encoder_decoder_of_linear_cells() -> None:
    layers = RecurrentConfig("mingru", 4, num_layers=2, bidirectional=True)
    net = EncoderDecoderRNN(9, 8, Seq2SeqRNNConfig(3, attention_size=4, dropout=0.0, rnn=layers))
    source, mask = torch.randint(9, (2, 5)), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    target = torch.randint(8, (2, 4))
    logits = net(source, mask, target)
    assert_same(logits[1:], net(source[1:, :3], mask[1:, :3], target[1:]))
    with pytest.raises(ValueError, match="deltanet"):
        Seq2SeqRNNConfig(rnn=RecurrentConfig("deltanet", 4, bidirectional=True))
