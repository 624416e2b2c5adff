"""Texts that lexers get wrong, and what Trino's own grammar says about them: `python lexer_corpus.py > ../it/lexer.tsv`.

A line is a text as JSON, its tokens, and what the statement is. A token is a letter for its kind, where it begins and where it
ends, in bytes; the tokens end before the first thing that Trino's lexer does not know, which is `!` and its place. A statement
is one of

    query, text, writes   as Trino parses it; with the number of its parameters, and `ordered` where a query asks for an order
    refused               Trino has tokens for it, and no rule
    several, unread       more than one statement; something that is not a token
    empty                 blanks, comments and semicolons alone
"""

import json
import random

from antlr4 import CommonTokenStream, InputStream, Token
from antlr4.error.ErrorListener import ErrorListener
from trino_query_parser.SqlBaseLexer import SqlBaseLexer as Lexer
from trino_query_parser.SqlBaseParser import SqlBaseParser as Parser

COUNT = 3000
SEED = 15

STATEMENTS = r"""
select 1
select 1 ; ;
select a , ? from t where b = ? order by a limit ?
( select a from t order by a )
( ( select a from t order by a ) limit 1 )
with b ( c ) as ( select 1 order by 1 ) select * from b
with b as ( select 1 ) ( select * from b order by 1 )
with recursive b ( n ) as ( values ( 1 , ? ) ) , "c" as ( table b ) table c offset ? rows
select array_agg ( a order by b ) , row_number ( ) over ( order by ? ) from t fetch first ? rows only
select 'it''s ?' , "a""?" , U&'\00e9?' , X'00ff' , 1e5 , .5 , 1_000 , 0xFF , 1. from "t"
select * from t match_recognize ( order by a pattern ( b? {- c -} ( d | e )+? f{1,}? ) define b as a > ? ) where g = ?
values 1 , ( ? )
table t
select filter ( a , x -> x > ? ) , - ? , -1 from t
select case when a <> 1 then - ? else a || 'b' end from ( select 1 ) as t ( a ) union all ( select 2 order by 1 )
select cast ( a as array ( row ( b integer ) ) ) [ 1 ] . b from t
select array [ 'a' ] as x union all select array [ 'b' ]
select * from ( select a from t order by a ) as "order" group by 1 having count ( * ) >= ?
insert into t with a as ( select 1 ) select * from a
insert into t ( a , b ) values ( ? , ? )
delete from t where a = ?
update t set a = ? where b = 1
merge into t using u on a = b when matched then delete
create table t with ( format = 'ORC' ) as select 1
create table t as ( with a as ( select ? ) select * from a ) with no data
create or replace view v as select 1 order by 1
drop table if exists t
alter table t add column a integer
execute p using ?
execute immediate 'select 1'
prepare p from select ?
deallocate prepare p
call p ( 1 )
grant select on t to u
use a . b
set session a = 1
start transaction
explain select ?
explain ( select 1 )
explain ( type io , format json ) insert into t select 1
explain analyze verbose select 1 order by 1
explain analyze delete from t where a = ?
explain explain analyze delete from t
show tables from a like 'b%'
show stats for ( select * from t where a = ? )
show create table t
describe t
desc t
select 1 ; select 2
; select 1
with a as ( select 1 ) insert into b select * from a
( insert into t select 1 )
select 1 ) from ( select 2
"""
STATEMENTS = [line.split(" ") for line in STATEMENTS.strip().splitlines()]
QUIET = [" ", "\n", "\t", "\r", "\r\n", " -- c\r", "-- ?\n", "--\r\n", "/* ? */", "/* /* */", "/**/", " -- /*\n", "/* -- */", "-- 'a\r"]
LOUD = ["\u00a0", "\ufeff", "\u3000", "\f", "\v", "é", "ı", "ſ", "🦀", "\0", "'", '"', "`", "`a`", "/*", "*/", "--", "--\r", "--\n", "\\", "\\'", "{-",
        "-}", "{", "}", "?", ";", "(", ")", "[", "]", ",", ".", "|", "||", "->", "=>", "<", ">", "!", "!=", "&", "U&'", "u&'a'", "X'", "x'a b'", "''", '""',
        "1", "1e", "1e5", "1.", ".5", "1_", "0x", "0xf", "1a", "e5", "_", "$", "^", "#", "@", "~", "-", "/", "*", "%", ":", "select", "insert", "into",
        "pattern", "order", "by", "with", "as", "explain", "analyze", "table", "uescape", "\r", "\n", " ", "\t"]


def texts():
    rng = random.Random(SEED)
    seen = set()
    while len(seen) < COUNT:
        text = soup(rng) if rng.random() < 0.35 else decorated(rng)
        if text not in seen:
            seen.add(text)
            yield text


def soup(rng):
    return "".join(rng.choice(rng.choice([LOUD, LOUD, QUIET, ["select ", "a", "1", " "]])) for _ in range(rng.randint(1, 14)))


