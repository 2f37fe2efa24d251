//! Rate limits: counting itself, and that every route names its limit.

mod counting;
mod routes;
