//! Faults on purpose, for tests of the whole program. Without the feature `faults` nothing of it is compiled in.
//!
//! `SAPWOOD_FAULT=<point>@<agent path>#<n>[x<times>]` panics at the n-th passing of a point by an agent, and at the
//! next `times - 1` passings too; several are separated by commas.

use sapwood_protocol::AgentPath;

/// Where the shell can be made to panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the machine decides.
    BeforeDecide,
    /// After lines were appended, before they are applied.
    AfterAppend,
    /// After lines were applied, before effects.
    AfterApply,
    /// After an effect, before the next one.
    BetweenEffects,
    /// When a tool's answer arrives.
    ToolAnswer,
}

/// Passes a point.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn hit(_: Point, _: &AgentPath) {}

/// Passes a point, and panics if the environment says so.
#[cfg(feature = "faults")]
pub fn hit(point: Point, path: &AgentPath) {
    injected::hit(point, path);
}

#[cfg(feature = "faults")]
mod injected {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{AgentPath, Point};

    struct Fault {
        point: Point,
        path: String,
        from: u64,
        times: u64,
        passed: AtomicU64,
    }

    fn faults() -> &'static [Fault] {
        static FAULTS: OnceLock<Vec<Fault>> = OnceLock::new();
        FAULTS.get_or_init(|| {
            let spec = std::env::var("SAPWOOD_FAULT").unwrap_or_default();
            spec.split(',').filter(|fault| !fault.is_empty()).map(parse).collect()
        })
    }

    fn parse(text: &str) -> Fault {
        let read = || {
            let (point, rest) = text.split_once('@')?;
            let (path, count) = rest.split_once('#')?;
            let (from, times) = count.split_once('x').unwrap_or((count, "1"));
            let point = match point {
                "before-decide" => Point::BeforeDecide,
                "after-append" => Point::AfterAppend,
                "after-apply" => Point::AfterApply,
                "between-effects" => Point::BetweenEffects,
                "tool-answer" => Point::ToolAnswer,
                _ => return None,
            };
            let (from, times) = (from.parse().ok()?, times.parse().ok()?);
            Some(Fault { point, path: path.to_owned(), from, times, passed: AtomicU64::new(0) })
        };
        read().unwrap_or_else(|| panic!("SAPWOOD_FAULT: `{text}` is not <point>@<path>#<n>[x<times>]"))
    }

    pub fn hit(point: Point, path: &AgentPath) {
        for fault in faults().iter().filter(|fault| fault.point == point && fault.path == path.as_str()) {
            let passed = fault.passed.fetch_add(1, Ordering::Relaxed) + 1;
            if passed >= fault.from && passed < fault.from.saturating_add(fault.times) {
                panic!("fault on purpose: {point:?} of {path}, passing {passed}");
            }
        }
    }
}
