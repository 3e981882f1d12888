"""What the embeddings of a vocabulary take from the tokenizer and from files when a training begins."""

from collections.abc import Sequence
from typing import Any

from seq_modules.nets.text.token_embedding import TokenEmbedding
from seq_modules.nets.text.word_vectors import read_vectors
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError


def take_unknown(module: Any, embeddings: Sequence[TokenEmbedding]) -> None:
    """Tells embeddings that drop tokens which id the unknown one has.

    Raises:
        UserError: Tokens are to be dropped, and the tokenizer has no unknown one.
    """
    if not embeddings[0].word_dropout:
        return
    special = required_tokenizer(module).special
    if "unk" not in special:
        raise UserError("net.embedding.word_dropout needs a tokenizer with an unknown token; make it 0")
    for embedding in embeddings:
        embedding.unknown_id = special["unk"]


def start_embeddings(module: Any, embeddings: Sequence[TokenEmbedding], vectors_file: str | None) -> None:
    """Takes the spelling of the tokens from the tokenizer, and pretrained vectors from their file.

    A resumed training has both from its checkpoint, and needs no file.
    """
    if module.trainer.ckpt_path is not None:
        return
    if embeddings[0].chars is not None:
        for embedding in embeddings:
            embedding.set_pieces(required_tokenizer(module))
    if vectors_file is not None:
        table = embeddings[0].tokens
        pieces = required_tokenizer(module).pieces(range(table.num_embeddings))
        found = read_vectors(vectors_file, pieces, table.embedding_dim)
        if module.trainer.is_global_zero:
            print(f"vectors: {len(found)} of {len(pieces)} tokens are in {vectors_file}")
        for embedding in embeddings:
            embedding.start_from(found)
