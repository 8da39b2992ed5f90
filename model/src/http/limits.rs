//! What headers and events say of limits: when to ask again, how much room there is, what the account has used.

use std::time::Duration;

use reqwest::header::HeaderMap;
use sapwood_protocol::limits::{Credits, RateWindow};
use sapwood_protocol::{Millis, RateLimits};
use serde::Deserialize;

use crate::governor::Headroom;

/// The longest wait that a provider may ask for. Whoever asks for more is asked again after this: an hour is far
/// beyond any burst, and a limit that lasts longer is a usage limit, which has an end of its own.
const WAIT_MAX_MS: u64 = 3_600_000;

/// A wait within its bound.
pub(crate) fn wait_ms(ms: u64) -> u64 {
    ms.min(WAIT_MAX_MS)
}

/// How long the headers ask to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(crate) fn retry_after_ms(headers: &HeaderMap, now: Millis) -> Option<u64> {
    let ms = number(headers, "retry-after-ms").map(|ms| ms as u64);
    let secs = || number(headers, "retry-after").map(|secs| (secs * 1e3).ceil() as u64);
    let date = || date_ms(text(headers, "retry-after")?).map(|at| at.since(now).0);
    ms.or_else(secs).or_else(date).map(wait_ms)
}

/// The moment that many seconds after 1970; `None` for one that no calendar here has, which nobody can have meant.
pub(crate) fn moment(secs: u64) -> Option<Millis> {
    jiff::Timestamp::from_second(i64::try_from(secs).ok()?).ok()?;
    Some(Millis(secs.saturating_mul(1000)))
}

/// A date as HTTP writes it (`Sat, 21 Nov 2026 00:03:53 GMT`).
fn date_ms(date: &str) -> Option<Millis> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Millis)
}

/// The wait that a sentence names (`try again in 1.5s`), in milliseconds.
pub(crate) fn wait_in_text(message: &str) -> Option<u64> {
    let message = message.to_ascii_lowercase();
    let (_, rest) = message.split_once("again in ")?;
    duration_ms(rest)
}

/// The length of time at the start of a text, in lower case: `1.5s`, `6m0s`, `20ms`, `2 seconds`.
fn duration_ms(mut text: &str) -> Option<u64> {
    let mut total = None;
    loop {
        text = text.trim_start_matches(' ');
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let Ok(number) = text[..digits].parse::<f64>() else { return total };
        let after = text[digits..].trim_start_matches(' ');
        let unit = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
        let scale = match unit {
            "ms" | "millisecond" | "milliseconds" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
            "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
            "h" | "hour" | "hours" => 3_600e3,
            "d" | "day" | "days" => 86_400e3,
            _ => return total,
        };
        total = Some(total.unwrap_or(0_u64).saturating_add((number * scale).round() as u64));
        text = &after[unit.len()..];
    }
}

/// The room that the headers tell: the limit on requests, what is left of it, and when all of it is there again.
pub(crate) fn headroom(headers: &HeaderMap) -> Headroom {
    let count = |name: &str| number(headers, name).map(|count| count as u64);
    let reset = text(headers, "x-ratelimit-reset-requests");
    let resets_in = reset.and_then(|reset| {
        let secs = || reset.parse::<f64>().ok().filter(|secs| *secs >= 0.0).map(|secs| (secs * 1e3) as u64);
        duration_ms(&reset.to_ascii_lowercase()).or_else(secs)
    });
    Headroom {
        limit: count("x-ratelimit-limit-requests"),
        remaining: count("x-ratelimit-remaining-requests"),
        resets_in: resets_in.map(wait_ms).map(Duration::from_millis),
    }
}

