//! What pages show: askama structs with no logic beyond formatting.
