"""Recurrent encoder-decoder, with attention or without.

B rows, N sources, W rows of a source (beams), S time of the source, T time of the target, D width of the embeddings,
H hidden width, M width of the encoder's states (H, or 2·H if it is bidirectional), A width of the attention's keys,
L layers, V target vocabulary.
"""

import dataclasses
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.attention import Attention
from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig
from seq_modules.nets.shared_embeddings import share_embeddings
from seq_modules.nets.source_groups import SourceGroups
from seqlight.core.hyperparameters import check_range


class EncoderOutput(NamedTuple):
    """What the encoder has made of the sources.

    Attributes:
        states: Its states, (N, S, M).
        keys: The attention's, (N, S, A); None without attention.
        mask: True at the tokens, (N, S).
        decoder_init_state: The decoder's first state.
    """

    states: Tensor
    keys: Tensor | None
    mask: Tensor
    decoder_init_state: State


class DecoderState(NamedTuple):
    """The state of generation.

    Attributes:
        encoded: The encoder's output for the sources, one each however many rows read it.
        groups: Which rows those are.
        hidden: State of the recurrent layers, of B rows.
        input_feed: What the next step is fed beside its token, (B, 1, H); None without input feeding.
    """

    encoded: EncoderOutput
    groups: SourceGroups
    hidden: State
    input_feed: Tensor | None


class Decoded(NamedTuple):
    """What the decoder gives for a piece of the targets.

    Attributes:
        outputs: What the head reads, (B, T, H).
        weights: Of the attention, (B, T, S); None without attention.
        state: The state after it.
    """

    outputs: Tensor
    weights: Tensor | None
    state: DecoderState


