"""Which graphs a system becomes: what goes in, what comes out, and which axes may have any length.

B batch, T time, S time of the source, U different words of a batch, V vocabulary, L layers, H hidden width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from seq_modules import (
    Forecaster,
    FormalLanguageModule,
    FrameDecoder,
    GPTLanguageModel,
    MLPClassifier,
    MusicDecoder,
    ParityModule,
    PretrainedTagger,
    RNNLanguageModel,
    SequenceModule,
)
from seq_modules.nets.mlp.numpy_bridge import NumpyMLP
from seq_modules.nets.pretrained.encoder import PretrainedEncoder
from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.recurrent import Recurrent
from seq_modules.nets.rnn.seq2seq import DecoderState, EncoderDecoderRNN
from seq_modules.nets.rnn.seq2seq import EncoderOutput as RNNEncoderOutput
from seq_modules.nets.source_groups import SourceGroups
from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer, EncoderOutput
from seq_modules.protocols.nets import net_of
from seq_modules.systems.classifier import Classifier
from seq_modules.systems.token_tagger import Tagger
from seqlight.export.onnx_layers import refusal

Axis = int | str  # a length, or the name of one that may be any
ANY = 2**31 - 1


@dataclass(frozen=True)
class Input:
    """One input of a graph.

    Attributes:
        axes: Its axes.
        kind: "ids" are whole numbers, "mask" is true at the beginning of each row, "numbers" are of float32.
        below: Of ids, what they are below: a number, or that many as an axis is long.
    """

    axes: tuple[Axis, ...]
    kind: Literal["ids", "mask", "numbers"] = "ids"
    below: Axis = 0


@dataclass(frozen=True)
class Graph:
    """A graph.

    Attributes:
        name: Of its file.
        net: What computes it, of tensors in the order of the inputs; gives a tuple of tensors.
        inputs: By name.
        outputs: Names and axes of the outputs, such as "(batch, classes)".
        longest: Of the axes that may not have any length, the greatest.
    """

    name: str
    net: nn.Module
    inputs: Mapping[str, Input]
    outputs: Mapping[str, str]
    longest: Mapping[str, int]


class Traced(nn.Module):
    """A function of a module as a module.

    Args:
        module: Holds the weights.
        function: Of the inputs; a closure over the module.
    """

    def __init__(self, module: nn.Module, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's value."""
        return self.function(*inputs)


def graphs_of(module: SequenceModule) -> list[Graph]:
    """The graphs of a system whose layers are ONNX's.

    Raises:
        UserError: The system cannot be exported; the message says why.
    """
    match module:
        case Classifier():
            return [of_classifier(module)]
        case Tagger():
            return [of_tagger(module)]
        case Forecaster():
            return [of_forecaster(module)]
        case MLPClassifier():
            return [of_perceptron(module)]
        case ParityModule() | RNNLanguageModel() | FormalLanguageModule():
            return [of_steps(module)]
        case GPTLanguageModel():
            return [of_gpt(module)]
        case MusicDecoder() | FrameDecoder():
            raise refusal(type(module).__name__, "it draws the fields of a note or a frame one after another")
    net = net_of(module)
    if isinstance(net, EncoderDecoderTransformer):
        return of_transformer(net)
    if isinstance(net, EncoderDecoderRNN):
        return of_recurrent_translator(net)
    raise refusal(type(module).__name__, "it is none of the systems of which graphs are known")


def of_classifier(module: Classifier) -> Graph:
    """Ids of texts to logits."""
    axes = ("batch", "time")
    inputs = {"input_ids": Input(axes, below=module.hparams["vocab_size"]), "attention_mask": Input(axes, "mask")}
    outputs = {"logits": f"(batch, {module.num_classes})"}
    if module.num_aux_classes:
        outputs["aux_logits"] = f"(batch, {module.num_aux_classes})"
    net = Traced(module, lambda ids, mask: tuple(module.all_logits(ids, mask)))
    return Graph("model", net, inputs, outputs, longest_of(module))


