//! Rate limits: counting itself, and that every route names its limit.

mod clock;
mod counting;
mod logins;
mod routes;