class EncoderDecoderRNN(nn.Module):
    """Encoder-decoder of Sutskever et al. (2014), Cho et al. (2014), Bahdanau et al. (2015) and Luong et al. (2015).

    The decoder starts from the encoder's last state: as it is, or for a bidirectional encoder tanh(W [forward;
    backward]) for each layer (and without the tanh for an LSTM's c). Attention follows the recurrent step, as in Luong
    et al.: with state h and the mean c of the source's states under the attention's weights, the head reads
    tanh(W [c; h]). So a whole target is read in one pass. Without attention the head reads h.

    Args:
        source_vocab_size: Rows of the source's embedding.
        vocab_size: V.
        config: The net's shape.

    Raises:
        UserError: The vocabularies are to share a table and differ in size.
    """

    def __init__(self, source_vocab_size: int, vocab_size: int, config: Seq2SeqRNNConfig = Seq2SeqRNNConfig()) -> None:
        super().__init__()
        check_range("source_vocab_size", source_vocab_size, least=1)
        check_range("vocab_size", vocab_size, least=1)
        width, rnn = config.rnn.hidden_size, config.rnn
        self.config, self.dropout = config, config.dropout
        self.source_embedding = nn.Embedding(source_vocab_size, config.d_model)
        self.target_embedding = nn.Embedding(vocab_size, config.d_model)
        self.encoder = build_recurrent(config.d_model, rnn)
        self.decoder = build_recurrent(
            config.d_model + width * config.input_feeding, dataclasses.replace(rnn, bidirectional=False)
        )
        parts = rnn.num_layers * (2 if rnn.cell == "lstm" else 1)  # of the state: h of every layer, then c
        self.bridge = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(parts)) if rnn.bidirectional else None
        self.attention: Attention | None = None
        if config.attention != "none":
            self.attention = Attention(config.attention, width, self.encoder.output_size, config.attention_size)
            self.combine = nn.Linear(self.encoder.output_size + width, width, bias=False)
        self.head = nn.Linear(width, vocab_size, bias=False)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=config.d_model**-0.5)  # a head's scale; torch's N(0, 1) is too wide
        share_embeddings(config.share_embeddings, self.source_embedding, self.target_embedding, self.head)

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Logits of the next target token at every step, (B, T, V).

        Args:
            source_ids: (B, S), padded on the right; each row has a token.
            source_mask: Booleans (B, S), true at the tokens.
            target_ids: (B, T), from the beginning-of-sequence token on. A step depends on no later one.
        """
        encoded = self.encode(source_ids, source_mask)
        return self.logits(self.decode(target_ids, self.start(encoded)).outputs)

    def encode(self, source_ids: Tensor, source_mask: Tensor) -> EncoderOutput:
        """What the decoder needs of a source; arguments as for :meth:`forward`."""
        x = F.dropout(self.source_embedding(source_ids), self.dropout, self.training)
        states, last = self.encoder(x, source_mask.sum(1))
        keys = None if self.attention is None else self.attention.key(states)
        return EncoderOutput(states, keys, source_mask, self.init_decoder_state(last))

    def init_decoder_state(self, last: State) -> State:
        """The decoder's first state, of the encoder's last one, (L·S, B, H) each part."""
        if self.bridge is None:
            return last
        layers = self.config.rnn.num_layers
        made = []
        for part_index, part in enumerate(last if isinstance(last, tuple) else (last,)):
            bridges = self.bridge[part_index * layers : (part_index + 1) * layers]
            # (L·2, B, H) -> L × (B, 2·H): the two directions of a layer lie side by side
            joined = part.unflatten(0, (layers, 2)).transpose(1, 2).flatten(2)
            h = torch.stack([bridge(one) for bridge, one in zip(bridges, joined, strict=True)])
            made.append(h if part_index else h.tanh())
        return (made[0], made[1]) if isinstance(last, tuple) else made[0]

    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first target token."""
        input_feed = None
        if self.config.input_feeding:
            if self.attention is not None:
                input_feed = encoded.states.new_zeros(len(encoded.mask), 1, self.config.rnn.hidden_size)
            else:
                last = encoded.decoder_init_state
                h = last[0] if isinstance(last, tuple) else last
                input_feed = h[-1][:, None]  # (B, H) -> (B, 1, H)
        return DecoderState(encoded, SourceGroups(len(encoded.mask)), encoded.decoder_init_state, input_feed)

    def decode(self, target_ids: Tensor, state: DecoderState) -> Decoded:
        """Reads more of a target, (B, T), after what the state has read."""
        x = F.dropout(self.target_embedding(target_ids), self.dropout, self.training)
        hidden, input_feed = state.hidden, state.input_feed
        if input_feed is None or self.attention is None:
            x = x if input_feed is None else torch.cat((x, input_feed.expand(-1, x.shape[1], -1)), dim=2)
            outputs, hidden = self.decoder(x, None, hidden)
            return Decoded(*self.attend(outputs, state), state._replace(hidden=hidden))
        steps = []
        for one in x.split(1, dim=1):  # T × (B, 1, D)
            output, hidden = self.decoder(torch.cat((one, input_feed), dim=2), None, hidden)
            steps.append(self.attend(output, state))
            input_feed = steps[-1][0]
        outputs, weights = (torch.cat(parts, dim=1) for parts in zip(*steps, strict=True))
        return Decoded(outputs, weights, state._replace(hidden=hidden, input_feed=input_feed))

    def attend(self, outputs: Tensor, state: DecoderState) -> tuple[Tensor, Tensor | None]:
        """What the head reads, (B, T, H), of the decoder's states (B, T, H); and the attention's weights (B, T, S)."""
        if self.attention is None:
            return outputs, None
        encoded, width = state.encoded, state.groups.rows_per_source
        assert encoded.keys is not None
        queries = outputs.unflatten(0, (-1, width)).flatten(1, 2)  # (B, T, H) -> (N, W·T, H): a source's rows together
        weights = self.attention(queries, encoded.keys, encoded.mask)  # (N, W·T, S)
        context = weights.to(encoded.states.dtype) @ encoded.states  # (N, W·T, M)
        # (N, W·T, ·) -> (B, T, ·)
        context, weights = (found.unflatten(1, (width, -1)).flatten(0, 1) for found in (context, weights))
        return torch.tanh(self.combine(torch.cat((context, outputs), dim=2))), weights

    def logits(self, x: Tensor) -> Tensor:
        """(..., V) from the head's input (..., H), in float32 where the net is in half precision."""
        return at_least_float32(self.head(F.dropout(x, self.dropout, self.training)))

    @torch.no_grad()
    def prefill(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> tuple[Tensor, DecoderState]:
        """Reads sources, and the beginnings of their targets.

        Args:
            source_ids: (B, S), padded on the right.
            source_mask: Booleans (B, S), true at the tokens.
            target_ids: (B, P), all of one length, such as the beginning-of-sequence token alone.

        Returns:
            Logits (B, V) after each row, and the state for :meth:`decode_step`.
        """
        decoded = self.decode(target_ids, self.start(self.encode(source_ids, source_mask)))
        return self.logits(decoded.outputs[:, -1]), decoded.state

    @torch.no_grad()
    def decode_step(self, ids: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Reads one more target token of each row, (B,). Returns logits (B, V) and the state after it."""
        decoded = self.decode(ids[:, None], state)
        return self.logits(decoded.outputs[:, 0]), decoded.state

    def reorder(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """The state in which row i is what row ``rows[i]`` was, for ``rows`` (B',): some several times, some not."""
        encoded, sources = state.encoded, state.groups.reorder(rows.tolist())
        if sources is not None:
            indices = torch.tensor(sources, device=rows.device)
            keys = None if encoded.keys is None else encoded.keys[indices]
            encoded = EncoderOutput(
                encoded.states[indices], keys, encoded.mask[indices], select(encoded.decoder_init_state, indices)
            )
        input_feed = None if state.input_feed is None else state.input_feed[rows]
        return DecoderState(encoded, state.groups, select(state.hidden, rows), input_feed)

    def cross_attention(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor | None:
        """Attention weights (B, 1, 1, T, S), each row with the sum 1; None without attention; arguments as forward."""
        weights = self.decode(target_ids, self.start(self.encode(source_ids, source_mask))).weights
        return None if weights is None else weights[:, None, None]


def select(state: State, rows: Tensor) -> State:
    """Some rows of a recurrent state, of parts (L, B, H)."""
    if isinstance(state, tuple):
        return state[0].index_select(1, rows), state[1].index_select(1, rows)
    return state.index_select(1, rows)