def of_tagger(module: Tagger) -> Graph:
    """A batch of sentences, as TaggingTokenizer.batch makes it, to scores of each word's labels."""
    words, sizes = ("batch", "time"), module.hparams
    inputs = {"word_mask": Input(words, "mask")}
    spelled = module.net.encoder.characters.encoder is not None
    if spelled:
        inputs["spellings"] = Input(("spelled", "characters"), below=sizes["num_characters"])
        inputs["spelling_of"] = Input(words, below="spelled")
    if isinstance(module, PretrainedTagger):
        pieces = ("batch", "pieces")
        inputs["input_ids"] = Input(pieces, below=sizes["vocab_size"])
        inputs["attention_mask"] = Input(pieces, "mask")
        inputs["first_tokens"] = Input(words, below="pieces")
    else:
        inputs["input_ids"] = Input(words, below=sizes["vocab_size"])

    def scores(*tensors: Tensor) -> tuple[Tensor, ...]:
        batch = dict(zip(inputs, tensors, strict=True))
        if not spelled:
            nowhere = torch.zeros_like(batch["word_mask"], dtype=torch.int64)
            batch |= {"spellings": nowhere[:1], "spelling_of": nowhere}
        return (module(batch),)

    outputs = {"scores": f"(batch, time, {len(module.class_names)})"}
    return Graph("model", Traced(module, scores), inputs, outputs, longest_of(module))


def longest_of(module: nn.Module) -> dict[str, int]:
    """The longest text of a pretrained encoder, in tokens."""
    for part in module.modules():
        if isinstance(part, PretrainedEncoder):
            prompts = 0 if part.prefix is None else part.prefix.shape[1]
            if (positions := getattr(part.model.config, "max_position_embeddings", None)) is not None:
                return dict.fromkeys(("time", "pieces"), positions - prompts)
    return {}


def of_forecaster(module: Forecaster) -> Graph:
    """Values in the unit of the data to forecasts in that unit."""
    series = len(module.series_names)
    inputs = {"past": Input(("batch", module.hparams["lookback"], series), "numbers")}
    count = len(module.levels or [0.5])
    outputs = {"forecast": f"(batch, {module.hparams['horizon']}, {series}, {count})"}
    return Graph("model", Traced(module, lambda past: (module(past),)), inputs, outputs, {})


def of_perceptron(module: MLPClassifier) -> Graph:
    """Rows of numbers to logits."""
    if isinstance(module.net, NumpyMLP):
        raise refusal("model.style numpy", "NumPy's products are no operators of torch")
    inputs = {"features": Input(("batch", len(module.feature_names)), "numbers")}
    net = Traced(module, lambda features: (module(features),))
    return Graph("model", net, inputs, {"logits": f"(batch, {len(module.class_names)})"}, {})


def of_gpt(module: GPTLanguageModel) -> Graph:
    """Ids of a whole context to logits after each; without a cache."""
    vocabulary: int = module.hparams["vocab_size"]
    net: Any = module.net
    inputs = {"input_ids": Input(("batch", "time"), below=vocabulary)}
    outputs = {"logits": f"(batch, time, {vocabulary})"}
    return Graph("model", Traced(module, lambda ids: (module(ids),)), inputs, outputs, {"time": net.max_seq_len})


