//! Handles that clients carry: protobuf messages signed with the gateway's key, so that nothing has to be remembered and
//! nothing can be made up.

mod result_ticket;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;
use tonic::Status;

use super::messages::{self, NoRowsTicket, PollHandle, PreparedHandle, ResultTickets, SessionCookie, Signed};
use super::prepared::Values;
use crate::gateway::ResultHandle;
use crate::statement::values::{Row, Types, Value};

/// How long a prepared statement can be run.
const PREPARED_LIFETIME_SECONDS: i64 = 24 * 3600;

/// The key that handles are signed with.
#[derive(Clone)]
pub struct Keys {
    mac: Hmac<Sha256>,
    /// Whose it is, where handles are of those who signed in.
    has_owner: bool,
}

/// A prepared statement, as its handle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub sql: String,
    /// Tells statements with the same text apart.
    pub nonce: Bytes,
    /// What was bound to it; a statement without parameters has none.
    pub values: Values,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// A key that no other gateway has.
    pub fn random() -> Self {
        Self::of(&[uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat())
    }

    /// The key that gateways share which are to take each other's handles.
    pub fn of(key: &[u8]) -> Self {
        Self { mac: Hmac::new_from_slice(key).expect("HMAC takes keys of any length"), has_owner: false }
    }

    /// The key of one principal: what it signs is good for nobody else.
    pub fn of_principal(&self, name: &str) -> Self {
        Self { has_owner: true, ..Self::of(&self.derive("principal", name)) }
    }

    /// A key for something else than handles.
    pub fn derive(&self, purpose: &str, name: &str) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in [DERIVED, purpose, name] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }

    /// The ticket of results, to be put into TicketStatementQuery.
    pub fn result_ticket(&self, handles: &[ResultHandle]) -> Bytes {
        self.sign(RESULT, &ResultTickets { results: handles.iter().map(result_ticket::message).collect() })
    }

    pub fn read_result_ticket(&self, bytes: &[u8]) -> Result<Vec<ResultHandle>, Status> {
        let ResultTickets { results } = self.open(RESULT, "ticket", bytes)?;
        results.iter().try_for_each(|ticket| check_time("ticket", ticket.expires_at))?;
        let handles: Option<Vec<_>> = results.into_iter().map(result_ticket::handle).collect();
        handles.filter(|handles| !handles.is_empty()).ok_or_else(|| not_ours("ticket"))
    }

    /// The handle of a statement that is prepared now.
    pub fn prepare(&self, sql: &str) -> Bytes {
        let nonce = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        self.prepared_handle(Prepared { sql: sql.to_owned(), nonce, values: Values::default() })
    }

    pub fn prepared_handle(&self, prepared: Prepared) -> Bytes {
        let expires_at = now() + PREPARED_LIFETIME_SECONDS;
        let Prepared { sql, nonce, values: Values { types, rows } } = prepared;
        let literals = |row: Row| row.into_iter().map(|value| value.literal).collect();
        let rows = rows.into_iter().map(|row| messages::Values { literals: literals(row) }).collect();
        let types = types.into_iter().map(|name| name.as_deref().unwrap_or_default().to_owned()).collect();
        self.sign(PREPARED, &PreparedHandle { sql, expires_at, nonce: nonce.to_vec(), rows, types })
    }

    pub fn read_prepared_handle(&self, bytes: &[u8]) -> Result<Prepared, Status> {
        let handle: PreparedHandle = self.open(PREPARED, "prepared statement handle", bytes)?;
        check_time("prepared statement handle", handle.expires_at)?;
        let types: Types =
            handle.types.iter().map(|name| Some(name.as_str().into()).filter(|_| !name.is_empty())).collect();
        let value = |(i, literal)| Value { literal, data_type: types.get(i).cloned().flatten() };
        let row = |row: messages::Values| row.literals.into_iter().enumerate().map(value).collect();
        let rows = handle.rows.into_iter().map(row).collect();
        Ok(Prepared { sql: handle.sql, nonce: handle.nonce.into(), values: Values { types, rows } })
    }

    /// The ticket of a result that no query was run for, with the message of its schema.
    pub fn no_rows_ticket(&self, schema: Bytes) -> Bytes {
        let expires_at = now() + PREPARED_LIFETIME_SECONDS;
        self.sign(NO_ROWS, &NoRowsTicket { schema: schema.to_vec(), expires_at })
    }

    /// The message of the schema, if it is such a ticket.
    pub fn read_no_rows_ticket(&self, bytes: &[u8]) -> Option<Result<Bytes, Status>> {
        let ticket: NoRowsTicket = self.open(NO_ROWS, "ticket", bytes).ok()?;
        Some(check_time("ticket", ticket.expires_at).map(|()| ticket.schema.into()))
    }

    /// The cookie of a session that its client changed so.
    pub fn session_cookie(&self, options: BTreeMap<String, String>, lifetime_seconds: i64) -> Bytes {
        let expires_at = now() + lifetime_seconds;
        self.sign(SESSION, &SessionCookie { options: options.into_iter().collect(), expires_at })
    }

    pub fn read_session_cookie(&self, bytes: &[u8]) -> Result<BTreeMap<String, String>, Status> {
        let cookie: SessionCookie = self.open(SESSION, "session cookie", bytes)?;
        check_time("session cookie", cookie.expires_at)?;
        Ok(cookie.options.into_iter().collect())
    }

    /// The descriptor's bytes of a statement that is followed.
    pub fn poll_handle(&self, id: &[u8], expires_at: i64) -> Bytes {
        self.sign(POLL, &PollHandle { id: id.to_vec(), expires_at })
    }

    pub fn read_poll_handle(&self, bytes: &[u8]) -> Result<Vec<u8>, Status> {
        let handle: PollHandle = self.open(POLL, "descriptor", bytes)?;
        check_time("descriptor", handle.expires_at)?;
        Ok(handle.id)
    }

    fn sign<M: Message>(&self, kind: &str, message: &M) -> Bytes {
        let payload = message.encode_to_vec();
        let mac = self.mac(kind, &payload).finalize().into_bytes().to_vec();
        Signed { payload, mac }.encode_to_vec().into()
    }

    fn open<M: Message + Default>(&self, kind: &str, what: &str, bytes: &[u8]) -> Result<M, Status> {
        let refuse = || if self.has_owner { not_yours(what) } else { not_ours(what) };
        let signed = Signed::decode(bytes).map_err(|_| refuse())?;
        self.mac(kind, &signed.payload).verify_slice(&signed.mac).map_err(|_| refuse())?;
        M::decode(signed.payload.as_slice()).map_err(|_| refuse())
    }

    /// The kind is signed too, so that one kind of handle cannot be passed off as another.
    fn mac(&self, kind: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(payload);
        mac
    }
}

