//! Statements are read as Trino's own lexer reads them: by the gateway, which has to know what may write, and by the endpoint.

use std::fmt::Write as _;

use arrow::array::AsArray;
use athena_flight::catalog::Scope;
use athena_flight::gateway::Limits;
use athena_flight::sql::{self, Kind};
use athena_flight::statement::{Class, Statement, bind};

use crate::endpoint::{finish, start};
use crate::server::Server;

/// What Trino's grammar says about hostile texts: `tests/clients/lexer_corpus.py` makes it and says how it is written.
const CORPUS: &str = include_str!("lexer.tsv");

/// The texts, their tokens and what they are.
fn corpus() -> Vec<(String, &'static str, Vec<&'static str>)> {
    let read = |line: &'static str| {
        let mut fields = line.split('\t');
        let text = serde_json::from_str(fields.next().unwrap_or_default()).expect("a JSON string");
        let tokens = fields.next().expect("tokens");
        (text, tokens, fields.next().expect("a statement").split(' ').collect())
    };
    let lines: Vec<_> = CORPUS.lines().skip(1).map(read).collect();
    assert!(lines.len() >= 3000, "{} texts", lines.len());
    lines
}

/// Our tokens as the corpus has them.
fn lexed(text: &str) -> String {
    let mut shown = String::new();
    for token in sql::tokens(text) {
        let kind = match token.kind {
            Kind::Word => "w",
            Kind::DigitWord => "d",
            Kind::QuotedName => "q",
            Kind::BackquotedName => "b",
            Kind::String => "s",
            Kind::UnicodeString => "u",
            Kind::Binary => "x",
            Kind::Number => "n",
            Kind::Unterminated | Kind::Unrecognized => {
                write!(shown, " !{}", token.start).expect("a string takes it");
                break;
            }
            // Which of them are parameters is for the parser to say.
            _ if token.text == "?" => "?",
            Kind::Open | Kind::Close | Kind::Semicolon => token.text,
            Kind::Placeholder | Kind::Symbol => "y",
        };
        write!(shown, " {kind}{}-{}", token.start, token.end()).expect("a string takes it");
    }
    shown.trim_start().to_owned()
}

#[test]
fn tokens_are_those_of_trinos_lexer() {
    for (text, tokens, _) in corpus() {
        assert_eq!(lexed(&text), tokens, "{text:?}");
    }
}

#[test]
fn statements_are_what_trinos_parser_says() {
    for (text, tokens, said) in corpus() {
        let statement = Statement::of(&text);
        let is_sent_alone = statement.class == Class::Definition && statement.may_write && !statement.takes_values;
        match said[0] {
            "query" => {
                assert_eq!((statement.class, statement.may_write), (Class::Query, false), "{text:?}");
                // It may be said of queries without an order, never the other way round.
                assert!(statement.is_ordered || said.get(2) != Some(&"ordered"), "{text:?}");
            }
            "text" => assert_eq!((statement.class, statement.may_write), (Class::Text, false), "{text:?}"),
            "writes" => assert!(statement.may_write && statement.class != Class::Query, "{text:?}"),
            "several" | "unread" => assert!(is_sent_alone, "{text:?}: {statement:?}"),
            "empty" => assert!(statement.is_empty && !statement.may_write, "{text:?}"),
            "refused" => assert!(!statement.is_empty, "{text:?}"),
            other => panic!("{other}"),
        }
        if let Some(parameters) = said.get(1) {
            assert_eq!(statement.placeholders.to_string(), *parameters, "{text:?}");
            assert_eq!(bind::placeholders(&text).len(), statement.placeholders, "{text:?}");
            let last = tokens.split(' ').rfind(|token| !token.starts_with(';')).expect("a token");
            assert_eq!(last.rsplit('-').next(), Some(statement.end.to_string().as_str()), "{text:?}");
        }
    }
}

/// What is put around a query does not change what it is, whatever it ends in.
#[test]
fn queries_stay_whole_in_what_is_put_around_them() {
    let columns = [athena_flight::types::column::Column::new("a", athena_flight::types::AthenaType::Integer)];
    for (text, _, _) in corpus().into_iter().filter(|(_, _, said)| said[0] == "query") {
        let statement = Statement::of(&text);
        let explained = Statement::of(&athena_flight::statement::describe::explain(&bind::without_values(&text)));
        assert_eq!((explained.class, explained.may_write, explained.placeholders), (Class::Text, false, 0), "{text:?}");
        let query = &text[..statement.end];
        let unload =
            athena_flight::statement::unload::wrap(query, &columns, "s3://b/p/").expect("integers are carried");
        let wrapped = Statement::of(&unload);
        assert_eq!((wrapped.class, wrapped.placeholders), (Class::Update, statement.placeholders), "{text:?}");
        assert_eq!(wrapped.end, unload.len(), "{text:?}");
    }
}

