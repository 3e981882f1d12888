"""Words and line ends of running text: ids, text again, continuations, numbers of characters."""

import pytest

from datamodules.tokenizers import WordLineTokenizer, from_state
from datamodules.tokenizers.words import SPECIAL

TEXT = 'the cat said: "don\'t go!"\nthe dog went.\n\nthe end\n'
TOKENIZER = WordLineTokenizer.train([TEXT], 100)
SEP, UNK = TOKENIZER.special["sep"], TOKENIZER.special["unk"]


def test_words_and_line_ends_are_ids_and_become_the_text_again() -> None:
    ids = TOKENIZER.encode("the dog went.\n\nthe end\n")
    assert TOKENIZER.pieces(ids) == ["the", "dog", "went", ".", "[SEP]", "[SEP]", "the", "end", "[SEP]"]
    assert TOKENIZER.decode(TOKENIZER.encode(TEXT)) == TEXT
    assert TOKENIZER.encode("") == []
    assert TOKENIZER.encode("\n") == [SEP]


def test_text_in_pieces_of_lines_has_the_ids_of_the_whole() -> None:
    lines = TEXT.splitlines(keepends=True)
    assert [i for line in lines for i in TOKENIZER.encode(line)] == TOKENIZER.encode(TEXT)
    assert WordLineTokenizer.train(lines, 100).state() == TOKENIZER.state()


def test_rare_and_unseen_words_are_unknown() -> None:
    frequent = WordLineTokenizer.train([TEXT], 100, min_count=2)
    assert frequent.pieces(range(len(SPECIAL), frequent.vocab_size)) == ["the", '"']  # the others stand there once
    assert TOKENIZER.encode("the zebra") == [TOKENIZER.encode("the")[0], UNK]
    assert TOKENIZER.decode(TOKENIZER.encode("the zebra went")) == "the \ufffd went"


@pytest.mark.parametrize(
    "text", ["the dog went.\nthe end\n", "the cat said: the end, the dog!\n", "don't go.\nthe cat\n"]
)
def test_characters_of_the_ids_are_those_of_the_text(text: str) -> None:
    tokenizer = WordLineTokenizer.train([text], 100)
    assert tokenizer.characters[tokenizer.encode(text)].sum() == len(text)


@pytest.mark.parametrize(
    ("prompt", "new", "text"),
    [
        ("the", "dog went", " dog went"),
        ("the ", "dog went", "dog went"),
        ("the dog", ".", "."),
        ("the dog ", ".", "."),
        ("the dog.\n", "the end", "the end"),
        ("the dog.", "\nthe end", "\nthe end"),
        ('the cat said: "', "go", "go"),  # no space follows an opening quotation mark
        ('the cat said: "go', '"', '"'),  # nor stands one before a closing one
        ("zebra", "don't", " don't"),
        ("the", "", ""),
    ],
)
def test_a_continuation_can_be_read_after_its_prompt(prompt: str, new: str, text: str) -> None:
    assert TOKENIZER.continuation(prompt, TOKENIZER.encode(new)) == text


def test_a_state_of_plain_data_makes_the_same_tokenizer() -> None:
    again = from_state(TOKENIZER.state())
    assert isinstance(again, WordLineTokenizer)
    assert again.fingerprint == TOKENIZER.fingerprint
    assert again.encode(TEXT) == TOKENIZER.encode(TEXT)
