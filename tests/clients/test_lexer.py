"""The fixture that our lexer is tested with (tests/it/lexer.rs) is what Trino's own grammar says of those texts."""

from collections import Counter
from pathlib import Path

import lexer_corpus

FIXTURE = Path(__file__).parents[1] / "it" / "lexer.tsv"


def test_the_fixture_is_what_trinos_grammar_says():
    committed = FIXTURE.read_text().splitlines()[1:]
    made = [lexer_corpus.line(text) for text in lexer_corpus.texts()]
    assert committed == made, f"to make it again: python {lexer_corpus.__file__} > {FIXTURE}"
    kinds = Counter(line.split("\t")[2].split(" ")[0] for line in made)
    assert len(made) == lexer_corpus.COUNT and min(kinds.values()) >= 20
    assert set(kinds) == {"query", "text", "writes", "refused", "several", "unread", "empty"}
