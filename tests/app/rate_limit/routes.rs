//! Every route that changes something names its limit where it is declared.
