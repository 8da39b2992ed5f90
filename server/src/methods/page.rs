//! Pages of lists that are short and do not move: a cursor is the number of the entry that comes next.

use sapwood_protocol::app::lists::Page;

use crate::rpc::RpcError;

/// The page that begins at the cursor: all the rest, or `limit` entries, and one for a limit of none.
pub(super) fn of<T>(all: Vec<T>, what: &str, cursor: Option<&str>, limit: Option<u32>) -> Result<Page<T>, RpcError> {
    let total = all.len();
    let start = match cursor {
        None => 0,
        Some(cursor) => cursor.parse::<usize>().map_err(|_| RpcError::invalid(format!("invalid cursor: {cursor}")))?,
    };
    if start > total {
        return Err(RpcError::invalid(format!("cursor {start} exceeds total {what} {total}")));
    }
    let size = limit.map_or(total, |limit| usize::try_from(limit).unwrap_or(total).max(1));
    let end = start.saturating_add(size).min(total);
    let data: Vec<T> = all.into_iter().skip(start).take(end - start).collect();
    Ok(Page { data, next_cursor: (end < total).then(|| end.to_string()) })
}