const RESULT: &str = "ResultTickets";
const NO_ROWS: &str = "NoRowsTicket";
const PREPARED: &str = "PreparedHandle";
const SESSION: &str = "SessionCookie";
const POLL: &str = "PollHandle";
/// No kind of handle.
const DERIVED: &str = "derived key";

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

fn not_ours(what: &str) -> Status {
    Status::invalid_argument(format!("the {what} was not made by this server, nor by one with the same signing key"))
}

fn not_yours(what: &str) -> Status {
    Status::permission_denied(format!("the {what} is not one that was made for you, with the key of this server"))
}

fn check_time(what: &str, expires_at: i64) -> Result<(), Status> {
    if expires_at < now() { Err(Status::not_found(format!("the {what} has expired: begin anew"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Rows;
    use crate::statement::QueryId;
    use crate::types::AthenaType;
    use crate::types::column::Column;

    fn handle() -> ResultHandle {
        ResultHandle {
            id: QueryId::new("q"),
            statement_type: "DML".to_owned(),
            substatement_type: "SELECT".to_owned(),
            update_count: Some(0),
            columns: Some([Column::new("a", AthenaType::parse("row(\"x y\" array(date))").expect("a type"))].into()),
            rows: Rows::Csv { location: "s3://a/q.csv".to_owned(), size: 7, etag: Some("e".to_owned()) },
            expires_at: i64::MAX,
        }
    }

    #[test]
    fn what_was_bound_comes_back() {
        let keys = Keys::random();
        let prepared = |values| Prepared { sql: "select ?, ?".to_owned(), nonce: Bytes::from_static(b"n"), values };
        let types: Types = vec![Some("bigint".into()), None];
        let value = |literal: &str, data_type: &Option<std::sync::Arc<str>>| Value {
            literal: literal.to_owned(),
            data_type: data_type.clone(),
        };
        let row = vec![value("BIGINT '1'", &types[0]), value("NULL", &types[1])];
        for (values, are_bound, is_for_no_rows) in [
            (Values::default(), false, false),
            (Values { types: types.clone(), rows: Vec::new() }, true, true),
            (Values { types, rows: vec![row] }, true, false),
            // As gateways made them that did not know types.
            (Values { types: Vec::new(), rows: vec![vec![value("1", &None), value("NULL", &None)]] }, true, false),
        ] {
            assert_eq!((values.are_bound(), values.is_for_no_rows()), (are_bound, is_for_no_rows), "{values:?}");
            let handle = keys.prepared_handle(prepared(values.clone()));
            assert_eq!(keys.read_prepared_handle(&handle).expect("its own").values, values);
        }
        let ticket = keys.no_rows_ticket(Bytes::from_static(b"schema"));
        let read = keys.read_no_rows_ticket(&ticket).expect("such a ticket");
        assert_eq!(read.expect("not expired"), "schema");
        assert!(keys.read_no_rows_ticket(&keys.result_ticket(&[handle()])).is_none());
    }

    #[test]
    fn handles_come_back_and_nothing_else_does() {
        let keys = Keys::random();
        let handles = vec![handle(), handle()];
        let ticket = keys.result_ticket(&handles);
        assert_eq!(keys.read_result_ticket(&ticket).ok(), Some(handles.clone()));
        assert!(Keys::random().read_result_ticket(&ticket).is_err());
        assert!(keys.read_prepared_handle(&ticket).is_err(), "a ticket is not a prepared statement");
        for at in 0..ticket.len() {
            let mut changed = ticket.to_vec();
            changed[at] ^= 1;
            let read = keys.read_result_ticket(&changed);
            assert!(read.is_err() || read.ok() == Some(handles.clone()), "byte {at} changed what the ticket says");
        }
        assert!(keys.read_result_ticket(b"").is_err());
        let (ann, bob) = (keys.of_principal("ann"), keys.of_principal("bob"));
        let ticket = ann.result_ticket(&handles);
        assert!(
            ann.read_result_ticket(&ticket).is_ok() && keys.of_principal("ann").read_result_ticket(&ticket).is_ok()
        );
        assert_eq!(bob.read_result_ticket(&ticket).expect_err("not bob's").code(), tonic::Code::PermissionDenied);
        assert!(keys.read_result_ticket(&ticket).is_err());
    }
}
