//! Removes the files of UNLOADs whose time is over, by whichever gateway comes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::super::object::S3Uri;
use super::prefix;
use crate::aws::{AwsError, Clients};

/// Output locations that are looked after; more are left to their bucket's lifecycle rule.
const MAX_OUTPUTS: usize = 256;

/// The output locations whose files are looked after, each with the clients that used it last.
#[derive(Debug, Clone, Default)]
pub struct Outputs(Arc<Mutex<BTreeMap<String, Clients>>>);

impl Outputs {
    /// Looks after an output location from now on.
    pub fn add(&self, output: &str, clients: &Clients) {
        let mut outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if outputs.len() < MAX_OUTPUTS || outputs.contains_key(output) {
            outputs.insert(output.to_owned(), clients.clone());
        }
    }

    fn all(&self) -> Vec<(String, Clients)> {
        let outputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.iter().map(|(output, clients)| (output.clone(), clients.clone())).collect()
    }
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

/// Tidies up again and again, until it is dropped.
pub async fn run(outputs: Outputs, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        for (output, clients) in outputs.all() {
            match sweep(&clients, &output, now()).await {
                Ok(0) => {}
                Ok(objects) => tracing::info!(output, objects, "files of old UNLOADs removed"),
                Err(error) => tracing::warn!(output, %error, "files of old UNLOADs could not be removed"),
            }
        }
    }
}

/// Removes what is over at a time, and says how many objects that were.
pub async fn sweep(clients: &Clients, output: &str, now: i64) -> Result<usize, AwsError> {
    let Some(ours) = S3Uri::parse(&format!("{output}{}", prefix::FOLDER)) else { return Ok(0) };
    let mut removed = 0;
    let mut token = None;
    loop {
        let call = clients.s3.list_objects_v2().bucket(&ours.bucket).prefix(&ours.key).delimiter("/");
        let page = call.set_continuation_token(token).send().await;
        let page = page.map_err(|error| AwsError::new("s3:ListBucket", error))?;
        for folder in page.common_prefixes().iter().filter_map(|folder| folder.prefix()) {
            let name = folder.strip_prefix(&ours.key).unwrap_or_default();
            if prefix::end(name).is_some_and(|end| end <= now) {
                removed += remove(clients, &ours.bucket, folder).await?;
            }
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return Ok(removed);
        }
    }
}

/// Removes all objects of a folder.
pub async fn remove(clients: &Clients, bucket: &str, folder: &str) -> Result<usize, AwsError> {
    let mut removed = 0;
    loop {
        // What is removed is not listed again: the first page is always the next one.
        let page = clients.s3.list_objects_v2().bucket(bucket).prefix(folder).send().await;
        let page = page.map_err(|error| AwsError::new("s3:ListBucket", error))?;
        let objects =
            page.contents().iter().filter_map(|object| ObjectIdentifier::builder().key(object.key()?).build().ok());
        let objects: Vec<_> = objects.collect();
        if objects.is_empty() {
            return Ok(removed);
        }
        removed += objects.len();
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let Ok(delete) = delete else { return Ok(removed) };
        let answer = clients.s3.delete_objects().bucket(bucket).delete(delete).send().await;
        let answer = answer.map_err(|error| AwsError::new("s3:DeleteObject", error))?;
        if let Some(error) = answer.errors().first() {
            return Err(AwsError::said("s3:DeleteObject", error.code(), error.message()));
        }
    }
}
