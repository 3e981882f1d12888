"""A linear head that starts from texts that describe the classes, and so answers before any training (zero-shot).

A text's score for a class is the cosine of the angle between its vector and that of the class's description. So are the
vectors of sentence encoders compared (Reimers & Gurevych, "Sentence-BERT", EMNLP 2019); with descriptions of classes,
Yin et al., "Benchmarking Zero-shot Text Classification" (EMNLP 2019). With the descriptions' vectors as its rows, a
linear layer computes these scores up to the length of the text's own vector, which is the same for all classes.

C classes, D width, T tokens.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seq_modules.nets.text.classifier_net import ClassifierNet
from seqlight.core.errors import UserError

SCALE = 20.0  # of a cosine as a logit, as in the training of sentence encoders


@torch.no_grad()
def start_from_class_texts(net: ClassifierNet, rows: Sequence[Tensor]) -> None:
    """Gives the head the vectors of the classes' texts as its weights (C, D), and no bias.

    Args:
        net: A classifier.
        rows: Ids of each class's text, (T,).
    """
    training = net.training
    net.eval()
    vectors = torch.cat([_vector(net, row) for row in rows]).float()  # (C, D)
    net.train(training)
    lengths = vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
    net.head.weight.copy_(SCALE * vectors / lengths / lengths.mean())
    net.head.bias.zero_()


def _vector(net: ClassifierNet, row: Tensor) -> Tensor:
    ids = row.long().to(net.head.weight.device)[None]
    return net.encoder(ids, torch.ones_like(ids).bool())


def ordered_texts(texts: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """The classes' texts in the order of their names.

    Raises:
        UserError: A class has no text, or a text is of no class.
    """
    if set(texts) != set(names):
        wrong = sorted(set(texts) - set(names)) or sorted(set(names) - set(texts))
        said = "is no class of the data" if wrong[0] in texts else "has no text"
        raise UserError(f"class_texts: {wrong[0]!r} {said}; the classes are {', '.join(names)}")
    return [texts[name] for name in names]
