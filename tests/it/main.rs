//! Integration tests: the real gateway over real sockets, before a scripted upstream. One binary, so that it links once; one module a
//! subject.

mod support;
mod traffic;
