//! What comes of the agents in front of every kind of provider.

use crate::servers::{Rate, SECOND};
use crate::world::{Case, Demand, Outcome, WARM_UP, run};

const MS: u64 = SECOND / 1000;

#[test]
#[ignore]
fn sweep() {
    use Rate::{Bucket, Log, Unlimited, Window};
    let only = std::env::var("ONLY").unwrap_or_default();
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let first: u64 = std::env::var("FIRST").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let limit: f64 = std::env::var("LIMIT").ok().and_then(|s| s.parse().ok()).unwrap_or(0.92);
    let (mut n, mut bad, mut sum) = (0, 0, 0.0);
    for (dn, durations) in [("1-20ms", (MS, 20*MS)), ("50ms", (50*MS, 50*MS)), ("200ms", (200*MS, 200*MS)), (".1-.5s", (100*MS, 500*MS)), (".1-3s", (100*MS, 3000*MS)), ("2s", (2000*MS, 2000*MS))] {
        for rate in [Bucket(10), Window(10), Log(10), Bucket(100), Window(100), Log(100), Unlimited] {
            for streams in [4, 8, 64] {
                for (retry_after, headers) in [(false, false), (true, false), (false, true), (true, true)] {
                    if rate == Unlimited && (headers || durations.0 < 100*MS || streams > 8 && durations.1 < 2000*MS) { continue; }
                    for demand in [Demand::Endless] {
                        for seed in first..first+seeds {
                            let case = Case { rate, streams, retry_after, headers, durations, demand, measured: 120 * SECOND, change: None, seed };
                            let name = format!("{dn} {rate:?} {streams} {} {} {demand:?}", if retry_after {"RA"} else {"--"}, if headers {"H"} else {"-"});
                            if !name.contains(&only) { continue; }
                            let o = run(case);
                            n += 1; sum += o.throughput();
                            let limit = if demand == Demand::Rounds { limit - 0.1 } else { limit };
                            if o.throughput() < limit || o.refused_part() > 0.02 || o.most_refusals > 4 || o.root_wait * 4.0 > o.worker_wait {
                                bad += 1;
                                println!("{name} {seed}: {:.3} refused {:.4} ({}) most {} waits {:.3} {:.3} until {:.1}", o.throughput(), o.refused_part(), o.refused, o.most_refusals, o.root_wait, o.worker_wait, o.nine_tenths as f64/1e6);
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{bad} bad of {n}, mean {:.3}", sum / n as f64);
    let _ = (WARM_UP, Outcome::default());
}
