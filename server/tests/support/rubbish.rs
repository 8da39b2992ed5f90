//! What no client should send, made by chance.
#![allow(dead_code, reason = "each test file uses some of it")]

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// Pieces that messages are made of, put together in any order.
pub fn rubbish() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        Just(b"[".to_vec()),
        Just(b"]".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\\".to_vec()),
        Just(b":".to_vec()),
        Just(b",".to_vec()),
        Just(b"\"id\":".to_vec()),
        Just(b"\"method\":\"echo\",".to_vec()),
        Just(b"\"params\":{}".to_vec()),
        Just(b"\"result\":null".to_vec()),
        Just(b"\"error\":{\"code\":1,\"message\":\"\"}".to_vec()),
        Just(b"\"trace\":".to_vec()),
        Just(b"{\"id\":1,\"method\":\"echo\",\"params\":{}}".to_vec()),
        Just(b"\n".to_vec()),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        any::<f64>().prop_map(|number| number.to_string().into_bytes()),
        vec(any::<u8>(), 0..8),
    ];
    vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Any value that is not deep.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[a-z]{1,6}", inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}
