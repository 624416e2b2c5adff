//! The table of expressions: value, type and text as Trino gives them.

use futures::{StreamExt, stream};

use crate::endpoint::{finish, start};
use crate::server::Server;

const TABLE: &str = include_str!("expressions.tsv");

#[tokio::test(flavor = "multi_thread")]
async fn expressions_have_trinos_value_type_and_text() {
    let server = Server::empty().await;
    let lines: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(lines.len() >= 250, "the table has {} lines", lines.len());
    let wrong: Vec<String> = stream::iter(lines)
        .map(|line| {
            let server = &server;
            async move {
                let (expression, expected) = (line[0], &line[1..]);
                let failure = expected[0].strip_prefix('!');
                let sql = match failure {
                    Some(_) => format!("SELECT {expression}"),
                    None => format!("SELECT typeof({expression}), {expression}"),
                };
                let found = answer(server, &sql).await;
                let fits = match (&found, failure) {
                    (Ok(found), None) => {
                        let wanted = [Some(expected[0]), Some(expected[1]).filter(|text| *text != "NULL")];
                        found.iter().map(Option::as_deref).eq(wanted)
                    }
                    (Err(reason), Some(name)) => reason.starts_with(&format!("{name}:")),
                    _ => false,
                };
                (!fits).then(|| format!("{expression}\n  expected {expected:?}\n  found {found:?}"))
            }
        })
        .buffered(8)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} expressions are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The values of a query's only row, or why it failed.
async fn answer(server: &Server, sql: &str) -> Result<Vec<Option<String>>, String> {
    let id = start(server, sql).await;
    let execution = finish(server, &id).await;
    let status = execution.status().expect("a status");
    if status.athena_error().is_some() {
        return Err(status.state_change_reason().unwrap_or_default().to_owned());
    }
    let results = server.clients.athena.get_query_results().query_execution_id(id).send().await.expect("results");
    let rows = results.result_set().expect("a set").rows();
    Ok(rows[1].data().iter().map(|datum| datum.var_char_value().map(str::to_owned)).collect())
}
