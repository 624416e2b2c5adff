//! Handles that clients carry: protobuf messages signed with the gateway's key, so that nothing has to be remembered and
//! nothing can be made up.

mod result_ticket;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;
use tonic::Status;

use super::messages::{PreparedHandle, ResultTicket, Signed};
use crate::gateway::ResultHandle;

/// How long a prepared statement can be run.
const PREPARED_LIFETIME_SECONDS: i64 = 24 * 3600;

/// The key that handles are signed with.
#[derive(Clone)]
pub struct Keys(Hmac<Sha256>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// A key that no other gateway has.
    pub fn random() -> Self {
        let key = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length"))
    }

    /// The ticket of a result, to be put into TicketStatementQuery.
    pub fn result_ticket(&self, handle: &ResultHandle) -> Bytes {
        self.sign(RESULT, &result_ticket::message(handle))
    }

    pub fn read_result_ticket(&self, bytes: &[u8]) -> Result<ResultHandle, Status> {
        let ticket: ResultTicket = self.open(RESULT, "ticket", bytes)?;
        check_time("ticket", ticket.expires_at)?;
        result_ticket::handle(ticket).ok_or_else(|| not_ours("ticket"))
    }

    pub fn prepared_handle(&self, sql: &str) -> Bytes {
        let expires_at = now() + PREPARED_LIFETIME_SECONDS;
        self.sign(PREPARED, &PreparedHandle { sql: sql.to_owned(), expires_at })
    }

    /// The text of a prepared statement.
    pub fn read_prepared_handle(&self, bytes: &[u8]) -> Result<String, Status> {
        let handle: PreparedHandle = self.open(PREPARED, "prepared statement handle", bytes)?;
        check_time("prepared statement handle", handle.expires_at)?;
        Ok(handle.sql)
    }

    fn sign<M: Message>(&self, kind: &str, message: &M) -> Bytes {
        let payload = message.encode_to_vec();
        let mac = self.mac(kind, &payload).finalize().into_bytes().to_vec();
        Signed { payload, mac }.encode_to_vec().into()
    }

    fn open<M: Message + Default>(&self, kind: &str, what: &str, bytes: &[u8]) -> Result<M, Status> {
        let refuse = || not_ours(what);
        let signed = Signed::decode(bytes).map_err(|_| refuse())?;
        self.mac(kind, &signed.payload).verify_slice(&signed.mac).map_err(|_| refuse())?;
        M::decode(signed.payload.as_slice()).map_err(|_| refuse())
    }

    /// The kind is signed too, so that one kind of handle cannot be passed off as another.
    fn mac(&self, kind: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(payload);
        mac
    }
}

const RESULT: &str = "ResultTicket";
const PREPARED: &str = "PreparedHandle";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

fn not_ours(what: &str) -> Status {
    Status::invalid_argument(format!("the {what} was not made by this server"))
}

fn check_time(what: &str, expires_at: i64) -> Result<(), Status> {
    if expires_at < now() {
        Err(Status::not_found(format!("the {what} has expired: run the statement again")))
    } else {
        Ok(())
    }
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
    fn handles_come_back_and_nothing_else_does() {
        let keys = Keys::random();
        let ticket = keys.result_ticket(&handle());
        assert_eq!(keys.read_result_ticket(&ticket).ok(), Some(handle()));
        assert!(Keys::random().read_result_ticket(&ticket).is_err());
        assert!(keys.read_prepared_handle(&ticket).is_err(), "a ticket is not a prepared statement");
        for at in 0..ticket.len() {
            let mut changed = ticket.to_vec();
            changed[at] ^= 1;
            let read = keys.read_result_ticket(&changed);
            assert!(read.is_err() || read.ok() == Some(handle()), "byte {at} changed what the ticket says");
        }
        assert!(keys.read_result_ticket(b"").is_err());
    }
}
