//! The type that values of several types meet in.

use super::{array_of, varchar};
use crate::types::AthenaType::{self, *};
use crate::types::RowField;

/// The type that values of both can be turned into without loss of meaning.
pub fn common(a: &AthenaType, b: &AthenaType) -> Option<AthenaType> {
    if a == b || *b == Unknown {
        return Some(a.clone());
    }
    if *a == Unknown {
        return Some(b.clone());
    }
    let rank = |t: &AthenaType| match t {
        Tinyint => Some(0),
        Smallint => Some(1),
        Integer => Some(2),
        Bigint => Some(3),
        Decimal { .. } => Some(4),
        Real => Some(5),
        Double => Some(6),
        _ => None,
    };
    let digits = |t: &AthenaType| match t {
        Tinyint => Some((3, 0)),
        Smallint => Some((5, 0)),
        Integer => Some((10, 0)),
        Bigint => Some((19, 0)),
        Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    };
    match (a, b) {
        (Varchar(_) | Char(_), Varchar(_) | Char(_)) => Some(varchar()),
        (Date, Timestamp(p)) | (Timestamp(p), Date) => Some(Timestamp(*p)),
        (Date | Timestamp(_), TimestampWithTimeZone(p)) | (TimestampWithTimeZone(p), Date | Timestamp(_)) => {
            Some(TimestampWithTimeZone(*p))
        }
        (Timestamp(p), Timestamp(q)) => Some(Timestamp((*p).max(*q))),
        (TimestampWithTimeZone(p), TimestampWithTimeZone(q)) => Some(TimestampWithTimeZone((*p).max(*q))),
        (Array(Some(a)), Array(Some(b))) => common(a, b).map(array_of),
        (Map(Some(a)), Map(Some(b))) => Some(Map(Some(Box::new((common(&a.0, &b.0)?, common(&a.1, &b.1)?))))),
        (Row(Some(a)), Row(Some(b))) if a.len() == b.len() => {
            let fields = a.iter().zip(b).map(|(a, b)| {
                let name = a.name.clone().filter(|name| Some(name) == b.name.as_ref());
                Some(RowField { name, data_type: common(&a.data_type, &b.data_type)? })
            });
            Some(Row(Some(fields.collect::<Option<_>>()?)))
        }
        _ => match (rank(a)?, rank(b)?) {
            (4, other) | (other, 4) if other <= 4 => {
                let ((p1, s1), (p2, s2)) = (digits(a)?, digits(b)?);
                let scale = s1.max(s2);
                let precision = ((p1 - s1).max(p2 - s2) + scale).min(38);
                Some(Decimal { precision, scale })
            }
            (x, y) => Some(if x >= y { a.clone() } else { b.clone() }),
        },
    }
}