def decorated(rng):
    """A statement with comments between its words, and now and then something that does not belong there."""
    words = list(rng.choice(STATEMENTS))
    for _ in range(rng.choice([0, 0, 0, 0, 1, 2])):
        at = rng.randrange(len(words) + 1)
        words[at:at + rng.choice([0, 0, 1])] = [rng.choice(LOUD)]
    plain = rng.random() < 0.3
    out = "" if plain else rng.choice(["", *QUIET])
    for word in words:
        out += word.upper() if rng.random() < 0.2 and "'" not in word else word
        out += " " if plain or rng.random() < 0.6 else rng.choice(QUIET)
    return out


class Failed(Exception):
    pass


class Raises(ErrorListener):
    def syntaxError(self, recognizer, symbol, line, column, message, error):
        raise Failed(message)


class Folded(InputStream):
    """Looked at in upper case, as Trino does; of letters outside of ASCII none becomes one inside."""

    def LA(self, offset):
        code = super().LA(offset)
        return code - 32 if 97 <= code <= 122 else code


KINDS = {
    Lexer.QUOTED_IDENTIFIER: "q", Lexer.BACKQUOTED_IDENTIFIER: "b", Lexer.DIGIT_IDENTIFIER: "d", Lexer.STRING: "s",
    Lexer.UNICODE_STRING: "u", Lexer.BINARY_LITERAL: "x", Lexer.INTEGER_VALUE: "n", Lexer.DECIMAL_VALUE: "n", Lexer.DOUBLE_VALUE: "n",
}


def kind(token):
    if token.type in KINDS:
        return KINDS[token.type]
    if token.text[0].isascii() and (token.text[0].isalpha() or token.text[0] == "_"):
        return "w"
    return token.text if token.text in "?();" else "y"


def lexed(text):
    """The tokens before the first error, as kind, beginning and end in characters; and where the error is."""
    lexer = Lexer(Folded(text))
    lexer.removeErrorListeners()
    lexer.addErrorListener(Raises())
    found = []
    while (token := lexer.nextToken()).type != Token.EOF:
        if token.channel != Token.DEFAULT_CHANNEL:
            continue
        if token.type == Lexer.UNRECOGNIZED and token.text != ";":
            return found, token.start
        if text[token.start:token.start + 2] == "/*":  # one with an end would be a comment
            return found, token.start
        found.append((kind(token), token.start, token.stop + 1))
    return found, None


def statement(text, tokens, error):
    if error is not None:
        return "unread"
    meant = [token for token in tokens if token[0] != ";"]
    if not meant:
        return "empty"
    if any(token[0] == ";" and token[1] < meant[-1][1] for token in tokens):
        return "several"
    # The parser has rules for these to say better what is wrong with them.
    if any(token[0] in "bd" or text[token[1]:token[2]] == '""' for token in meant):
        return "refused"
    lexer = Lexer(Folded(text[:meant[-1][2]]))
    parser = Parser(CommonTokenStream(lexer))
    parser.removeErrorListeners()
    parser.addErrorListener(Raises())
    try:
        tree = parser.singleStatement().statement()
    except Failed:
        return "refused"
    ordered = " ordered" if type(tree) is Parser.StatementDefaultContext and is_ordered(tree.query().queryNoWith()) else ""
    return f"{what(tree)} {parameters(tree)}{ordered}"


def what(tree):
    name = type(tree).__name__.removesuffix("Context")
    if name == "StatementDefault":
        return "query"
    if name == "Explain":
        # What is explained is not run. An EXPLAIN ANALYZE in it would not be either, but nobody needs that.
        inner = tree.statement()
        return what(inner) if isinstance(inner, (Parser.ExplainContext, Parser.ExplainAnalyzeContext)) else "text"
    if name == "ExplainAnalyze":
        return "text" if what(tree.statement()) == "query" else "writes"
    return "text" if name.startswith(("Show", "Describe")) else "writes"


def parameters(tree):
    """Not the question marks of row patterns."""
    if isinstance(tree, Parser.ParameterContext):
        return 1
    if isinstance(tree, Parser.RowCountContext):
        return int(tree.QUESTION_MARK() is not None)
    return sum(parameters(child) for child in getattr(tree, "children", None) or [])


def is_ordered(query):
    if query.ORDER():
        return True
    term = query.queryTerm()
    primary = term.queryPrimary() if isinstance(term, Parser.QueryTermDefaultContext) else None
    return isinstance(primary, Parser.SubqueryContext) and is_ordered(primary.queryNoWith())


def line(text):
    tokens, error = lexed(text)
    at = lambda place: len(text[:place].encode())
    shown = [f"{kind}{at(start)}-{at(end)}" for kind, start, end in tokens] + ([f"!{at(error)}"] if error is not None else [])
    return "\t".join([json.dumps(text), " ".join(shown), statement(text, tokens, error)])


if __name__ == "__main__":
    print("# Made by tests/clients/lexer_corpus.py, which says what is what.")
    for text in texts():
        print(line(text))
