//! Windows. Does no I/O.
