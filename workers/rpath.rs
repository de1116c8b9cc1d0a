//! Build script of every package with a binary: lets it find RocksDB's library beside itself.
//!
//! Not here: where the library comes from (`.ci/rocksdb`) and who copies it beside the binary (`.ci/demo`).
//! Invariant: the path is relative, so a folder with a binary and its library can be moved anywhere.
//! A build script and not `rustflags`, because those are part of every dependency's fingerprint, and
//! a `RUSTFLAGS` in somebody's shell would silently replace them.

fn main() {
    println!("cargo::rerun-if-env-changed=ROCKSDB_STATIC");
    // Test binaries lie one folder deeper than the ones that people start.
    let places = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => ["@loader_path", "@loader_path/.."],
        _ => ["$ORIGIN", "$ORIGIN/.."],
    };
    for place in places {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{place}");
    }
}
