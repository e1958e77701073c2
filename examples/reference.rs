//! Prints the configuration reference. `scripts/reference` writes it to `docs/configuration.md`.

fn main() {
    print!("{}", steadfast::config::reference());
}