/// A column of numbers, where the first result is.
async fn numbers(server: &Server, sql: &str) -> Vec<Vec<i32>> {
    let batches = server.query(sql).await;
    let columns = batches.iter().flat_map(|batch| batch.columns());
    columns.map(|column| column.as_primitive::<arrow::datatypes::Int32Type>().values().to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_end_at_a_carriage_return() {
    let server = Server::empty().await;
    assert_eq!(numbers(&server, "select 1 as a -- one\r, 2 as b").await, [[1], [2]]);
    assert_eq!(numbers(&server, "-- x\rselect /* /* */ 3 as a --").await, [[3]]);
    assert_eq!(numbers(&server, "-- ?\rselect 4 as a /* -- */ ;\r\n").await, [[4]]);
    for sql in [
        "create database d",
        "create view d.v as -- v\rselect 5 as a -- five\r, 6 as b -- six",
        "prepare p from -- p\rselect 7 as a -- ?\r, 8 as b -- eight\r",
    ] {
        let id = start(&server, sql).await;
        let execution = finish(&server, &id).await;
        assert_eq!(execution.status().expect("a status").athena_error(), None, "{sql}");
    }
    assert_eq!(numbers(&server, "select * from d.v").await, [[5], [6]]);
    assert_eq!(numbers(&server, "-- x\rexecute p -- y\r").await, [[7], [8]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unload_ends_where_the_query_does() {
    let server = Server::demo().await;
    for sql in [
        "select array['a'] as x -- c\runion all select array['b']",
        "select array['a'] as x union all select array['b'] -- c",
        "select array['a'] as x /* /* */ union all select array['b'] -- c\r;",
    ] {
        let batches = server.query_with(sql, &[("x-athena-result-path", "unload")]).await;
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2, "{sql:?}");
        assert!(matches!(batches[0].schema().field(0).data_type(), arrow::datatypes::DataType::List(_)), "{sql:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_comment_hides_what_a_statement_does() {
    let hidden = [
        "-- x\rinsert into tpch.region values (9, 'any', 'any')\n, (10, 'any', 'any')",
        "-- select\rinsert into tpch.region values (9, 'any', 'any')",
        "select 1; insert into tpch.region values (9, 'any', 'any')",
        "explain -- \ranalyze -- \rinsert into tpch.region values (9, 'any', 'any')",
        "\u{feff}insert into tpch.region values (9, 'any', 'any')",
        "select 'a\\' from tpch.region -- '\r; insert into tpch.region values (9, 'any', 'any')",
    ];
    let fenced = Limits { scope: Scope::new(&[], &["tpch".to_owned()]), ..Limits::default() };
    for limits in [Limits { read_only: true, ..Limits::default() }, fenced] {
        let server = Server::with_limits(limits).await;
        for sql in hidden {
            let refused = server.client().await.execute(sql.to_owned(), None).await.expect_err(sql).to_string();
            assert!(refused.contains("only reads"), "{sql:?}: {refused}");
        }
        assert_eq!(server.query("-- x\rselect 1 as a").await[0].num_rows(), 1);
        // The endpoint takes it for what it is.
        let id = start(&server, hidden[0]).await;
        let execution = finish(&server, &id).await;
        assert_eq!(execution.substatement_type(), Some("INSERT"));
        assert_eq!(execution.status().expect("a status").athena_error(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_trino_cannot_read_is_refused_where_it_is() {
    let server = Server::empty().await;
    for (sql, expected) in [
        ("select\u{a0}1", "line 1:7: mismatched input '\u{a0}'"),
        ("\u{feff}select 1", "line 1:1: mismatched input '\u{feff}'"),
        ("select 1,\n  'a", "line 2:3: mismatched input '''"),
        ("select 1 /* /* */ */", "line 1:20: mismatched input '/'"),
        ("select `a` from t", "line 1:8: backquoted identifiers are not supported"),
        ("prepare p from select \u{3000}1", "line 1:23: mismatched input '\u{3000}'"),
        (
            "unload (select \u{c}1) to 's3://athena-flight-results/x/' with (format = 'JSON')",
            "line 1:16: mismatched input",
        ),
    ] {
        let refused = server.client().await.execute(sql.to_owned(), None).await.expect_err(sql).to_string();
        // The client shows the message as Rust does.
        let expected = format!("{expected:?}");
        assert!(refused.contains(expected.trim_matches('"')), "{sql:?}: {refused}");
    }
}

#[test]
fn long_hostile_texts_are_read_once() {
    for piece in [
        "'",
        "u&'",
        "x'",
        "/*",
        "/**/",
        "--",
        "--\r",
        "1e",
        "1_",
        ".",
        "(",
        "pattern(",
        "?",
        "\u{a0}",
        ";",
        "{-",
        "with a as (",
        "order by ",
    ] {
        let text = piece.repeat((256 << 10) / piece.len());
        let statement = Statement::of(&text);
        // Were any of this quadratic, it would take until the test is killed.
        assert_eq!(statement.placeholders, bind::placeholders(&text).len(), "{piece}");
        assert!(bind::without_values(&text).len() >= text.len(), "{piece}");
    }
}