def of_steps(module: ParityModule | RNNLanguageModel | FormalLanguageModule) -> Graph:
    """Symbols to logits after each, and a recurrent net's state from before the first to after the last."""
    net: Any = module.net
    if isinstance(module, ParityModule):
        symbols, outputs, recurrent = 2, "(batch, time)", net
    elif isinstance(module, RNNLanguageModel):
        symbols, recurrent = module.hparams["vocab_size"], net.layers
        outputs = f"(batch, time, {symbols})"
    else:
        symbols, recurrent = module.hparams["vocab_size"], net.recurrent
        outputs = f"(batch, time, {module.hparams['num_classes']})"
    inputs = {"input_ids": Input(("batch", "time"), below=symbols)}
    if recurrent is None:
        return Graph("model", Traced(module, lambda ids: (module(ids)[0],)), inputs, {"logits": outputs}, {})
    state, after = state_of(recurrent)

    def run(ids: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        before = joined(parts)
        if isinstance(module, RNNLanguageModel):
            hidden, last = net.run(ids, None, before)
            return (net.head(hidden), *split(last))
        logits, last = module(ids, None, before)
        return (logits, *split(last))

    return Graph("model", Traced(module, run), inputs | state, {"logits": outputs} | after, {})


def state_of(net: Recurrent) -> tuple[dict[str, Input], dict[str, str]]:
    """A recurrent net's state as inputs, zeros at the beginning, and as outputs."""
    layers, names = net.num_layers * net.num_directions, ("h", "c") if net.cell == "lstm" else ("h",)
    inputs = {name: Input((layers, "batch", net.hidden_size), "numbers") for name in names}
    return inputs, {f"next_{name}": f"({layers}, batch, {net.hidden_size})" for name in names}


def joined(parts: tuple[Tensor, ...]) -> State:
    """A state of its parts."""
    return (parts[0], parts[1]) if len(parts) == 2 else parts[0]


def split(state: Any) -> tuple[Tensor, ...]:
    """The parts of a state."""
    return state if isinstance(state, tuple) else (state,)


def of_transformer(net: EncoderDecoderTransformer) -> list[Graph]:
    """The encoder, and the decoder over a whole target."""
    width, longest = net.config.d_model, {"source_time": net.max_seq_len, "time": net.max_seq_len}
    source, memory = ("batch", "source_time"), ("batch", "source_time", width)
    encoder = Graph(
        "encoder",
        Traced(net, lambda ids, mask: (cast(Tensor, net.encode(ids, mask).states),)),
        {"source_ids": Input(source, below=net.source_embedding.num_embeddings), "source_mask": Input(source, "mask")},
        {"states": f"(batch, source_time, {width})"},
        longest,
    )
    vocabulary = net.target_embedding.num_embeddings
    decoder = Graph(
        "decoder",
        Traced(
            net,
            lambda ids, states, mask: (net.logits(net.decode(ids, EncoderOutput(states, mask[:, None, None]))),),
        ),
        {
            "target_ids": Input(("batch", "time"), below=vocabulary),
            "states": Input(memory, "numbers"),
            "source_mask": Input(source, "mask"),
        },
        {"logits": f"(batch, time, {vocabulary})"},
        longest,
    )
    return [encoder, decoder]


def of_recurrent_translator(net: EncoderDecoderRNN) -> list[Graph]:
    """The encoder, and the decoder over a piece of the target with its state before and after it."""
    source, decoder = ("batch", "source_time"), net.decoder
    state, after = state_of(decoder)  # type: ignore[arg-type]  # no linear cell is left
    width, hidden = net.encoder.output_size, decoder.hidden_size
    feeds = net.config.input_feeding
    input_feed = {"fed": Input(("batch", 1, hidden), "numbers")} if feeds else {}

    def encode(ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        encoded = net.encode(ids, mask)
        start = net.start(encoded._replace(mask=mask.new_ones(1, 1)))  # which it only counts the rows of
        more = () if start.input_feed is None else (start.input_feed,)
        return (encoded.states, *split(encoded.decoder_init_state), *more)

    def decode(ids: Tensor, states: Tensor, mask: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        last, more = parts[: len(state)], parts[len(state) :]
        keys = None if net.attention is None else net.attention.key(states)
        encoded = RNNEncoderOutput(states, keys, mask, joined(last))
        decoded = net.decode(ids, DecoderState(encoded, SourceGroups(1), joined(last), more[0] if more else None))
        ending = () if decoded.state.input_feed is None else (decoded.state.input_feed,)
        return (net.logits(decoded.outputs), *split(decoded.state.hidden), *ending)

    vocabulary = net.target_embedding.num_embeddings
    input_feed_out = {"fed": f"(batch, 1, {hidden})"} if feeds else {}
    encoder_outputs = {"states": f"(batch, source_time, {width})"}
    encoder_outputs |= {name.removeprefix("next_"): axes for name, axes in after.items()} | input_feed_out
    sources = {
        "source_ids": Input(source, below=net.source_embedding.num_embeddings),
        "source_mask": Input(source, "mask"),
    }
    steps: Axis = 1 if feeds else "time"  # what a step is fed, the step before makes
    inputs = {
        "target_ids": Input(("batch", steps), below=vocabulary),
        "states": Input(("batch", "source_time", width), "numbers"),
        "source_mask": Input(source, "mask"),
    }
    outputs = (
        {"logits": f"(batch, {steps}, {vocabulary})"}
        | after
        | {f"next_{name}": axes for name, axes in input_feed_out.items()}
    )
    return [
        Graph("encoder", Traced(net, encode), sources, encoder_outputs, {}),
        Graph("decoder", Traced(net, decode), inputs | state | input_feed, outputs, {}),
    ]
