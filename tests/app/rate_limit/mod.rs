//! Rate limits: counting itself, that every route names its limit, and the attacks that they
//! were made against.

mod attacks;
mod clock;
mod counting;
mod logins;
mod routes;
