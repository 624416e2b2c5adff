//! The connection check: step by step what a client's first queries need of AWS, each with its verdict, its time, and what to
//! do where it fails. What the steps call is what queries call.
//!
//! | module | says |
//! | --- | --- |
//! | [`steps`] | the steps, in their order |
//! | [`diagnosis`] | an error of AWS's → what is wrong, and what to do about it |

mod diagnosis;
mod steps;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::gateway::Tenant;
pub use diagnosis::Diagnosis;
use steps::STEPS;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It works, and may still not be what was wanted.
    Warning,
    Failed,
    /// Not tried, because one before it failed or it does not apply.
    Skipped,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One step and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub name: &'static str,
    /// Whether the whole check fails with it.
    pub mandatory: bool,
    pub verdict: Verdict,
    /// What it calls.
    pub does: &'static str,
    /// What it found, or what went wrong.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
    pub took_ms: u64,
    pub limit_ms: u64,
}

/// All steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub passed: bool,
    pub steps: Vec<Step>,
}

/// What a step found.
struct Found {
    verdict: Verdict,
    text: String,
    advice: Option<String>,
}

impl Found {
    fn ok(text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, text: text.into(), advice: None }
    }

    fn warning(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, text: text.into(), advice: Some(advice.into()) }
    }

    fn failed(diagnosis: Diagnosis) -> Self {
        Self { verdict: Verdict::Failed, text: diagnosis.what, advice: Some(diagnosis.advice) }
    }

    fn skipped(text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, text: text.into(), advice: None }
    }
}

/// Runs all steps, each within its time. When nobody is known to AWS, nothing else can work: the rest is not tried.
pub async fn run(tenant: &Tenant, limit: Duration) -> Report {
    let mut steps: Vec<Step> = Vec::with_capacity(STEPS.len());
    let mut state = steps::State::default();
    for step in &STEPS {
        let is_first_failed = steps.first().is_some_and(|first| first.verdict == Verdict::Failed);
        let began = Instant::now();
        let found = if is_first_failed {
            Found::skipped(format!("{} failed", STEPS[0].name))
        } else {
            let run = (step.run)(tenant, &mut state);
            tokio::time::timeout(limit, run).await.unwrap_or_else(|_| Found::failed(Diagnosis::too_slow(limit)))
        };
        let Found { verdict, text, advice } = found;
        steps.push(Step {
            name: step.name,
            mandatory: step.mandatory,
            verdict,
            does: step.does,
            found: text,
            advice,
            took_ms: began.elapsed().as_millis() as u64,
            limit_ms: limit.as_millis() as u64,
        });
    }
    let passed =
        steps.iter().all(|step| !step.mandatory || !matches!(step.verdict, Verdict::Failed | Verdict::Skipped));
    Report { passed, steps }
}
