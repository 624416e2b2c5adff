//! A result's handle as the message inside of its ticket, and back.

use crate::flight::messages::{self, ResultTicket, result_ticket};
use crate::gateway::{ResultHandle, Rows};
use crate::statement::QueryId;
use crate::types::AthenaType;
use crate::types::column::Column;

pub fn message(handle: &ResultHandle) -> ResultTicket {
    let column = |column: &Column| messages::Column {
        name: column.name.clone(),
        r#type: column.data_type.to_string(),
        as_text: column.as_text,
    };
    let rows = match &handle.rows {
        Rows::Pages => None,
        Rows::Csv { location, size, etag } => {
            let csv = messages::CsvObject { location: location.clone(), size: *size, etag: etag.clone() };
            Some(result_ticket::Rows::Csv(csv))
        }
        Rows::Files { manifest, prefix, part, parts } => {
            let (manifest, prefix) = (manifest.clone(), prefix.clone());
            Some(result_ticket::Rows::Files(messages::UnloadFiles { manifest, prefix, part: *part, parts: *parts }))
        }
    };
    ResultTicket {
        query_id: handle.id.as_str().to_owned(),
        statement_type: handle.statement_type.clone(),
        substatement_type: handle.substatement_type.clone(),
        update_count: handle.update_count,
        expires_at: handle.expires_at,
        columns: handle.columns.iter().flat_map(|columns| columns.iter().map(column)).collect(),
        rows,
    }
}

/// `None` for a message that no gateway of this version makes.
pub fn handle(ticket: ResultTicket) -> Option<ResultHandle> {
    let column = |column: messages::Column| {
        let data_type = AthenaType::parse(&column.r#type).ok()?;
        Some(Column { name: column.name, data_type, as_text: column.as_text })
    };
    let columns: Option<Vec<Column>> = ticket.columns.into_iter().map(column).collect();
    Some(ResultHandle {
        id: QueryId::new(ticket.query_id),
        statement_type: ticket.statement_type,
        substatement_type: ticket.substatement_type,
        update_count: ticket.update_count,
        columns: columns.filter(|columns| !columns.is_empty()).map(Into::into),
        rows: match ticket.rows {
            None => Rows::Pages,
            Some(result_ticket::Rows::Csv(csv)) => Rows::Csv { location: csv.location, size: csv.size, etag: csv.etag },
            Some(result_ticket::Rows::Files(messages::UnloadFiles { manifest, prefix, part, parts })) => {
                Rows::Files { manifest, prefix, part, parts }
            }
        },
        expires_at: ticket.expires_at,
    })
}
