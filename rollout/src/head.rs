//! What the first line of a rollout says of its thread.

use std::borrow::Cow;

use sapwood_protocol::record::{HistoryMode, Source as Origin};
use sapwood_protocol::{AgentPath, Millis, SessionId, ThreadId, View};
use serde::Deserialize;

use crate::port::OpenError;

/// The first meta of a rollout. Later ones are notes: none of them changes what stands here, least of all the mode.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) thread: ThreadId,
    pub(crate) session: SessionId,
    pub(crate) parent: Option<ThreadId>,
    pub(crate) path: Option<AgentPath>,
    pub(crate) nickname: Option<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) created: Option<Millis>,
    pub(crate) mode: HistoryMode,
}

impl Head {
    /// Reads a first line. Less strict than the typed view: a thread is to be found even if a detail of it is odd.
    /// The error is for a person: `its ...`.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Meta<'a> {
            id: ThreadId,
            #[serde(default)]
            session_id: Option<SessionId>,
            #[serde(default)]
            parent_thread_id: Option<ThreadId>,
            #[serde(borrow, default)]
            timestamp: Option<Cow<'a, str>>,
            #[serde(default)]
            cwd: Option<String>,
            #[serde(default)]
            source: Origin,
            #[serde(default)]
            agent_nickname: Option<String>,
            #[serde(borrow, default)]
            agent_path: Option<Cow<'a, str>>,
            #[serde(default)]
            history_mode: HistoryMode,
        }
        let view = View::parse(line).map_err(|error| format!("its first line is {error}"))?;
        if view.kind != "session_meta" {
            return Err(format!("its first line is a `{}` and no `session_meta`", view.kind));
        }
        let meta: Meta<'_> = view.payload().map_err(|error| format!("its first line is {error}"))?;
        Ok(Self {
            thread: meta.id,
            session: meta.session_id.unwrap_or(meta.id.into()),
            parent: meta.parent_thread_id.or_else(|| meta.source.parent()),
            path: meta.agent_path.and_then(|path| path.parse().ok()),
            nickname: meta.agent_nickname,
            cwd: meta.cwd,
            created: meta.timestamp.and_then(|at| Millis::parse(&at)),
            mode: meta.history_mode,
        })
    }

    /// Reads a first line that must be that of `thread`.
    pub(crate) fn of(thread: ThreadId, line: &[u8]) -> Result<Self, String> {
        let head = Self::parse(line)?;
        if head.thread != thread {
            return Err(format!("its first line belongs to thread {}", head.thread));
        }
        Ok(head)
    }

    /// True for a paginated rollout, false for a legacy one; the error for a mode that nobody here can write.
    pub(crate) fn is_paginated(&self) -> Result<bool, OpenError> {
        match &self.mode {
            HistoryMode::Legacy => Ok(false),
            HistoryMode::Paginated => Ok(true),
            HistoryMode::Unknown(mode) => Err(OpenError::HistoryMode { thread: self.thread, mode: mode.clone() }),
        }
    }
}
