//! Each recording, played once more.

use crate::replay::Transport::{Stdio, Websocket};
use crate::replay::{Replay, Transport};

async fn as_recorded(names: &[&str], transport: Transport) {
    Replay::of(names, transport).await.assert_as_recorded();
}

macro_rules! recordings {
    ($($name:ident: $names:expr, $transport:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                as_recorded(&$names, $transport).await;
            }
        )*
    };
}

recordings! {
    the_python_sdk: ["python-sdk-main"], Stdio;
    the_python_sdk_approves: ["python-sdk-approvals"], Stdio;
    several_clients: ["multi-client"], Websocket;
    a_child_asks: ["child-thread-approval"], Websocket;
    a_dynamic_tool_and_interrupts: ["dynamic-tool-and-interrupt"], Websocket;
    the_window: ["tui-main"], Websocket;
    the_window_plans_asks_and_compacts: ["tui-plan-mode-user-input-compact"], Websocket;
    // The recorded server had run the first of these before.
    the_window_forks_and_resumes_then_errors: ["tui-subagents-fork-resume-steer", "raw-errors-and-ids"], Websocket;
    the_command_centre: ["tui-main", "codex-agents"], Websocket;
}

/// Recorded with a server that answered with as little as clients need, so its values say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_ask_of_a_minimal_server_is_answered_validly() {
    Replay::of(&["minimal-server-python-sdk"], Stdio).await.assert_valid();
    Replay::of(&["minimal-server-tui"], Websocket).await.assert_valid();
}
