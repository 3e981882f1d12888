"""Language models: the next token, from those before it. The base of all, and the Transformer (GPT)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import Tensor, nn

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.adaptation.adapted_generation import generate_adapted
from seq_modules.adaptation.adaptive_test import log_adaptive_loss
from seq_modules.base import SequenceModule, Step
from seq_modules.callbacks.training.active_member import ActiveMember
from seq_modules.generation.decode import generate
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.texts import continuations, log_probs
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.hashing.word_hashes import WordHashes
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.training.metrics.means import BitsPerCharacter, Perplexity
from seq_modules.training.metrics.tokens import TokenAccuracy
from seq_modules.training.optim import OptimConfig
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.hyperparameters import check_range, group_from, required
from seqlight.core.labels import IGNORED


class LanguageModel(SequenceModule):
    """Base of the language models: loss, generation and scoring with any net that predicts the next token.

    A subclass assigns ``net``: ids (B, T) to logits (B, T, V), with the methods of seq_modules/generation/decode.py.

    Args:
        optim: Optimiser and schedule.

    Attributes:
        decoding: How tokens are chosen where a call does not say; the command line's --decoding.
        adaptation: How the model learns from the text that it reads, in test and predict; the command line's --adapt.
        on_text: During ``predict_step``, called with a row's number and its text so far; None calls nothing.
    """

    net: nn.Module
    tokenizer_flags = "--data.tokenizer, the options of its vocabulary and --data.tokenizer_path"
    decoding = Decoding()
    adaptation = Adaptation()
    on_text: Callable[[int, str], None] | None = None

    def __init__(self, optim: OptimConfig | dict[str, Any]) -> None:
        metrics = {
            "perplexity": Perplexity(),
            "bits_per_character": BitsPerCharacter(),
            "token_accuracy": TokenAccuracy(),
        }
        super().__init__(metrics, optim)
        del self.train_metrics["token_accuracy"]  # the likeliest token costs a CPU some percent of a step

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits of the next token at every step, (B, T, V), from ids (B, T)."""
        return self.net(input_ids)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the labels that count."""
        labels = batch["labels"]
        logits = at_least_float32(self(batch["input_ids"]))
        loss_sum = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
        num_targets = (labels != IGNORED).sum()
        characters = batch["characters"].sum() if "characters" in batch else num_targets
        inputs = {"characters": characters}
        if not self.training:
            inputs["num_right"] = (logits.argmax(-1) == labels).sum()
        return Step(loss_sum, num_targets, inputs)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a prompt: its text and the model's continuation."""
        ids = [row[:length].tolist() for row, length in zip(batch["input_ids"], batch["lengths"].tolist(), strict=True)]
        indices = batch["index"].tolist()
        tokenizer, stop = required_tokenizer(self), batch.get("stop")
        prompts = batch["prompts"]
        write: Callable[..., list[list[int]]] = generate
        if self.adaptation.enabled:
            pieces = tokenizer.pieces(range(tokenizer.vocab_size))
            write = partial(generate_adapted, adaptation=self.adaptation, pieces=pieces)
        texts = continuations(self.net, tokenizer, prompts, ids, self.decoding, indices, stop, self.on_text, write)
        return [
            {"index": index, "prompt": prompt, "continuation": text}
            for index, prompt, text in zip(indices, prompts, texts, strict=True)
        ]

    def on_test_epoch_end(self) -> None:
        """Logs the loss of a model that learns from the test text while it reads it, with ``adaptation.enabled``."""
        if self.adaptation.enabled:
            log_adaptive_loss(self, self.adaptation)

    def generate(
        self, prompts: Sequence[str], decoding: Decoding | None = None, stop: list[str] | None = None
    ) -> list[str]:
        """Continuations of texts.

        Args:
            prompts: Texts to continue, none of them empty.
            decoding: How to choose tokens; by default ``self.decoding``.
            stop: End a continuation before the first of these strings.

        Raises:
            UserError: There is no tokenizer, or a prompt is empty.
        """
        tokenizer = required_tokenizer(self)
        ids = [tokenizer.encode(prompt) for prompt in prompts]
        return continuations(self.net, tokenizer, prompts, ids, decoding or self.decoding, stop=stop)

    def score(self, texts: Sequence[str], batch_tokens: int = 16384) -> list[tuple[float, int]]:
        """Log-probability of each text at the beginning of a line, its first token included, in evaluation mode.

        Args:
            texts: Any number of texts, none of them empty.
            batch_tokens: Tokens of a batch, padding included.

        Returns:
            For each text the sum of the log-probabilities of its tokens, in nats, and their number.
        """
        return log_probs(self, required_tokenizer(self), texts, batch_tokens)

    def configure_callbacks(self) -> list[Callback]:
        """Adds, for an ensemble, the callback that chooses the member of a step."""
        return [*super().configure_callbacks(), *([ActiveMember()] if isinstance(self.net, Ensemble) else [])]


class GPTLanguageModel(LanguageModel):
    """Next-token prediction with a Transformer decoder (Radford et al. 2019).

    Args:
        vocab_size: Number of tokens; comes from the data.
        net: Shape of the net.
        ensemble_size: Nets that are trained in rotation, one a step, and whose probabilities are averaged in
            evaluation. For a long training on a small text, which a single net would overfit.
        optim: Optimiser and schedule.

    Raises:
        UserError: A value is out of its range, or there is no vocab_size.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        net: GPTConfig = GPTConfig(),
        ensemble_size: int = 1,
        optim: OptimConfig = OptimConfig(
            weight_decay=0.1, beta2=0.99, warmup_steps=100, schedule="cosine", min_lr_ratio=0.1, fused=True
        ),
    ) -> None:
        super().__init__(optim)
        self.save_hyperparameters()
        check_range("ensemble_size", ensemble_size, least=1)
        size, config = required("vocab_size", vocab_size), group_from(GPTConfig, net)
        nets = [GPT(size, config, hash_seed=member) for member in range(ensemble_size)]
        self.net = nets[0] if ensemble_size == 1 else Ensemble(nets)

    def setup(self, stage: str) -> None:
        """Tells the net what its words are, by the tokenizer."""
        super().setup(stage)
        contexts = [part for part in self.net.modules() if isinstance(part, WordHashes)]
        if contexts:
            tokenizer = required_tokenizer(self)
            pieces = tokenizer.pieces(range(tokenizer.vocab_size))
            for part in contexts:
                part.set_pieces(pieces)
