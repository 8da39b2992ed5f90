//! `turn/start`, `turn/steer`, `turn/interrupt`: what drives turns.

use std::sync::Arc;

use sapwood_actors::agent::input::Interrupter;
use sapwood_actors::seat::{Seat, SeatView};
use sapwood_actors::trace::Parent;
use sapwood_actors::tree::Refusal;
use sapwood_protocol::TurnId;
use sapwood_protocol::app::change::Done;
use sapwood_protocol::app::drive::{
    TurnInterruptParams, TurnSettingsUpdateParams, TurnStartParams, TurnStartResponse, TurnSteerParams,
    TurnSteerResponse,
};
use sapwood_protocol::app::turn::Turn;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::Said;
use uuid::Uuid;

use super::input;
use super::settings::Change;
use super::tree::LoadedTree;
use crate::app::AppServer;
use crate::router::{Call, Method, Reply};
use crate::rpc::RpcError;

pub(super) fn table() -> Vec<Method<AppServer>> {
    vec![
        Method::new("turn/start", start),
        Method::new("turn/steer", steer),
        Method::new("turn/interrupt", interrupt),
        Method::new("turn/settings/update", update_settings).experimental(),
    ]
}

async fn start(app: Arc<AppServer>, call: Call, reply: Reply) {
    let begun = async {
        let params: TurnStartParams = call.params()?;
        let (tree, seat) = app.loaded(&params.thread_id)?;
        takes_input(&seat)?;
        input::check(&params.input)?;
        let roots = params.runtime_workspace_roots.as_deref();
        let mut change = Change::of(&app, (&tree, &seat), &params.settings, roots).await?;
        let said = Said {
            input: params.input,
            client_id: params.client_user_message_id.map(Into::into),
            settings: change.set.take().map(Box::new),
            output_schema: params.output_schema.map(|schema| schema.to_string().into()),
        };
        Ok((tree, seat, said, change))
    };
    let (tree, seat, said, change) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return reply.error(error),
    };
    // Until it is answered, nothing that follows from it is told.
    tree.with(seat.thread, |_, _| {
        let started = say(&tree, &seat, said, call.parent()).map(|turn| {
            change.begins(&tree, &seat);
            TurnStartResponse { turn: Turn { root_turn_id: Some(turn.clone()), ..Turn::begun(turn) } }
        });
        reply.send(started);
    });
}

async fn steer(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = (|| {
        let params: TurnSteerParams = call.params()?;
        let (tree, seat) = app.loaded(&params.thread_id)?;
        takes_input(&seat)?;
        input::check(&params.input)?;
        Ok((params, tree, seat))
    })();
    let (params, tree, seat) = match found {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    tree.with(seat.thread, |_, _| {
        let steered = (|| {
            expect(&seat, &params.expected_turn_id, "no active turn to steer")?;
            if params.input.is_empty() {
                return Err(RpcError::invalid("input must not be empty"));
            }
            let client_id = params.client_user_message_id.map(Into::into);
            let said = Said { input: params.input, client_id, ..Said::default() };
            let turn = say(&tree, &seat, said, None)?;
            Ok(TurnSteerResponse { turn_id: turn.as_str().to_owned() })
        })();
        reply.send(steered);
    });
}

async fn interrupt(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = call.params().and_then(|params: TurnInterruptParams| {
        let (tree, seat) = app.loaded(&params.thread_id)?;
        Ok((params, tree, seat))
    });
    let (params, tree, seat) = match found {
        Ok(found) => found,
        Err(error) => return reply.error(error),
    };
    tree.with(seat.thread, |watched, _| {
        if params.turn_id.is_empty() {
            // Whatever runs or is about to, also what has not been told yet.
            if let Some(turn) = seat.look(SeatView::next_turn) {
                tree.tree.interrupt(&seat, turn, Interrupter::User);
            }
            return reply.ok(&Done {});
        }
        // By what was told, which an end that is on its way answers; else what a client has the id of, and nobody was told the
        // begin of yet.
        let told = watched.open_turn().cloned();
        let is_meant = |turn: &TurnId| turn.as_str() == params.turn_id;
        let Some(turn) = told.clone().filter(is_meant).or_else(|| seat.look(SeatView::next_turn).filter(is_meant))
        else {
            let text = match told {
                Some(open) => format!("expected active turn id {} but found {open}", params.turn_id),
                None => "no active turn to interrupt".to_owned(),
            };
            return reply.error(RpcError::invalid(text));
        };
        watched.when_ended(turn.clone(), reply);
        tree.tree.interrupt(&seat, turn, Interrupter::User);
    });
}

/// What is set holds for the next turn, and never for one that runs: so the real server has it without its feature.
async fn update_settings(app: Arc<AppServer>, call: Call, reply: Reply) {
    let found = call.params().and_then(|params: TurnSettingsUpdateParams| app.loaded(&params.thread_id));
    reply.error(match found {
        Ok(_) => RpcError::invalid("turn settings updates require the step_model_switching feature"),
        Err(error) => error,
    });
}

/// Children get their tasks from their spawners.
pub(super) fn takes_input(seat: &Seat) -> Result<(), RpcError> {
    match seat.parent {
        Some(_) => Err(RpcError::invalid("direct app-server input is not allowed for multi-agent v2 sub-agents")),
        None => Ok(()),
    }
}

fn expect(seat: &Seat, expected: &str, none: &str) -> Result<TurnId, RpcError> {
    match seat.look(|view| (view.next_turn(), view.turn.is_some())) {
        (Some(turn), _) if turn.as_str() == expected => Ok(turn),
        (None, _) | (_, false) => Err(RpcError::invalid(none)),
        (Some(open), true) => {
            Err(RpcError::invalid(format!("expected active turn id `{expected}` but found `{open}`")))
        }
    }
}

/// Accepts it. What a client names twice is accepted once.
fn say(tree: &LoadedTree, seat: &Arc<Seat>, said: Said, parent: Option<Parent>) -> Result<TurnId, RpcError> {
    let id = match &said.client_id {
        Some(client) => InputId::from(format!("client:{client}")),
        None => InputId::from(Uuid::new_v4()),
    };
    tree.tree.turn(seat, id, said, parent).map_err(refused)
}

pub(super) fn refused(refusal: Refusal) -> RpcError {
    match refusal {
        Refusal::Full(_) | Refusal::Inbox => {
            let overloaded = RpcError::overloaded();
            RpcError { message: refusal.to_string(), ..overloaded }
        }
        Refusal::TooLong { .. } => RpcError::invalid(refusal.to_string()),
        Refusal::Open(_) | Refusal::Append(_) => RpcError::internal(refusal.to_string()),
    }
}
