//! Rate limits: counting itself, that every route names its limit, and the attacks.

mod attacks;
mod counting;
mod routes;
