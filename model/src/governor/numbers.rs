//! Every number of the governor, and why it is that number.

use std::time::Duration;

/// Requests in flight before anything is known. Few enough for a small account, and doubled every round trip.
pub const CAP_START: f64 = 8.0;
/// Requests in flight after a usage limit has ended: one looks whether it is true.
pub const CAP_RESTART: f64 = 1.0;
/// A sanity limit on requests in flight: more than one process has sockets for.
pub const CAP_MAX: f64 = 10_000.0;
/// A sanity limit on requests per second.
pub const RATE_MAX: f64 = 10_000.0;
/// The least rate: one request every half minute, which is the longest back-off.
pub const RATE_MIN: f64 = 1.0 / 30.0;

/// Requests waiting at one governor. Beyond it a request is answered `Unavailable` at once: a hundred times more than
/// agents that one process is made for.
pub const WAITING_MAX: usize = 100_000;
/// Grants in a row to higher classes while a lower one waits. Then one of the lower class goes: at least a ninth of
/// what there is.
pub const PASSED_OVER_MAX: u32 = 8;

/// How long what was fine counts as recently fine (up to twice this). Longer than a bucket takes to drain, shorter
/// than a provider's change of mind should be felt.
pub const MEMORY: Duration = Duration::from_secs(30);

/// The rate after a refusal, at most, as a part of the rate at which it was refused: a shallow cut, because a place that
/// was found is found again. Three in a hundred costs under one in a hundred on average.
pub const RATE_CUT: f64 = 0.97;
/// The least that a refusal leaves of the rate, however little was accepted before it.
pub const RATE_CUT_MOST: f64 = 0.5;
/// A second that used this part of the rate came near it: a provider's windows do not begin when ours do.
pub const RATE_NEAR: f64 = 0.8;
/// A second that used this part of the rate that was refused is as fast as then.
pub const RATE_SAME: f64 = 0.9;
/// A second that holds more than this part of the rate began before the rate was cut.
pub const RATE_OUTRUN: f64 = 1.25;
/// The ceiling is gone when this part of it is held without a refusal.
pub const RATE_PASSED: f64 = 1.05;
/// Requests per second added for each accepted one while the rate is searched from a first guess: doubles in one and a
/// half seconds.
pub const RATE_SEARCH_FIRST: f64 = 0.5;
/// The same when a limit that was found has gone: doubles in seven seconds.
pub const RATE_SEARCH: f64 = 0.1;
/// What was accepted between two refusals is measured over this time at least. A shorter one may hold half a window.
pub const METER_MIN: Duration = Duration::from_secs(2);

/// Seconds of being pressed from a refusal to the next try of the same value, the first time. Then it doubles.
pub const PERIOD_START: f64 = 15.0;
/// The same when something else may have been refused.
pub const PERIOD_SUSPECT: f64 = 2.0;
/// The same at most for the rate: a refusal a minute is well under one in a hundred.
pub const RATE_PERIOD_MAX: f64 = 60.0;
/// The same at most for concurrency. Streams are long, so requests are few, and a refusal weighs more.
pub const CAP_PERIOD_MAX: f64 = 60.0;
/// Two refusals this close to each other (a part of the value) are at the same place.
pub const SAME_PLACE: f64 = 0.1;

/// The first pause after a refusal without `Retry-After`. Doubles with every refusal in a row.
pub const BACKOFF_START: Duration = Duration::from_millis(250);
/// The longest pause of our own.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is obeyed in one piece. Then one request asks again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// A pause is longer than asked by up to this part of it, so that several processes do not return together.
pub const PAUSE_JITTER: f64 = 0.1;
/// The jitter at most.
pub const PAUSE_JITTER_MAX: Duration = Duration::from_secs(1);
/// After a pause the free places are filled over this time, not at once.
pub const RESUME_SPREAD: Duration = Duration::from_secs(1);
/// How late a paced request may be without the next one being later too: what timers cost. More would be a burst.
pub const PACING_SLACK: Duration = Duration::from_millis(10);

/// The longest window of a provider's request limit that is spread evenly. A limit per day is not: it bounds what is
/// left, and a person may use it up in the morning.
pub const QUOTA_WINDOW_MAX: Duration = Duration::from_secs(60);
/// A shorter time to a reset is rounding, and says nothing about the window.
pub const QUOTA_WINDOW_MIN: Duration = Duration::from_millis(100);

/// While much is left of a quota it is used at most this many times as fast as it comes back: a burst would only find the
/// limit on requests in flight.
pub const QUOTA_HASTE: f64 = 2.0;
/// More than one such part of the limit is much.
pub const QUOTA_MUCH: u64 = 4;
/// The part of what comes back that is used while little is left: requests do not arrive as evenly as they are sent.
pub const QUOTA_EVEN: f64 = 0.97;

/// How long an account is closed when the provider does not say until when, in milliseconds.
pub const USAGE_UNKNOWN_MS: u64 = 30_000;
/// While an account is closed, one request of a root looks again this often, in milliseconds.
pub const USAGE_PROBE_MS: u64 = 30_000;

/// Governors in one process. Beyond it an idle one is forgotten, or the one that was asked for longest ago.
pub const GOVERNORS_MAX: usize = 1024;