/// The account's limits as headers tell them (`x-codex-*`); `None` where they tell nothing.
pub(crate) fn from_headers(headers: &HeaderMap, now: Millis) -> Option<RateLimits> {
    let told =
        |name: &str| text(headers, &format!("x-codex-{name}")).map(str::to_owned).filter(|text| !text.is_empty());
    let yes = |name: &str| match told(name)?.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    let window = |which: &str| {
        let said = |what: &str| number(headers, &format!("x-codex-{which}-{what}"));
        let after = || said("reset-after-seconds").map(|secs| now.secs().saturating_add(secs as u64));
        let window = RateWindow {
            used_percent: said("used-percent")?,
            window_minutes: said("window-minutes").map(|minutes| minutes as u64),
            resets_at: said("reset-at").map(|secs| secs as u64).or_else(after),
        };
        // A window that is not in force is sent as zeros.
        (window.used_percent != 0.0 || window.window_minutes.unwrap_or(0) != 0 || window.resets_at.is_some())
            .then_some(window)
    };
    let credits = yes("credits-has-credits").map(|has_credits| Credits {
        has_credits,
        unlimited: yes("credits-unlimited").unwrap_or(false),
        balance: told("credits-balance"),
    });
    let limits = RateLimits {
        limit_id: Some("codex".to_owned()),
        limit_name: told("limit-name"),
        primary: window("primary"),
        secondary: window("secondary"),
        credits,
        plan_type: told("plan-type"),
    };
    let told = limits.primary.is_some() || limits.secondary.is_some() || limits.credits.is_some();
    (told || limits.plan_type.is_some()).then_some(limits)
}

/// When a window that is used up begins anew; the later of two.
pub(crate) fn used_up_until(limits: &RateLimits) -> Option<Millis> {
    let windows = [&limits.primary, &limits.secondary].into_iter().flatten();
    let used_up = windows.filter(|window| window.used_percent >= 100.0);
    used_up.filter_map(|window| moment(window.resets_at?)).max()
}

