//! What pqlane's cost is compared with, and the programs that compare it.
//!
//! Takes the built binaries and loopback sockets; gives figures. Nothing here is part of the
//! product, and nothing here leaves the machine.

pub mod plain;
