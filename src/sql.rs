//! SQL as Athena's engine reads it, before any grammar: text → tokens.
//!
//! Whatever decides by a statement's words (what may write, where a parameter is, where a statement ends) and the embedded
//! endpoint read by the same lexer, which is Trino's. Nothing here knows the gateway or the endpoint.
//!
//! | module | says |
//! | --- | --- |
//! | [`lexer`] | the tokens of a text, each with its place |

pub mod lexer;

pub use lexer::{Kind, Token, Tokens, tokens};