/// The account's limits as an event tells them (`codex.rate_limits`); `None` where it is none.
pub(crate) fn from_event(data: &[u8]) -> Option<RateLimits> {
    #[derive(Deserialize)]
    struct Event {
        plan_type: Option<String>,
        #[serde(default)]
        rate_limits: Option<Windows>,
        credits: Option<Credits>,
        metered_limit_name: Option<String>,
        limit_name: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct Windows {
        primary: Option<Window>,
        secondary: Option<Window>,
    }
    #[derive(Deserialize)]
    struct Window {
        used_percent: f64,
        window_minutes: Option<u64>,
        reset_at: Option<u64>,
    }
    let event: Event = serde_json::from_slice(data).ok()?;
    let window = |window: Window| RateWindow {
        used_percent: window.used_percent,
        window_minutes: window.window_minutes,
        resets_at: window.reset_at,
    };
    let windows = event.rate_limits.unwrap_or_default();
    let id = event.metered_limit_name.or(event.limit_name).unwrap_or_else(|| "codex".to_owned());
    Some(RateLimits {
        limit_id: Some(id.trim().to_ascii_lowercase().replace('-', "_")),
        limit_name: None,
        primary: windows.primary.map(window),
        secondary: windows.secondary.map(window),
        credits: event.credits,
        plan_type: event.plan_type,
    })
}

/// Takes news of the limits in. What they do not say stays as it was; limits of another kind than the account's
/// own (`codex`) count only where nothing is known of those.
pub(crate) fn merge(known: &mut Option<RateLimits>, news: Option<RateLimits>) {
    let Some(news) = news else { return };
    match known {
        Some(known) if known.limit_id == news.limit_id => {
            known.primary = news.primary.or(known.primary.take());
            known.secondary = news.secondary.or(known.secondary.take());
            known.credits = news.credits.or(known.credits.take());
            known.plan_type = news.plan_type.or(known.plan_type.take());
        }
        Some(known) if known.limit_id.as_deref() == Some("codex") => {}
        _ => *known = Some(news),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// A number that is not negative.
fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_219_433_000);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn how_long_to_wait() {
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<u64>);
        let cases: [Case<'_>; 9] = [
            (&[("retry-after", "7")], Some(7000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], Some(250)),
            (&[("retry-after", "Sat, 21 Nov 2026 00:04:03 GMT")], Some(10_000)),
            (&[("retry-after", "Sat, 21 Nov 2026 00:00:00 GMT")], Some(0)),
            (&[("retry-after", "999999999999")], Some(WAIT_MAX_MS)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ];
        for (pairs, want) in cases {
            assert_eq!(retry_after_ms(&headers(pairs), NOW), want, "{pairs:?}");
        }
    }

    #[test]
    fn waits_in_sentences() {
        for (text, want) in [
            ("Rate limit reached. Please try again in 1.898s. Visit", Some(1898)),
            ("try again in 6m0s", Some(360_000)),
            ("Try again in 20ms.", Some(20)),
            ("try again in 35 seconds, please", Some(35_000)),
            ("try again in 1h2m", Some(3_720_000)),
            ("try again in a while", None),
            ("try again in 5", None),
            ("try again later", None),
        ] {
            assert_eq!(wait_in_text(text), want, "{text}");
        }
    }

    #[test]
    fn the_room_in_headers() {
        let told = headers(&[
            ("x-ratelimit-limit-requests", "10"),
            ("x-ratelimit-remaining-requests", "3"),
            ("x-ratelimit-reset-requests", "700ms"),
        ]);
        let resets_in = Some(Duration::from_millis(700));
        assert_eq!(headroom(&told), Headroom { limit: Some(10), remaining: Some(3), resets_in });
        assert_eq!(headroom(&headers(&[("x-ratelimit-reset-requests", "2")])).resets_in, Some(Duration::from_secs(2)));
        assert_eq!(headroom(&headers(&[("x-ratelimit-limit-requests", "many")])), Headroom::default());
    }

    #[test]
    fn the_account_in_headers_and_events() {
        let told = headers(&[
            ("x-codex-primary-used-percent", "100"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-after-seconds", "60"),
            ("x-codex-secondary-used-percent", "0"),
            ("x-codex-secondary-window-minutes", "0"),
            ("x-codex-credits-has-credits", "True"),
            ("x-codex-credits-balance", "9.5"),
            ("x-codex-plan-type", "pro"),
        ]);
        let window = |used_percent, window_minutes, resets_at| {
            Some(RateWindow { used_percent, window_minutes: Some(window_minutes), resets_at: Some(resets_at) })
        };
        let credits = |unlimited| Some(Credits { has_credits: true, unlimited, balance: Some("9.5".to_owned()) });
        let want = RateLimits {
            limit_id: Some("codex".to_owned()),
            limit_name: None,
            primary: window(100.0, 300, 1_795_219_493),
            secondary: None,
            credits: credits(false),
            plan_type: Some("pro".to_owned()),
        };
        let mut known = from_headers(&told, NOW);
        assert_eq!(known, Some(want.clone()));
        assert_eq!(used_up_until(&want), Some(Millis(1_795_219_493_000)));
        let never = RateLimits { primary: window(100.0, 300, 99_999_999_999_999), ..want.clone() };
        assert_eq!(used_up_until(&never), None);
        assert_eq!(from_headers(&headers(&[("x-codex-turn-state", "x")]), NOW), None);

        let event = br#"{"type":"codex.rate_limits","rate_limits":{"secondary":{"used_percent":5,"window_minutes":10080,"reset_at":7}}}"#;
        merge(&mut known, from_event(event));
        let want = RateLimits { secondary: window(5.0, 10_080, 7), ..want };
        assert_eq!(known, Some(want.clone()));
        // Another kind of limit, and nonsense, change nothing.
        merge(
            &mut known,
            from_event(br#"{"metered_limit_name":"other","rate_limits":{"primary":{"used_percent":1}}}"#),
        );
        merge(&mut known, from_event(br#"{"rate_limits":7}"#));
        assert_eq!(known, Some(want));
    }
}
