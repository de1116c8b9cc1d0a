//! What makes no sense does not compile, and the message says what to do instead.
//!
//! Each file of `tests/compile_fail` is one mistake with the compiler's word on it beside it. The messages
//! are those of the compiler that `rust-toolchain.toml` names; `TRYBUILD=overwrite` writes them anew.

#[test]
fn what_makes_no_sense_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
