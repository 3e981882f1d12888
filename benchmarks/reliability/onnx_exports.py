"""Exports every system with many of its options as ONNX, and prints which graphs are equal and which are refused.

    python benchmarks/reliability/onnx_exports.py              # two minutes of a core
    python benchmarks/reliability/onnx_exports.py translator   # those with a word in their names

Each net is tiny, and all of its weights are random. A graph is equal where onnxruntime's outputs differ from the
system's by less than 1e-4 at the sizes of seqlight/export/onnx_folder.py, a batch and lengths of 1 among them. The exit
code is 1 where one is not.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402
from helpers.systems import BERT, LABELS, MODULES, STEPS, SUBWORDS, VOCAB, WORDS, gpt, series, system  # noqa: E402
from helpers.toy_questions import QuestionData  # noqa: E402

import seq_modules as systems  # noqa: E402
from seq_modules.nets.forecast.forecast_net import ForecastNetConfig  # noqa: E402
from seq_modules.nets.pretrained.encoder import PretrainedEncoderConfig  # noqa: E402
from seq_modules.nets.rnn.language_net import RNNConfig  # noqa: E402
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig  # noqa: E402
from seq_modules.nets.rnn.seq2seq_config import Seq2SeqRNNConfig  # noqa: E402
from seq_modules.nets.symbol_net import SymbolNetConfig  # noqa: E402
from seq_modules.nets.text.ngram_net import NgramConfig as LinearConfig  # noqa: E402
from seq_modules.nets.text.tagger_net import WordEncoderConfig  # noqa: E402
from seq_modules.nets.text.text_cnn import CNNConfig  # noqa: E402
from seq_modules.nets.text.text_encoder import TextEncoderConfig  # noqa: E402
from seq_modules.nets.text.token_embedding import EmbeddingConfig  # noqa: E402
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig  # noqa: E402
from seq_modules.nets.text.word_characters import CharacterConfig  # noqa: E402
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, NgramConfig  # noqa: E402
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig  # noqa: E402
from seq_modules.systems.classifier import LossConfig  # noqa: E402
from seq_modules.training.optim import OptimConfig  # noqa: E402
from seqlight.command.quiet import quieten  # noqa: E402
from seqlight.core.errors import UserError  # noqa: E402
from seqlight.export import onnx_folder  # noqa: E402

Make = Callable[[], Any]
SIZE = QuestionData().vocab_size
SGD = OptimConfig(optimizer="sgd")
BOTH = {"bidirectional": True}
TRANSFORMER = TransformerEncoderConfig(1, 2)


def classifier(aux: int = 0, members: int = 1, **net: Any) -> Make:
    config, loss = TextEncoderConfig(**{"d_model": 16, **net}), LossConfig(aux_weight=0.5 if aux else 0.0)
    return lambda: systems.TextClassifier(SIZE, 3, aux, net=config, loss=loss, ensemble_size=members)


def ngrams() -> Any:
    module = systems.NgramClassifier(SIZE, 3, num_ngrams=40, net=LinearConfig(max_order=2))
    ids = torch.arange(20)
    module.net.keys[1:] = torch.cat((ids + 1, (SIZE + 1) * (ids + 1) + ids + 2)).sort().values
    module.net.ratios.normal_()
    return module


def pretrained(**net: Any) -> Make:
    config = PretrainedEncoderConfig(encoder_config=BERT.to_dict(), **net)
    return lambda: systems.PretrainedClassifier(SIZE, 3, net=config)


def tagger(crf: bool = False, **net: Any) -> Make:
    config = WordEncoderConfig(**{"d_model": 12, "transformer": TRANSFORMER, **net})
    return lambda: systems.TokenTagger(WORDS.vocab_size, WORDS.num_characters, LABELS, config, crf)


def pretrained_tagger() -> Any:
    bert = PretrainedEncoderConfig(encoder_config={**BERT.to_dict(), "vocab_size": SUBWORDS.vocab_size})
    sizes = SUBWORDS.vocab_size, SUBWORDS.num_characters
    return systems.PretrainedTagger(*sizes, LABELS, bert, CharacterConfig("cnn", 6, 8))


def language(**net: Any) -> Make:
    members = net.pop("members", 1)
    return lambda: systems.GPTLanguageModel(VOCAB, gpt(**net), ensemble_size=members)


def recurrent_language(**rnn: Any) -> Make:
    return lambda: systems.RNNLanguageModel(VOCAB, RNNConfig(16, tie_weights=True, rnn=RecurrentConfig(**rnn)))


def formal(**net: Any) -> Make:
    return lambda: systems.FormalLanguageModule(3, 5, net=SymbolNetConfig(**net))


def forecaster(loss: Any = "mse", **net: Any) -> Make:
    known = series(1).statistics  # type: ignore[attr-defined]
    return lambda: systems.Forecaster(known, STEPS, 3, loss, net=ForecastNetConfig(**net))


def recurrent_translator(**net: Any) -> Make:
    small = {"d_model": 16, "attention_size": 8, "rnn": RecurrentConfig("gru", 16, bidirectional=True)}
    return lambda: systems.Seq2SeqRNN(VOCAB, VOCAB, Seq2SeqRNNConfig(**{**small, **net}))


def translator(**net: Any) -> Make:
    return lambda: systems.Seq2SeqTransformer(VOCAB, VOCAB, Seq2SeqTransformerConfig(16, 1, 2, 2, **net))


def perceptron(style: Any) -> Make:
    return lambda: systems.MLPClassifier(["x", "y"], ["inner", "outer"], style, optim=SGD)


VARIANTS: dict[str, Make] = {
    **{f"{name} (as in the tests)": (lambda name=name: system(name)) for name in MODULES},
    "classifier, two GRUs, last": classifier(pooling="last", rnn=RecurrentConfig("gru", 8, 2, **BOTH)),
    "classifier, two LSTMs, attention, auxiliary labels": classifier(
        2, pooling="attention", join_embeddings=True, rnn=RecurrentConfig("lstm", 8, 2, **BOTH)
    ),
    "classifier, RNN with relu, convolutions, mean": classifier(
        pooling="mean",
        convolutions=True,
        cnn=CNNConfig(4, [2, 3]),
        rnn=RecurrentConfig("rnn", 8, nonlinearity="relu"),
    ),
    "classifier, RNN with sigmoid in NumPy": classifier(
        rnn=RecurrentConfig("rnn", 8, nonlinearity="sigmoid", backend="numpy")
    ),
    "classifier, convolutions": classifier(encoder="cnn", cnn=CNNConfig(4, [2, 3])),
    "classifier, bag of words, their characters and pairs": classifier(
        encoder="embeddings", pooling="mean", embedding=EmbeddingConfig([3], 50, word_orders=[2], word_buckets=50)
    ),
    "classifier, two Transformers, ALiBi": classifier(
        0, 2, encoder="transformer", transformer=TransformerEncoderConfig(1, 2, positions="alibi")
    ),
    "classifier, causal Transformer, sinusoidal": classifier(
        encoder="transformer", transformer=TransformerEncoderConfig(1, 2, positions="sinusoidal", causal=True)
    ),
    "classifier, n-grams": ngrams,
    "classifier, BERT with prompts, pooler": pretrained(tuning="prefix", pooling="pooler"),
    "classifier, BERT with LoRA, attention": pretrained(tuning="lora", pooling="attention"),
    "tagger, Transformer, LSTM of characters": tagger(encoder="transformer", characters=CharacterConfig("lstm", 6, 8)),
    "tagger, words alone": tagger(encoder="embeddings", characters=CharacterConfig("none")),
    "tagger, BERT and characters": pretrained_tagger,
    "GPT, rotary, SwiGLU, RMS": language(positions="rotary", activation="swiglu", norm="rms"),
    "GPT, ALiBi, eager": language(positions="alibi", attention="eager"),
    "GPT, two members with all extras": language(
        positions="sinusoidal",
        activation="relu2",
        ngrams=NgramConfig([2, 3], buckets=16, dim=4, words=[0, 1]),
        extras=ExtrasConfig(True, True, True, 5.0),
        members=2,
    ),
    "language model, two layers of GRU": recurrent_language(cell="gru", hidden_size=16, num_layers=2),
    "language model, GRU with layer norm": recurrent_language(
        cell="gru", hidden_size=16, layer_norm=True, backend="loop"
    ),
    "parity, RNN": lambda: systems.ParityModule(RecurrentConfig("rnn", 8)),
    "formal language, LSTM": formal(rnn=RecurrentConfig("lstm", 8)),
    "formal language, Transformer": formal(backbone="transformer", d_model=16, transformer=TRANSFORMER),
    "forecaster, seasonal naive": forecaster(kind="seasonal_naive"),
    "forecaster, NLinear": forecaster(),
    "forecaster, DLinear a series, normalised": forecaster(
        kind="dlinear", channels="own", kernel_size=5, instance_norm="plain"
    ),
    "forecaster, GRU of all series, quantiles": forecaster("pinball", kind="recurrent", channels="joint"),
    "translator, LSTM, input feeding": recurrent_translator(input_feeding=True, rnn=RecurrentConfig("lstm", 16)),
    "translator, GRU, fed, without attention": recurrent_translator(attention="none", input_feeding=True),
    "translator, GRU, without attention": recurrent_translator(attention="none"),
    "translator, two LSTMs, dot": recurrent_translator(attention="dot", rnn=RecurrentConfig("lstm", 16, 2, **BOTH)),
    "translator, Transformer, rotary": translator(positions="rotary"),
    "translator, Transformer, learned, post-norm": translator(positions="learned", norm_first=False),
    "perceptron, parameters": perceptron("parameters"),
    "perceptron, sequential": perceptron("sequential"),
    "perceptron, NumPy": perceptron("numpy"),
}


def outcome(make: Make) -> tuple[str, bool]:
    """What became of one export, and whether that is right."""
    torch.manual_seed(0)
    module = make().eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with tempfile.TemporaryDirectory() as folder:
        try:
            graphs = onnx_folder.write(module, {}, Path(folder))
        except UserError as error:
            return f"refused: {error}", True
        except Exception as error:  # whatever torch, onnxscript and onnxruntime raise
            return f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}", False
    return f"equal: {', '.join(graph.name for graph in graphs)}", True


def main() -> int:
    """Runs the variants, and prints a line each."""
    quieten()
    failed = 0
    for name, make in VARIANTS.items():
        if any(word not in name for word in sys.argv[1:]):
            continue
        start = time.process_time()
        said, is_right = outcome(make)
        failed += not is_right
        print(f"{name:<55} {time.process_time() - start:5.1f} s  {said}", flush=True)
    print(f"{failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
