//! Result reuse: a statement answered with the rows of an earlier one (athena-behaviour, section 2).

use serde_json::Value;

use super::{ResultReuse, Shared};
use crate::emulator::api::ApiError;
use crate::emulator::model::{Execution, State, now};
use crate::emulator::results::size_of;

/// The oldest result that may be used again, in minutes (athena-behaviour, section 2).
const MAX_REUSE_MINUTES: i64 = 10_080;

pub(super) fn reuse(asked: Option<ResultReuse>) -> Result<Option<i64>, ApiError> {
    let by_age = asked.and_then(|asked| asked.result_reuse_by_age_configuration).filter(|by_age| by_age.enabled);
    match by_age.map(|by_age| by_age.max_age_in_minutes.unwrap_or(60)) {
        Some(minutes) if !(0..=MAX_REUSE_MINUTES).contains(&minutes) => Err(ApiError::invalid_input(format!(
            "1 validation error detected: Value '{minutes}' at \
             'resultReuseConfiguration.resultReuseByAgeConfiguration.maxAgeInMinutes' failed to satisfy constraint: Member \
             must have value less than or equal to {MAX_REUSE_MINUTES}"
        ))),
        minutes => Ok(minutes),
    }
}

impl Shared {
    /// An earlier query whose rows may be used again: the same text, context, workgroup and place, young enough.
    pub(super) fn reusable(&self, execution: &Execution) -> Result<Option<Execution>, ApiError> {
        let Some(minutes) = execution.reuse_minutes.filter(|_| execution.may_be_reused()) else { return Ok(None) };
        let Some(id) = self.store.reusable(&execution.reuse_key())? else { return Ok(None) };
        let earlier = self.store.execution(&id)?;
        let fits = |earlier: &Execution| {
            let age = now() - earlier.completed.unwrap_or_default();
            earlier.state == State::Succeeded
                && age <= minutes as f64 * 60.0
                && earlier.output_location.as_deref().is_some_and(|place| size_of(&self.buckets, place).is_some())
        };
        Ok(earlier.filter(fits))
    }
}

impl Execution {
    pub(super) fn may_be_reused(&self) -> bool {
        self.substatement == "SELECT" && !self.managed
    }

    /// What has to be the same for rows to be used again.
    pub(super) fn reuse_key(&self) -> String {
        let parts = [
            self.workgroup.as_str(),
            self.catalog.as_deref().unwrap_or_default(),
            self.database.as_deref().unwrap_or_default(),
            self.output_folder.as_str(),
            self.sql.as_str(),
        ];
        let encryption = self.encryption.as_ref().map(Value::to_string).unwrap_or_default();
        let parameters = self.parameters.iter().map(String::as_str);
        let all: Vec<&str> = parts.into_iter().chain([encryption.as_str()]).chain(parameters).collect();
        all.join("\u{0}")
    }

    /// Ends at once with the rows of an earlier query.
    pub(super) fn reuse(&mut self, earlier: Self) {
        self.state = State::Succeeded;
        self.completed = Some(now());
        self.output_location = earlier.output_location;
        self.columns = earlier.columns;
        self.update_count = earlier.update_count;
        self.output_rows = earlier.output_rows;
        self.output_bytes = earlier.output_bytes;
        self.reused = true;
    }
}
