//! The same turns, children and wide trees, with a Responses server on loopback in place of the model.
//!
//! `SAPWOOD_FAKE_MODEL` names the server's program: one that prints `LISTENING <port>` and obeys commands between `@@`
//! marks, as the peer harness's `fake-model` does. Without it these sections say so and measure nothing. The CPU is that of
//! this process: the server has its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sapwood_actors::clock::{Clock, SystemClock};
use sapwood_model::Model;
use sapwood_model::governor::Governors;
use sapwood_model::http::{Http, Provider};
use sapwood_rollout::{FileJournal, Journal};

use crate::Scale;
use crate::measure::{self, Peak, Row, bytes, cpu, each, time};
use crate::team::{Team, config, runtime};

/// Which program is the server.
pub const SERVER: &str = "SAPWOOD_FAKE_MODEL";

/// A server that ends with its owner.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let program = std::env::var_os(SERVER)?;
        let mut command = Command::new(&program);
        command.args(["--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{SERVER} {program:?}: {error}"));
        let mut line = String::new();
        let out = process.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("the server says where it listens");
        let port = line.trim().strip_prefix("LISTENING ").and_then(|port| port.parse().ok());
        Some(Self { port: port.unwrap_or_else(|| panic!("{SERVER} said {line:?}")), process })
    }

    fn model(&self) -> Arc<dyn Model> {
        let now = || SystemClock.now();
        let provider = Provider::new("fake", format!("http://127.0.0.1:{}/v1", self.port));
        let governors = Governors::new(Arc::new(now));
        Arc::new(Http::new(provider, governors, Arc::new(now)).expect("a provider on loopback"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn without_server(what: &str) -> Vec<Row> {
    vec![Row::new(format!("HTTP {what}"), "", "not measured".into(), format!("set {SERVER} to the peer's fake-model"))]
}

/// Later turns of many trees, one exchange each.
pub fn turn(scale: Scale) -> Vec<Row> {
    let Some(server) = Server::start() else { return without_server("turn") };
    let (trees, later) = (scale.of(50, 2), scale.of(20, 2));
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(measure::home()));
    let spent = runtime().block_on(async {
        let model = server.model();
        let mut teams = Vec::new();
        for seed in 0..trees as u64 {
            let mut team = Team::new(Arc::clone(&journal), Arc::clone(&model), config(4, false), seed + 100).await;
            team.start("@@REPLY 0 first@@");
            team.at_rest().await;
            teams.push(team);
        }
        let start = cpu();
        for n in 0..later {
            teams.iter_mut().for_each(|team| team.say(&format!("@@REPLY 0 t{n}@@")));
            for team in &teams {
                team.at_rest().await;
            }
        }
        let spent = cpu() - start;
        for team in teams {
            team.shutdown().await;
        }
        spent
    });
    let turns = trees * later;
    vec![Row::new(
        "HTTP one-reply turn, CPU",
        "1 ms",
        time(each(spent, turns)),
        format!("{turns} turns of {trees} trees"),
    )]
}

/// Children of one root, the root's own exchanges counted in.
pub fn child(scale: Scale) -> Vec<Row> {
    let Some(server) = Server::start() else { return without_server("child") };
    let (width, rounds) = (scale.of(100, 4), scale.of(10, 1));
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(measure::home()));
    let spent: Duration = runtime().block_on(async {
        let model = server.model();
        let mut all = Duration::ZERO;
        for round in 0..rounds as u64 {
            let mut team = Team::new(Arc::clone(&journal), Arc::clone(&model), config(4, false), round + 1).await;
            let start = cpu();
            team.start(&format!("@@SPAWN {width} {width} 0 r{round}@@"));
            team.at_rest().await;
            all += cpu() - start;
            assert_eq!(team.tree.seats().len(), width + 1, "every child was made");
            team.shutdown().await;
        }
        all
    });
    let cost = time(each(spent, rounds * width));
    vec![Row::new("HTTP child: spawn, one reply, report", "2 ms", cost, format!("{rounds} roots of {width} children"))]
}

/// A wide tree through a few slots.
pub fn many(scale: Scale) -> Vec<Row> {
    let Some(server) = Server::start() else { return without_server("many") };
    let fan = scale.of(100, 4);
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(measure::home()));
    let (spent, peak) = runtime().block_on(async {
        let mut team = Team::new(journal, server.model(), config(64, false), 1).await;
        let (start, peak) = (cpu(), Peak::watch());
        team.start(&format!("@@TREE 2 {fan} 0 wide@@"));
        team.at_rest().await;
        let (spent, most) = (cpu() - start, peak.end());
        assert_eq!(team.tree.seats().len(), fan * fan + fan + 1, "every agent was made");
        team.shutdown().await;
        (spent, most)
    });
    let children = fan * fan;
    vec![
        Row::new(format!("HTTP {children} children, cap 64, CPU"), "20 s", time(spent), String::new()),
        Row::new(format!("HTTP {children} children, cap 64, memory"), "", bytes(peak as f64), String::new()),
    ]
}
