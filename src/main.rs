//! The binary `timed`.

fn main() -> std::process::ExitCode {
    timed::cli::main()
}
