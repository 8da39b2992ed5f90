//! The app server: JSON-RPC over stdio, unix socket and websocket; a user of the service facade.
